"""The collection of networks whose graph shows something: one of each idea, and, marked slow, all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.graph_shows import rows, single_images, stored
from evaluation.graph_shows.network import CASES
from tests.support.gathering import judge

_FIRST = {(case.idea, case.expected): case.name for case in reversed(CASES.values())}
CHOSEN = set(_FIRST.values()) | {"mean_of_three_hundred", "wider_branch_for_three_hundred"}
#: Judged without running the network.
QUICK = {case.name for case in CASES.values() if case.rules == (stored.RULE,)}


def test_every_module_registers_its_cases() -> None:
    rules = {rule for case in CASES.values() for rule in case.rules}
    assert rules == {rows.RULE, stored.RULE, single_images.CHANCE, single_images.DIMENSION, single_images.COSINE}
    assert {case.expected for case in CASES.values()} == {"passed", "failed", "undecided"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in CHOSEN | QUICK else (pytest.mark.slow,)) for name in CASES],
)
def test_the_rule_says_what_it_has_to(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    assert case.about.endswith(".")
    outcome = judge(case.build(), case.rules[0], tmp_path)
    assert outcome.status == case.expected, outcome.message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mean_of_seventeen", "the node 'ReduceMean_13' (ReduceMean) puts the images of the batch together"),
        ("near_duplicates_by_softmax", "images beside nearly the same, mirrored"),
        ("noise_when_dark", "an ordinary image did not show it"),
        ("another_network_for_one_brightness", "no image was found for the other one"),
        ("codebook_by_hats", "4096 weights come from fewer stored numbers, of which curves make more"),
    ],
)
def test_the_finding_names_the_node_and_what_shows_it(name: str, said: str, tmp_path: Path) -> None:
    case = CASES[name]
    assert said in judge(case.build(), case.rules[0], tmp_path).message
