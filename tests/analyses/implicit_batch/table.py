"""The detector's answer for every case of the corpus and of the blind sets, as a table.

python -m tests.dataflow.table > docs/second-looks-table.md
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx

from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.checks.implicit_batch import no_implicit_batch, no_realignment
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.facts.implicit_batch import ImplicitBatchFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rulebook, RuleTable, TrackTable
from pytest_facechallenge.onnx_graph.ir import from_model, inline_functions
from tests import blind as first
from tests import blind_second as second
from tests.blind.case import Case as BlindCase
from tests.blind_third.evasions import EVASIONS as THIRD_EVASIONS
from tests.blind_third.honest import HONEST as THIRD_HONEST
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

    facts: ImplicitBatchFacts
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


BLIND: dict[str, dict[str, BlindCase]] = {
    "blind": first.HONEST | first.EVASIONS,
    "2nd": second.HONEST | second.EVASIONS,
    "3rd": THIRD_HONEST | THIRD_EVASIONS,
}


def names() -> list[tuple[str, str]]:
    """Name every case of the corpus and of the blind sets, with the set it is of."""
    sets: dict[str, Iterable[str]] = {"corpus": {**HONEST, **EVASIONS}, **BLIND}
    return [(label, name) for label, cases in sets.items() for name in cases]


def row(case: tuple[str, str]) -> Row:
    """Judge one case."""
    label, name = case
    if label == "corpus":
        entry = (HONEST | EVASIONS)[name]
        answer = judge(entry.build())
        rule = entry.expected or ""
        return Row(name, entry.does, rule, wrong(entry, answer), said(answer, rule))
    blind = BLIND[label]
    answer = judge(blind[name].build())
    rule, problem = blind[name].rule, ""
    if rule and rule not in answer.failed:
        problem = "undecided" if rule in answer.undecided else "missed"
    elif not rule and answer.failed | answer.undecided:
        problem = "false alarm"
    return Row(f"{name} ({label})", blind[name].does, rule, problem, said(answer, rule))


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
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        judged = pool.map(row, names(), chunksize=1)
    for line in judged:
        word = next((word for word in counts if line.problem.startswith(word)), "right")
        counts[word] += 1
        answer = "right" if word == "right" else f"**{word}**"
        cells = (line.name, line.does, line.expected or "honest", answer, line.evidence)
        print("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |", flush=True)
    print("\n" + ", ".join(f"{count} {word}" for word, count in counts.items()) + ".")


if __name__ == "__main__":
    main()
