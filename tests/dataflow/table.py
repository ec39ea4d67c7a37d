"""The detector's answer for every case of the corpus and of the blind sets, as a table.

python -m tests.dataflow.table > docs/second-looks-table.md
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from pytest_facechallenge.checks.batching import no_implicit_batch, no_realignment
from pytest_facechallenge.dataflow.gather import follow
from pytest_facechallenge.facts import Facts
from pytest_facechallenge.facts.dataflow import DataflowFacts
from pytest_facechallenge.flops.gather import facts_of
from pytest_facechallenge.graph.ir import from_model, inline_functions
from pytest_facechallenge.outcome import Outcome, Status
from pytest_facechallenge.rulebook import Rulebook, RuleTable, TrackTable
from tests import blind as first
from tests import blind_second as second
from tests.corpus import ALIGN_RULE, BATCH_RULE, EVASIONS, HONEST, Case

BOOK = Rulebook(
    schema="facechallenge-rulebook/1",
    id="book",
    title="two rules",
    version="1",
    date="2021-11-30",
    source="the tests",
    tracks={"A": TrackTable(title="A")},
    rules={
        BATCH_RULE: RuleTable(clause="News 2021-07-16", text="", check="no_implicit_batch"),
        ALIGN_RULE: RuleTable(clause="Rules 2", text="", check="no_realignment"),
    },
)
RULES = {rule.id: rule for rule in BOOK.rules_of("A")}


@dataclass(frozen=True)
class Answer:
    """What the checks said about one model."""

    facts: DataflowFacts
    outcomes: dict[str, Outcome]

    @property
    def failed(self) -> set[str]:
        return {name for name, outcome in self.outcomes.items() if outcome.status is Status.FAILED}

    @property
    def undecided(self) -> set[str]:
        return {name for name, outcome in self.outcomes.items() if outcome.status is Status.UNDECIDED}


def judge(model: onnx.ModelProto) -> Answer:
    """Run the whole detector on a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        facts = follow(path, threads=1)
        cost = facts_of(from_model(inline_functions(model) if model.functions else model, Path(folder)))
    known = Facts.of(facts, cost)
    return Answer(
        facts,
        {
            BATCH_RULE: no_implicit_batch(known, RULES[BATCH_RULE]),
            ALIGN_RULE: no_realignment(known, RULES[ALIGN_RULE]),
        },
    )


def wrong(case: Case, answer: Answer) -> str:
    """Say what is wrong with the answer; "" when it is right."""
    if case.expected is None:
        accused = answer.failed | answer.undecided
        return f"false alarm: {', '.join(sorted(accused))}" if accused else ""
    if case.expected in answer.failed:
        return ""
    if case.expected in answer.undecided:
        return "undecided"
    return "missed"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    does: str
    expected: str
    problem: str
    evidence: str


def rows() -> Iterator[Row]:
    """Judge every case of the corpus and of both blind sets."""
    for name, case in {**HONEST, **EVASIONS}.items():
        answer = judge(case.build())
        yield Row(name, case.does, case.expected or "", wrong(case, answer), said(answer, case.expected or ""))
    for label, blind in (("blind", {**first.HONEST, **first.EVASIONS}), ("2nd", {**second.HONEST, **second.EVASIONS})):
        for name, entry in blind.items():
            answer = judge(entry.build())
            problem = ""
            if entry.rule and entry.rule not in answer.failed:
                problem = "undecided" if entry.rule in answer.undecided else "missed"
            elif not entry.rule and answer.failed | answer.undecided:
                problem = "false alarm"
            yield Row(f"{name} ({label})", entry.does, entry.rule, problem, said(answer, entry.rule))


def said(answer: Answer, rule: str) -> str:
    """Return the first piece of evidence for the rule, or what was looked at."""
    outcome = answer.outcomes[rule or BATCH_RULE]
    if outcome.evidence:
        return f"{outcome.evidence[0].where}: {outcome.evidence[0].what}"
    return outcome.message


def main() -> None:
    """Print the table as Markdown, then the figures."""
    print("| case | what it is | expected | answer | evidence |")
    print("|---|---|---|---|---|")
    counts = {"right": 0, "false alarm": 0, "undecided": 0, "missed": 0}
    for row in rows():
        word = next((word for word in counts if row.problem.startswith(word)), "right")
        counts[word] += 1
        cells = (
            row.name,
            row.does,
            row.expected or "honest",
            "right" if word == "right" else f"**{word}**",
            row.evidence,
        )
        print("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |", flush=True)
    print("\n" + ", ".join(f"{count} {word}" for word, count in counts.items()) + ".")


if __name__ == "__main__":
    main()
