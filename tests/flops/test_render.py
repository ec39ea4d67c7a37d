"""The tables as plain rows and lines."""

from __future__ import annotations

from pytest_facechallenge.facts.flops import CrosscheckFacts, GroupCount
from pytest_facechallenge.flops import render

from .build import cost

TEXT = (
    "g (float[N,8,4,4] x, float[5,8,1,1] w, float[9,5,1,1] wz) => (y) "
    "{ t = Conv(x, w)\n u = Conv(t, wz)\n y = own.Magic(u) }"
)


def test_layers_and_what_could_not_be_counted() -> None:
    table = render.layers(cost(TEXT))
    assert [row[0] for row in table.rows] == ["Conv_1", "Conv_0", "Magic_2", "sum"]
    assert table.rows[0] == ("Conv_1", "Conv", "1x5x4x4 -> 1x9x4x4, 1x1", "720", "1,296", "1,296", "51.9%")
    assert table.rows[2][1] == "own.Magic"
    assert table.rows[2][3:] == ("?", "?", "?", "?")
    assert table.rows[3][3:] == ("1,360", "2,496", "2,496", "100.0%")


def test_the_dearest_layers_and_the_rest_in_one_row() -> None:
    table = render.layers(cost(TEXT), most=1)
    assert [row[0] for row in table.rows] == ["Conv_1", "1 more", "Magic_2", "sum"]
    assert table.rows[1][4] == "1,200"


def test_every_row_has_every_column() -> None:
    table = render.layers(cost(TEXT), most=1)
    assert {len(row) for row in (table.headings, *table.rows)} == {7}


def test_lines_align_numbers_on_the_right() -> None:
    lines = render.text(render.layers(cost(TEXT)))
    assert lines[0] == "FLOPs of one picture (x 1x8x4x4)"
    ends = [line.index(number) + len(number) for line, number in zip(lines[2:4], ("1,296", "1,200"), strict=True)]
    assert ends[0] == ends[1]


def test_crosscheck_with_and_without_a_module() -> None:
    group = GroupCount(group="convolutions", ours=1000, submission=1000)
    other = GroupCount(group="normalisation", submission=7)
    found = CrosscheckFacts(asked=True, groups=(group, other), explanations=("because",), version="fvcore 1")
    table = render.crosscheck(found)
    assert table.rows == (("convolutions", "1,000", "1,000"), ("normalisation", "not counted", "7"))
    assert table.below == ("because",)
    named = CrosscheckFacts(asked=True, module_factory="a:b", module_problem="it broke.", groups=(group,))
    table = render.crosscheck(named)
    assert table.headings[3] == "fvcore on a:b"
    assert table.rows[0][3] == "not counted"
    assert table.below == ("it broke.",)
