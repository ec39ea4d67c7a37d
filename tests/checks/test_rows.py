"""What the graph and the batches made for it mean for the rule ``batch``."""

from __future__ import annotations

import pytest

from pytest_facechallenge.checks.rows import rows_seen
from pytest_facechallenge.core.facts.flow import BatchFlow, BatchProbe, FlowFacts, ProbesFacts

FLOW = BatchFlow(kind="over-rows", node="m", op="ReduceMean", what="puts the images of the batch together")


def facts(*flows: BatchFlow, lost: str = "") -> FlowFacts:
    return FlowFacts(batch=flows, lost=lost)


def probed(change: float) -> ProbesFacts:
    return ProbesFacts(batch=(BatchProbe(about="3 different images", size=3, row=2, change=change, width=8),))


@pytest.mark.parametrize(("change", "wrong"), [(1e-3, False), (1.1e-3, True)])
def test_a_batch_that_shows_a_flow_breaks_the_rule(change: float, wrong: bool) -> None:
    seen = rows_seen(facts(FLOW), probed(change), 1e-3)
    assert (bool(seen.wrong), bool(seen.open)) == (wrong, not wrong)
    assert "node 'm' (ReduceMean) puts the images of the batch together" in " ".join((*seen.wrong, seen.open))


@pytest.mark.parametrize(("op", "gated", "wrong"), [("ReduceMean", True, True), ("ReduceMean", False, False),
                                                    ("ReduceMax", True, False)])  # fmt: skip
def test_a_flow_behind_a_condition_breaks_the_rule_unseen(op: str, gated: bool, wrong: bool) -> None:
    flow = BatchFlow(kind="over-rows", node="m", op=op, what="puts the images of the batch together", gated=gated)
    seen = rows_seen(facts(flow), probed(0.0), 1e-3)
    assert (bool(seen.wrong), bool(seen.open)) == (wrong, not wrong)


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (facts(), "no image of a batch reaches another's row"),
        (facts(lost="g"), "followed through it up to 'g'"),
        (None, "could not be followed"),
    ],
)
def test_what_is_not_followed_accuses_nobody(flow: FlowFacts | None, said: str) -> None:
    seen = rows_seen(flow, None, 1e-3)
    assert (seen.wrong, seen.open) == ((), "")
    assert said in seen.evidence[-1].what


def test_a_row_that_moves_breaks_the_rule_where_the_graph_was_lost() -> None:
    seen = rows_seen(facts(lost="g"), probed(0.5), 1e-3)
    assert seen.wrong == (
        "row 2 of a batch of 3 (3 different images) differs from the same image alone by 0.5 of its largest value",
    )
