"""The tables as plain rows and lines."""

from __future__ import annotations

from pathlib import Path

from pytest_facechallenge.analyses.flops import tables
from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.analyses.flops_crosscheck.tables import crosscheck
from pytest_facechallenge.core.facts.flops import CrosscheckFacts, GroupCount
from pytest_facechallenge.onnx_graph.ir import from_model
from pytest_facechallenge.refnets import build
from pytest_facechallenge.reports.terminal import render_table
from pytest_facechallenge.reports.view import View

from .build import cost

TEXT = (
    "g (float[N,8,4,4] x, float[5,8,1,1] w, float[9,5,1,1] wz) => (y) "
    "{ t = Conv(x, w)\n u = Conv(t, wz)\n y = own.Magic(u) }"
)


def test_layers_and_what_could_not_be_counted() -> None:
    table = tables.layers(cost(TEXT))
    assert [row[0] for row in table.rows] == ["Conv_1", "Conv_0", "Magic_2", "sum"]
    assert table.rows[0] == ("Conv_1", "Conv 1x5x4x4 -> 1x9x4x4, 1x1", "720", "1,296", "51.9%")
    assert table.rows[2][1].startswith("own.Magic: the operator Magic is of the operator set 'own'")
    assert table.rows[2][2:] == ("?", "?", "?")
    assert table.rows[3][2:] == ("1,360", "2,496", "100.0%")


def test_the_dearest_layers_and_the_rest_in_one_row() -> None:
    table = tables.layers(cost(TEXT), most=1)
    assert [row[0] for row in table.rows] == ["Conv_1", "1 more", "Magic_2", "sum"]
    assert table.rows[1][3] == "1,200"


def test_every_row_has_every_column() -> None:
    table = tables.layers(cost(TEXT), most=1)
    assert {len(row) for row in (table.headings, *table.rows)} == {5}


def test_numbers_stay_whole_at_80_columns() -> None:
    """A number cut in two lines is no number."""
    table = tables.layers(facts_of(from_model(build("y2"), Path())))
    lines = render_table(table, View(width=80)).splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert all(number in text for row in table.rows for number in row[2:])


def test_crosscheck_with_and_without_a_module() -> None:
    group = GroupCount(group="convolutions", ours=1000, submission=1000)
    other = GroupCount(group="normalisation", submission=7)
    found = CrosscheckFacts(asked=True, groups=(group, other), explanations=("because",), version="fvcore 1")
    table = crosscheck(found)
    assert table.rows == (("convolutions", "1,000", "1,000"), ("normalisation", "not counted", "7"))
    assert table.below == ("because",)
    named = CrosscheckFacts(asked=True, module_factory="a:b", module_problem="it broke.", groups=(group,))
    table = crosscheck(named)
    assert table.headings[3] == "fvcore on a:b"
    assert table.rows[0][3] == "not counted"
    assert table.below == ("it broke.",)
