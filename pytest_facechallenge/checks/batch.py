"""The check of how a model treats batches."""

from __future__ import annotations

import re

from pytest_facechallenge.checks.interface import shape_text
from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.remedies import export_again
from pytest_facechallenge.checks.rows import rows_seen
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.behaviour import BatchFacts, BatchRun, LoadFacts
from pytest_facechallenge.core.facts.flow import FlowFacts, ProbesFacts
from pytest_facechallenge.core.facts.interface import BakedReshape, InterfaceFacts, MarkedNode
from pytest_facechallenge.core.facts.server import ServerFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.text import listed

#: float32 kernels differ between batch sizes in the last bits, and a deep network spreads that; a row that takes part
#: of another row's image differs by far more than this.
ROW_TOLERANCE = 1e-3
#: Nodes that are listed as evidence.
MOST_NODES = 4


@check(LoadFacts, BatchFacts, InterfaceFacts, ServerFacts, FlowFacts, ProbesFacts)
def batch(facts: Facts, rule: Rule) -> Outcome:
    """Judge how the model treats batches.

    What:
        Batches of images of every size run, give one row per image, and no row depends on the other images or on
        the size of the batch.

    Why:
        The server evaluates in batches. A model that answers wrongly in company gets a wrong score, and one that looks
        at the company is not a model of one face.

    How it is measured:
        32 distinct images are run as one batch (the size that the organisers' checker runs); then 7, 2 and 1 of them in
        another order and company. Every row is compared with the same image's row in the largest batch: the largest
        difference must stay below 1e-3 of the row's largest value (float32 noise is about 1e-6). Where the graph of the
        file as it is shows that no image reaches another one's row, nor the size of the batch any value, the largest
        batch is the one of 7. The axis of the batch is followed through the graph as well,
        at whatever batch size and content: a node that sums up, sorts, compares or moves along it, or computes with
        the number of images, and whose result reaches the output, breaks the rule where a condition lies between or
        a batch made for it shows it (of the sizes that the graph compares with, of images beside nearly the same,
        mirrored and like-coloured ones); where neither is so the rule is undecided. Reshapes that fold the batch
        into tokens, channels or windows are followed; what cannot be followed is left to the batches that are run.
        A batch axis that is fixed is made symbolic, as the server
        does, and the repaired model is judged. Where batches do not run and a Reshape's constant holds a batch, the
        batches are run again with that number freed: what then runs was held up by that Reshape. BatchNormalization
        with more than one output is training to some runtimes and inference to others: with
        --facechallenge-server-python the server's own runtime decides.

    How to fix:
        Export with a dynamic batch axis from a model in eval mode, and flatten with x.flatten(1).
    """
    load, found = facts.need(LoadFacts), facts.need(BatchFacts)
    interface = facts.get(InterfaceFacts)
    unrun, rows = _unrun(found.runs), _mixed(found.runs)
    ran = [str(run.size) for run in found.runs if not run.error]
    worst = max((run.worst_relative_difference for run in found.runs), default=-1.0)
    measured = f"ran {', '.join(ran) or 'none'}{_spread(worst)}"
    limit = f"{', '.join(str(run.size) for run in found.runs)}; rows independent"
    evidence = _evidence(found.runs)
    notes: tuple[str, ...] = ()
    if load.fixed_batch and load.repaired:
        notes = (
            f"The file's batch is fixed to {load.fixed_batch}; the server makes it symbolic, and so did this test.",
        )
    elif load.fixed_batch:
        unrun.insert(
            0, f"the batch is fixed to {load.fixed_batch}, and making it symbolic does not work: {load.repair_error}"
        )
    graph = rows_seen(facts.get(FlowFacts), facts.get(ProbesFacts), ROW_TOLERANCE)
    wrong = [*unrun, *rows, *graph.wrong]
    evidence += graph.evidence
    if not wrong and graph.open:
        return undecided(
            graph.open,
            remedy="Remove that node, or let it work on each image alone; then this can be decided.",
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
            notes=notes,
        )
    if not wrong:
        return passed(
            "Every batch size runs, and no row depends on its company.",
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
            notes=notes,
        )
    if not unrun and not graph.wrong and _independent_on_server(facts, rule):
        first = (interface.mixing if interface is not None else ())[0]
        return passed(
            f"In the server's own runtime every row is independent (BatchNormalization {first.node!r} has more than "
            "one output, which that runtime reads as inference).",
            measured=f"{measured}; independent on the server",
            limit=limit,
            evidence=tuple(evidence),
            notes=(*notes, f"In the local runtime {wrong[0]}. Export from model.eval(), so that all runtimes agree."),
        )
    baked = interface.baked if interface is not None and unrun else ()
    mixing = interface.mixing if interface is not None and not unrun else ()
    headline = f"{wrong[0]}; {graph.named}" if rows and graph.named and not unrun and not mixing else wrong[0]
    if baked:
        proven = bool(found.freed) and all(run.gives_rows for run in found.freed)
        headline = f"{headline.partition(': ')[0]}: {_baked_text(baked[0], proven=proven)}"
        evidence = [*_reshapes(baked, found.freed), *evidence]
    elif mixing:
        headline = f"{headline}; {mixing[0].op} {mixing[0].node!r} {mixing[0].why}"
        evidence = [*_marked(mixing), *evidence]
    return failed(
        f"{headline[0].upper()}{headline[1:]}.",
        remedy=export_again(facts, rule, _first(load, baked, mixing)),
        measured=measured,
        limit=limit,
        evidence=tuple(evidence),
        notes=notes,
    )


