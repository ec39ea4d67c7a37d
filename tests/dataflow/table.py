"""The detector's answer for every case of the corpus, as a table."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx

from pytest_facechallenge.checks.batching import no_implicit_batch, no_realignment
from pytest_facechallenge.dataflow.gather import follow
from pytest_facechallenge.facts import Facts
from pytest_facechallenge.facts.dataflow import DataflowFacts
from pytest_facechallenge.outcome import Outcome, Status
from pytest_facechallenge.rulebook import Rulebook, RuleTable, TrackTable
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
    known = Facts.of(facts)
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


def print_table() -> None:
    """Print one line per case, then the figures."""
    counts = {"false alarm": 0, "undecided": 0, "missed": 0}
    for name, case in {**HONEST, **EVASIONS}.items():
        answer = judge(case.build())
        problem = wrong(case, answer)
        for word in counts:
            counts[word] += problem.startswith(word)
        said = next(
            (outcome.message for outcome in answer.outcomes.values() if outcome.status is not Status.PASSED), ""
        )
        print(f"{'WRONG' if problem else 'ok   '} {case.kind:12} {name:42} {problem or said[:160]}", flush=True)
    print(f"{len(HONEST)} honest, {len(EVASIONS)} evasions: " + ", ".join(f"{n} {word}" for word, n in counts.items()))
