"""The network where a finding names nodes: what is found in its texts, what is drawn around it, and its limits."""

from __future__ import annotations

import re

import pytest

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.outline import OutlineFacts, OutlineNode
from pytest_facechallenge.core.outcome import Evidence, Status
from pytest_facechallenge.engine.report import RuleResult
from pytest_facechallenge.reports.page.neighbourhood import (
    MOST_DRAWINGS,
    MOST_NODES,
    MOST_OF_A_TRACK,
    Outline,
    drawings,
    drawings_of_track,
    named,
    networks_of,
)
from pytest_facechallenge.reports.page.network import BOX_WIDTH, MOST_IN_A_ROW, Drawing
from tests.support.reports import result, track


def chain(*names: str) -> Outline:
    """A network of one path."""
    ends = [OutlineNode("image", "input"), *(OutlineNode(name, "Conv", (at,)) for at, name in enumerate(names))]
    return Outline(OutlineFacts(nodes=(*ends, OutlineNode("embedding", "output", (len(names),)))))


def finding(where: str = "", what: str = "", message: str = "Found.") -> RuleResult:
    return result("no-float16", Status.FAILED, message=message, evidence=(Evidence(where=where, what=what),))


def names_of(outline: Outline, found: RuleResult) -> list[str]:
    return [outline.nodes[place].name for place in named(outline, found)]


def shown(drawing: Drawing) -> list[str]:
    return [box.full for box in drawing.boxes]


@pytest.mark.parametrize(
    ("where", "what", "expected"),
    [
        ("node 'conv_2'", "", ["conv_2"]),
        ("initializer 'w'", "read by node 'conv_1' and 'conv_3'", ["conv_1", "conv_3"]),
        ("conv_1, conv_3", "", ["conv_1", "conv_3"]),
        # A word of a sentence is no node, whatever nodes are called.
        ("batch of 2", "the relu is what it is", []),
        ('node "it\'s/4"', "", ["it's/4"]),
        (r"node 'back\\slash'", "", ["back\\slash"]),
        ("declared output 'embedding'", "", ["embedding"]),
        ("output 'embedding'", "made by node 'conv_3'", ["conv_3"]),
    ],
)
def test_nodes_are_found_in_the_texts_of_a_finding(where: str, what: str, expected: list[str]) -> None:
    outline = chain("conv_1", "relu", "conv_2", "conv_3", "it's/4", "back\\slash")
    assert names_of(outline, finding(where, what)) == expected


def test_two_steps_around_are_drawn_and_lines_lead_on() -> None:
    outline = chain(*(f"conv_{number}" for number in range(9)))
    (drawn,) = drawings(outline, finding("node 'conv_4'"))
    assert shown(drawn) == ["conv_2", "conv_3", "conv_4", "conv_5", "conv_6"]
    assert [box.full for box in drawn.boxes if box.css == "net-named"] == ["conv_4"]
    assert (len(drawn.edges), len(drawn.stubs)) == (4, 2)
    assert "Conv conv_3 feeds Conv conv_4 (named by the finding)" in drawn.description


def test_nodes_far_apart_have_a_drawing_each_and_near_ones_share_it() -> None:
    outline = chain(*(f"conv_{number}" for number in range(40)))
    assert len(drawings(outline, finding("conv_1, conv_2"))) == 1
    assert len(drawings(outline, finding("conv_1, conv_12"))) == 2
    assert len(drawings(outline, finding("conv_1, conv_12, conv_22, conv_32"))) == MOST_DRAWINGS


def test_a_wide_row_is_cut_and_keeps_what_the_finding_names() -> None:
    inside = tuple(OutlineNode(f"branch_{number}", "Conv", (0,)) for number in range(60))
    outline = Outline(OutlineFacts(nodes=(OutlineNode("image", "input"), *inside)))
    (drawn,) = drawings(outline, finding("node 'branch_50'"))
    assert "branch_50" in shown(drawn)
    assert len(drawn.boxes) == MOST_IN_A_ROW + 1
    assert drawn.rest == f"{MOST_NODES - len(drawn.boxes)} more nodes beside these are left out."
    assert drawn.width < (MOST_IN_A_ROW + 1) * BOX_WIDTH


def test_a_node_stands_below_all_that_it_reads_from_and_no_boxes_overlap() -> None:
    nodes = (
        OutlineNode("image", "input"), OutlineNode("a1", "Conv", (0,)), OutlineNode("a2", "Relu", (1,)),
        OutlineNode("b1", "Conv", (0,)), OutlineNode("join", "Add", (2, 3)), OutlineNode("out", "output", (4,)),
    )  # fmt: skip
    (drawn,) = drawings(Outline(OutlineFacts(nodes=nodes)), finding("node 'a2'"))
    at = {box.full: (box.left, box.top) for box in drawn.boxes}
    for node in nodes:
        for source in node.sources:
            assert at[nodes[source].name][1] < at[node.name][1]
    assert len(set(at.values())) == len(at)
    assert all(0 <= left and left + BOX_WIDTH <= drawn.width for left, _ in at.values())


def test_only_findings_are_drawn() -> None:
    outline = chain("conv_1")
    kept = result("flops-budget", evidence=(Evidence(where="node 'conv_1'", what="dear"),))
    open_ = result("latency", Status.UNDECIDED, evidence=(Evidence(where="node 'conv_1'", what="slow"),))
    assert set(drawings_of_track(outline, track(kept, open_))) == {"latency"}
    assert drawings_of_track(None, track(open_)) == {}


def test_a_network_too_large_is_said_where_there_are_findings() -> None:
    facts = Facts({"outline": OutlineFacts(left_out=12_345)})
    assert "12,345 nodes" in networks_of(facts, [track(finding())]).undrawn
    assert networks_of(facts, [track(result("input"))]) == (({},), "")
    assert networks_of(Facts(), [track(finding())]) == (({},), "")


def test_a_track_has_few_drawings_those_of_broken_rules_first() -> None:
    outline = chain(*(f"conv_{number}" for number in range(200)))
    where = [(Evidence(where=f"conv_{n}, conv_{n + 10}", what="seen"),) for n in range(0, 160, 20)]
    rules = [result(f"open-{n}", Status.UNDECIDED, evidence=each) for n, each in enumerate(where[:3])]
    rules += [result(f"broken-{n}", Status.FAILED, evidence=each) for n, each in enumerate(where[3:])]
    judged = track(*rules)
    found = drawings_of_track(outline, judged)
    assert list(found) == ["broken-0", "broken-1", "broken-2"]
    assert sum(map(len, found.values())) == MOST_OF_A_TRACK
    facts = Facts({"outline": OutlineFacts(nodes=outline.nodes)})
    assert "no more than 6 places" in networks_of(facts, [judged]).undrawn


def test_sources_that_no_network_has_are_no_lines() -> None:
    nodes = (OutlineNode("a_1", "Conv", (5, -1, 0)), OutlineNode("a_2", "Conv", (0, 1, 99)))
    (drawn,) = drawings(Outline(OutlineFacts(nodes=nodes)), finding("node 'a_2'"))
    assert len(drawn.edges) == 1
    assert not re.search("nan|inf", "".join(drawn.edges + drawn.stubs))
