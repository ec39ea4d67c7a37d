"""The product's answers: one network of each idea that no smaller test has, and, marked slow, all of them."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from evaluation import table
from evaluation.case import FLOAT16_RULE
from evaluation.cases import get, load, one_of_each_idea
from evaluation.results import Row, row
from evaluation.run import main, sample

#: Ideas of which the detector's own tests judge a smaller network, by the name of that one.
JUDGED_THERE = {
    "alignment behind a first layer: grid": "grid_sample",
    "alignment behind a first layer: hat": "hat",
    "alignment behind a first layer: mirrored": "mirror",
    "alignment by resizing": "down_and_up_again",
    "another grid behind a first layer": "resized",
    "mirrored kernels": "mirrored_kernels",
    "mirroring by dense matrices": "mirror_by_dense_products",
    "mirroring operator": "mirror_by_one_hot_convolution",
    "recoloured view": "brightness_on_the_batch",
    "several views": "five_crops",
    "view of early features": "mirrored_early_features",
    "view on a condition": "switched_on_by_the_image",
    "views in a loop": "loop_over_two_views",
    "views in channel groups": "grouped_channels",
    "views on one canvas": "canvas_of_two_images",
    "views on the batch axis": "mirror_on_the_batch",
}
#: In the place of the first network of an idea, one of the same idea that is judged in a fraction of the time.
QUICKER = {
    "brightness_curves": "preactivated_on_the_image",
    "high_resolution_nearest": "pyramid_top_down_nearest",
    "mixed_first_kernels": "excited_at_full_resolution",
    "swin": "shifted_windows",
}
CHOSEN = {
    QUICKER.get(case.name, case.name)
    for case in one_of_each_idea()
    if case.expected != "failed" or case.idea not in JUDGED_THERE
}
NETWORKS = [case.name for case in table.listed() if FLOAT16_RULE not in case.rules]
#: The stored weights of a model are judged in milliseconds, so all of them are.
STORED = [case.name for case in table.listed() if FLOAT16_RULE in case.rules]
LINES = [line[2:-2].split(" | ") for line in table.TABLE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]


@functools.cache
def answered(name: str) -> Row:
    return row(name)


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=() if name in CHOSEN else (pytest.mark.slow,)) for name in NETWORKS), *STORED],
)
def test_the_answer_is_right_and_stands_in_the_table(name: str, request: pytest.FixtureRequest) -> None:
    found, case = answered(name), get(name)
    entry = next(cells for cells in LINES if cells[:2] == [name, case.split])
    expected = table.cells(case, found.answer, found.evidence)
    assert tuple(entry[:5]) == expected[:5], "run python -m evaluation.table"
    # Measured numbers differ from processor to processor.
    assert re.sub(r"[\d.]+", "#", entry[5]) == re.sub(r"[\d.]+", "#", expected[5]), "run python -m evaluation.table"
    if case.known_miss:
        assert found.problem, "found now: take the known miss away"
    else:
        assert not found.problem, found.evidence


def test_what_is_judged_elsewhere_is_there() -> None:
    assert {case.idea for case in one_of_each_idea("failed")} >= JUDGED_THERE.keys()
    folder = Path(__file__).parents[1] / "analyses" / "implicit_batch"
    modules = ("test_alignment.py", "test_detector.py", "test_hidden_second_views.py")
    code = "".join((folder / name).read_text(encoding="utf-8") for name in modules)
    assert [name for name in JUDGED_THERE.values() if f"\ndef {name}(" not in code] == []


def test_the_quicker_network_is_of_the_same_idea() -> None:
    for name, other in QUICKER.items():
        assert (get(name).idea, get(name).expected) == (get(other).idea, get(other).expected)


def test_the_table_has_one_line_for_each_case() -> None:
    """In the order of the sets, with the case's own words; the summary counts what the lines say."""
    lines = [cells for cells in LINES if len(cells) == len(table.COLUMNS)][1:]
    entries = [cells for cells in lines if cells[1] in {case.split for case in table.listed()}]
    assert [(cells[0], cells[1]) for cells in entries] == [(case.name, case.split) for case in table.listed()]
    rows = []
    for case, cells in zip(table.listed(), entries, strict=True):
        answer = cells[4].strip("*")
        assert tuple(cells[:5]) == table.cells(case, answer, "")[:5]
        rows.append((case, Row(case.name, case.split, "" if answer == "right" else answer, cells[5], case.known_miss)))
    assert table.rendered(rows) == table.TABLE.read_text(encoding="utf-8")


def test_the_sample_is_fixed_and_of_every_set() -> None:
    chosen = sample(load(), 20)
    assert [case.name for case in chosen] == [case.name for case in sample(list(reversed(load())), 20)][::-1]
    sampled = [case for case in load() if not case.whole]
    assert {(case.split, case.expected) for case in chosen} == {(case.split, case.expected) for case in sampled}
    assert {case.name for case in sample(load(), 10)} <= {case.name for case in chosen}


def test_the_command_ends_with_the_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--split", "float16", "--sample", "4", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 passed, 0 failed, 0 known misses"
    rows = [Row("a", "float16", "missed", "", ""), Row("b", "float16", "missed", "", "known")]
    monkeypatch.setattr("evaluation.run.judged", lambda *_: rows)
    assert main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 1 failed, 1 known misses"