def _unrun(runs: tuple[BatchRun, ...]) -> list[str]:
    """Return what a person sees of batches that do not run or do not give a row an image."""
    wrong = []
    for run in runs:
        if run.error:
            wrong.append(f"a batch of {run.size} does not run: {run.error.rstrip('.')}")
        elif run.rows != run.size:
            wrong.append(
                f"a batch of {run.size} gives {run.rows if run.rows >= 0 else 'no'} rows instead of {run.size}"
            )
    return wrong


def _mixed(runs: tuple[BatchRun, ...]) -> list[str]:
    """Return what is wrong with the rows of batches that run."""
    wrong, unknown = [], []
    largest = max((run.size for run in runs), default=0)
    for run in runs:
        if not run.gives_rows:
            continue
        if not run.finite:
            wrong.append(f"a batch of {run.size} gives values that are not finite")
        elif run.worst_row < 0:
            unknown.append(
                f"the rows of a batch of {run.size} cannot be compared with the same images' rows in the batch of "
                f"{largest}"
            )
        elif run.worst_relative_difference > ROW_TOLERANCE:
            wrong.append(
                f"row {run.worst_row} of a batch of {run.size} ({run.companions}) differs from the same image's "
                f"row in the batch of {largest} by {run.worst_relative_difference:.2g} of its largest value"
            )
    return wrong or unknown


def _evidence(runs: tuple[BatchRun, ...]) -> list[Evidence]:
    """Return each run; those that end with the same error (other numbers apart) together."""
    found: list[Evidence] = []
    errors: dict[str, list[BatchRun]] = {}
    for run in runs:
        if run.error:
            errors.setdefault(re.sub(r"\d+", "0", run.error), []).append(run)
            continue
        what = f"gave {shape_text(run.shapes[0]) if run.shapes else 'nothing'}"
        if run.worst_row >= 0:
            what += f", largest relative difference {run.worst_relative_difference:.1e} (row {run.worst_row})"
        found.append(Evidence(where=f"batch of {run.size}", what=what))
    for same in errors.values():
        sizes = ", ".join(str(run.size) for run in same)
        found.append(Evidence(where=f"batch of {sizes}", what=f"error: {same[0].error}"))
    return found


def _baked_text(baked: BakedReshape, *, proven: bool) -> str:
    extents = shape_text(baked.extents)
    certain = "holds the batch" if proven else "seems to hold the batch"
    return f"the Reshape {baked.node!r} makes {extents} of every batch; the {baked.extents[0]} in it {certain}"


def _reshapes(baked: tuple[BakedReshape, ...], freed: tuple[BatchRun, ...]) -> list[Evidence]:
    found = []
    for each in baked[:MOST_NODES]:
        came = f", of what comes as {shape_text(tuple('N' if e < 0 else e for e in each.input))}" if each.input else ""
        made = f", made by {each.source}" if each.source else ""
        found.append(
            Evidence(
                where=f"node {each.node!r}",
                what=f"reshapes to {shape_text(each.extents)} ({each.constant}){came}{made}",
            )
        )
    if freed:
        gave = listed(f"{shape_text(run.shapes[0]) if run.shapes else run.error}" for run in freed)
        found.append(
            Evidence(
                where="with that number freed",
                what=f"batches of {', '.join(str(run.size) for run in freed)} gave {gave}",
            )
        )
    return found


def _marked(nodes: tuple[MarkedNode, ...]) -> list[Evidence]:
    """Return the nodes of each operator together; why they mix rows stands in the message."""
    found = []
    for op in dict.fromkeys(each.op for each in nodes):
        names = [repr(each.node) for each in nodes if each.op == op]
        left = len(names) - MOST_NODES
        named = ", ".join(names[:MOST_NODES]) + (f" and {left} more" if left > 0 else "")
        found.append(Evidence(where=f"node{'' if len(names) == 1 else 's'} {named}", what=f"{len(names)} of {op}"))
    return found


def _first(load: LoadFacts, baked: tuple[BakedReshape, ...], mixing: tuple[MarkedNode, ...]) -> str:
    """Return what to change before the file is written again."""
    if baked and load.fixed_batch:
        return "Sizes were fixed at the export: name the batch as dynamic, and flatten with x.flatten(1)."
    if baked:
        return (
            f"In forward(), where it reshapes to {shape_text(baked[0].extents)}, write x.flatten(1), or x.size(0) for "
            f"the {baked[0].extents[0]}."
        )
    if any(each.op == "BatchNormalization" for each in mixing):
        return "Export without training=, from model.eval()."
    return ""


def _independent_on_server(facts: Facts, rule: Rule) -> bool:
    """Return whether all that mixes rows depends on the runtime, and the server's own runtime keeps them apart."""
    interface, server, runtime = facts.get(InterfaceFacts), facts.get(ServerFacts), rule.book.runtime
    if interface is None or server is None or runtime is None or server.stage != "done":
        return False
    same = server.version.split(".")[:2] == runtime.onnxruntime.split(".")[:2]
    known = bool(interface.mixing) and all(each.depends_on_runtime for each in interface.mixing)
    return same and known and 0 <= server.row_difference <= ROW_TOLERANCE


def _spread(worst: float) -> str:
    if worst < 0:
        return ""
    return f"; rows differ <= {worst:.0e}" if worst else "; rows identical"
