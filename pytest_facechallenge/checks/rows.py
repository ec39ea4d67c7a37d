"""What the graph and the batches made for it say about rows that depend on each other."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.core.facts.flow import BatchFlow, BatchProbe, FlowFacts, ProbesFacts
from pytest_facechallenge.core.outcome import Evidence

#: Nodes that are listed as evidence.
MOST = 4
#: The largest value of all rows may be taken away for the sake of an exponential, which makes up for it: that such a
#: value passes a condition proves nothing.
_UNDONE = frozenset({"ReduceMax", "ReduceMin"})


@dataclass(frozen=True)
class RowsSeen:
    """What was seen.

    Attributes
    ----------
    wrong
        What breaks the rule, in the words of a headline.
    open
        What leaves it undecided; "" when nothing does.
    named
        The first node of the graph through which rows reach each other, in words; "" where there is none.
    evidence
        See `Outcome`.
    """

    wrong: tuple[str, ...] = ()
    open: str = ""
    named: str = ""
    evidence: tuple[Evidence, ...] = ()


def rows_seen(flow: FlowFacts | None, probes: ProbesFacts | None, tolerance: float) -> RowsSeen:
    """Return what the graph and the batches made for it show.

    Parameters
    ----------
    flow, probes
        None where they could not be gathered: then the graph says nothing, which is no proof of anything.
    tolerance
        Largest difference of a row over its largest value that is rounding.
    """
    runs = () if probes is None else probes.batch
    moved = next((run for run in runs if run.change > tolerance), None)
    flows = () if flow is None else flow.batch
    evidence = [
        Evidence(where=f"node {each.node!r}", what=f"{each.op} {each.what}{_gate(each)}") for each in flows[:MOST]
    ]
    evidence += [_run(each) for each in runs]
    named = _named(flows[0]) if flows else ""
    if moved is not None:
        text = (
            f"row {moved.row} of a batch of {moved.size} ({moved.about}) differs from the same image alone by "
            f"{moved.change:.2g} of its largest value"
        )
        wrong = (f"{text}; {named}" if named else text,)
        return RowsSeen(wrong=wrong, named=named, evidence=tuple(evidence))
    if not flows:
        return RowsSeen(evidence=(*evidence, Evidence(where="graph", what=_followed(flow))))
    gated = next((each for each in flows if each.gated and each.op not in _UNDONE), None)
    if gated is not None:
        text = f"{_named(gated)}, and a condition lets that reach the output (no batch that was run meets it)"
        return RowsSeen(wrong=(text,), named=named, evidence=tuple(evidence))
    text = f"{named}, and that reaches the output; no batch that was run shows it".removeprefix("the ")
    return RowsSeen(open=f"The {text}, so whether it ever changes a row is not decided.", named=named,
                    evidence=tuple(evidence))  # fmt: skip


def _followed(flow: FlowFacts | None) -> str:
    if flow is None:
        return "the batch could not be followed through it; the batches that were run decide"
    if flow.lost:
        return f"the batch was followed through it up to {flow.lost!r}; the batches that were run decide"
    return "followed through it, no image of a batch reaches another's row, whatever their number"


def _named(flow: BatchFlow) -> str:
    return f"the node {flow.node!r} ({flow.op}) {flow.what}"


def _gate(flow: BatchFlow) -> str:
    sizes = f", decided by batch sizes such as {', '.join(map(str, flow.batches))}" if len(flow.batches) > 1 else ""
    return f"; a condition decides whether it counts{sizes}" if flow.gated else sizes


def _run(run: BatchProbe) -> Evidence:
    if run.error:
        return Evidence(where=f"batch of {run.size}", what=f"{run.about}: error: {run.error}")
    change = f"largest relative difference {run.change:.1e} (row {run.row})" if run.change >= 0 else "not comparable"
    return Evidence(where=f"batch of {run.size}", what=f"{run.about}: {change}")
