"""The record of a first run: what it holds, how a network is counted, that a stopped run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation import first_run
from evaluation.case import MODEL_RULES
from evaluation.cases import get, load, splits
from evaluation.first_run import Verdict, counted, main, read, word, write
from evaluation.product import Answer
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Outcome, Status

RECORDS = sorted(Path(first_run.__file__).with_name("first_runs").glob("blind-*.json"))


def answer(**statuses: Status) -> Answer:
    """Make an answer in which every rule passed but those that are named, with _ for -."""
    given = dict.fromkeys(MODEL_RULES, Status.PASSED) | {key.replace("_", "-"): each for key, each in statuses.items()}
    return Answer(Facts(), {rule: Outcome(status=status, message="") for rule, status in given.items()})


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_networks_of_its_set_and_the_counts_of_the_table(record: Path) -> None:
    label = record.stem.removesuffix("-before").removesuffix("-after")
    verdicts = read(record)
    names = [each.name for each in verdicts]
    assert len(set(names)) == len(names)
    assert set(names) <= {case.name for case in load(label)}
    for each in verdicts:
        case = get(each.name)
        assert (each.expected, each.rules) == (case.expected, () if case.honest else case.rules)
    if record.stem.endswith("-before"):
        evading = [each.said == "caught" for each in verdicts if each.expected == "failed"]
        honest = [each.said == "passed" for each in verdicts if each.expected == "passed"]
        assert splits()[label].first_evasions == (sum(evading), len(evading))
        assert splits()[label].first_honest == (sum(honest), len(honest))


def test_a_network_is_counted_by_what_was_said() -> None:
    evading, honest = get("two_in_one_brighter"), get("mobilenet_v1")
    failed, undecided = Status.FAILED, Status.UNDECIDED
    assert word(evading, answer(no_implicit_batch=failed, batch=undecided)) == "caught"
    assert word(evading, answer(no_realignment=failed)) == "another rule"
    assert word(evading, answer(preprocessing=undecided)) == "undecided"
    assert word(evading, answer()) == "passed"
    assert word(honest, answer(no_float16=failed)) == "refused"
    assert word(honest, answer(rgb_order=undecided)) == "undecided"
    assert word(honest, answer()) == "passed"
    assert word(get("mirror_partners_are_added"), answer(batch=failed)) == "caught"


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [case.name for case in load("blind-4")]
    file = tmp_path / "record.json"
    kept = Verdict(name=names[-1], expected="failed", rules=(), said="caught")
    write(file, [kept])
    asked: list[str] = []

    def judged(names: list[str], jobs: int) -> list[Verdict]:
        asked.extend(names)
        return [Verdict(name=name, expected=get(name).expected, rules=(), said="passed") for name in names]

    monkeypatch.setattr(first_run, "judged", judged)
    assert main(["--split", "blind-4", "--file", str(file)]) == 0
    assert asked == names[:-1]
    assert [each.name for each in read(file)] == names
    assert read(file)[-1] == kept
    assert counted(read(file)) == [
        f"honest: {sum(get(name).honest for name in names)} passed",
        f"evading: {sum(not get(name).honest for name in names) - 1} passed, 1 caught",
    ]
