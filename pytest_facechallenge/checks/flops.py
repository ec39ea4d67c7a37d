"""What an image may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.flops import CrosscheckFacts, FlopsFacts, GroupCount
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.core.rulebook import Rule


class _Shown(TypedDict):
    """What every outcome of the budget shows, whatever it says."""

    measured: str
    limit: str
    notes: tuple[str, ...]
    evidence: tuple[Evidence, ...]


#: How many layers an outcome names; the facts hold all of them.
LARGEST = 8


@check(FlopsFacts, parameters={"decimal_limit": float, "free_share": float}, limit="number")
def flops_budget(facts: Facts, rule: Rule) -> Outcome:
    """Compare the FLOPs of one image with the cap.

    What:
        One image may cost at most the track's FLOPs, counted by the challenge's own method.
    Why:
        The light tracks ask how well a face can be recognised with little arithmetic, on whatever hardware. The count
        has to be the same for everybody, so the organisers' method is taken and not the one of a training framework.
    How it is measured:
        A convolution costs (2 * Cin * kh * kw - b) * Hout * Wout * Cout / groups, a fully connected layer
        2 * in * out, minus out without bias; b is 1 without bias, else 0. A convolution with a bias is counted
        without one, because exporters fold BatchNorm into convolutions and leave a bias that the trained network
        does not have; the count with all biases is shown as the other end, and a cap between the two is undecided.
        Every other operator that sums products is counted the same way: matrix products, Einsum, attention,
        recurrent layers, deconvolution, quantised and fused operators, products followed by a sum, bodies of
        functions and loops, the dearer branch of an If. Element-wise work, activations, normalisation and pooling
        are 0, as in the original. Shapes come from shape inference with one image and, where that gives up, from
        a run. An operator whose cost cannot be found leaves the budget undecided. So do operators counted as 0 that
        work on unusually many values (two operations for each are more than the rule's free_share of the figure)
        when products hidden in them could pass the cap.
    How to fix:
        The table of layers shows where the FLOPs go. Fewer channels in the early, large feature maps, an earlier
        stride, depth-wise convolutions, or a narrower embedding head save most. If your own tool shows half of the
        figure, it prints multiply-accumulates: thop, ptflops and fvcore do.
    """
    cost = facts.need(FlopsFacts)
    measured = f"{cost.low:,} FLOPs" + (" at least" if cost.uncounted else "")
    shown = _Shown(measured=measured, limit=_limit(rule), notes=_notes(cost, rule), evidence=_evidence(cost))
    images = "one image" if cost.batch == 1 else f"a batch of {cost.batch} images"
    figure = f"{images} ({cost.image}) costs {_range(cost)}"
    if rule.limit is None:
        return not_applicable(f"{figure}; this track has no cap on FLOPs.", **shown)
    if not rule.within(cost.low / cost.batch):
        return failed(f"{figure}; allowed are {_limit(rule)}{_macs_mistake(cost, rule)}.", remedy=REMEDY, **shown)
    open_question = _unsure_figure(cost, rule, figure) or _unsure_reading(cost, rule, figure)
    if open_question is not None:
        evidence = (*_free(cost), *shown["evidence"]) if open_question.free else shown["evidence"]
        return undecided(
            open_question.message,
            remedy=open_question.remedy,
            measured=measured,
            limit=shown["limit"],
            notes=shown["notes"],
            evidence=evidence,
        )
    return passed(f"{figure}; allowed are {_limit(rule)}.", **shown)


class _Uncertainty(NamedTuple):
    """Why the budget is undecided, what would decide it, and whether the largest free operators are evidence."""

    message: str
    remedy: str
    free: bool = False


def _unsure_figure(cost: FlopsFacts, rule: Rule, figure: str) -> _Uncertainty | None:
    """Return an open question in the figure itself: something is not counted, or the graph is not what it says."""
    if cost.uncounted:
        return _Uncertainty(
            f"{figure}, and what {_names(cost)} cost{'s' if len(cost.uncounted) == 1 else ''} cannot be told: "
            f"{cost.uncounted[0].why}. The figure is a lower bound, so {_limit(rule)} cannot be confirmed.",
            "Export the model with standard operators and fixed sizes (a fixed 3x112x112 input, no loop or "
            "shape that depends on the image), or show the organisers how the named nodes are counted.",
        )
    if cost.assumed:
        return _Uncertainty(
            f"the cost depends on more than the file says: {'; '.join(cost.assumed)}. With this, {figure}.",
            "Export the model with an open batch axis and a fixed channel count, height and width.",
        )
    if cost.problems:
        return _Uncertainty(
            f"the graph is not sound, so its count is not either: {'; '.join(cost.problems)}. As it stands, {figure}.",
            "Repair the named nodes; onnx.checker and a run with one image show whether the model is sound.",
        )
    return None


def _unsure_reading(cost: FlopsFacts, rule: Rule, figure: str) -> _Uncertainty | None:
    """Return an open question at this cap: the two ends lie around it, or what is free could hide the rest."""
    if not rule.within(cost.high):
        return _Uncertainty(
            f"{figure}: within {_limit(rule)} or above it, depending on what the file does not say.",
            "Export the model in training form, so that BatchNorm stays a node (torch.onnx.export with "
            "training=TrainingMode.PRESERVE and do_constant_folding=False), or show the organisers the network.",
        )
    share = rule.parameters.get("free_share", 0)
    if not rule.within(cost.high + _hideable(cost)) and _hideable(cost) > share * cost.low:
        return _Uncertainty(
            f"{figure}, within the cap; but operators that the method gives 0 work on {cost.touched:,} values of the "
            f"image{_most_free(cost)}. Were each a product and its sum, {_hideable(cost):,} FLOPs more could hide "
            f"there; up to {share:.0%} of the figure would be usual.",
            "Write products and their sums as Conv, Gemm, MatMul or Einsum, where they are counted exactly, or "
            "show the organisers what the named nodes do.",
            free=True,
        )
    return None


REMEDY = (
    "See the largest layers below (all of them with --facechallenge-flops-by-layer). Reduce channels where the feature "
    "maps are large, stride earlier, use depth-wise convolutions or a narrower head, and count with "
    "this tool rather than one that prints multiply-accumulates."
)


#: What makes the high count higher, by family of the layers whose counts differ.
READINGS = {
    "every bias is the network's own": ("convolution", "deconvolution"),
    "Fourier transforms are done as matrix products": ("other",),
    "maps that are scaled and then summed count as products": ("scaled and summed",),
}


def _range(cost: FlopsFacts) -> str:
    differing = {layer.family for layer in cost.layers if layer.high > layer.low}
    said = [words for words, families in READINGS.items() if differing & set(families)]
    return f"{cost.low:,} FLOPs" + (f" ({cost.high:,} if {' and '.join(said)})" if said else "")


def _hideable(cost: FlopsFacts) -> int:
    """Return the operations if every value that free operators touch were a product that is added to a sum."""
    return 2 * cost.touched


def _most_free(cost: FlopsFacts) -> str:
    most = ", ".join(f"{work.node!r} ({work.op}) on {work.values:,}" for work in cost.free[:3])
    return f", most by {most}" if most else ""


def _free(cost: FlopsFacts) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(where=f"node {work.node!r} ({work.op})", what=f"works on {work.values:,} values, counted as 0")
        for work in cost.free[:LARGEST]
    )


def _limit(rule: Rule) -> str:
    if isinstance(rule.limit, (int, float)):
        return f"{rule.comparison} {rule.limit:,}{' ' + rule.unit if rule.unit else ''}"
    return rule.limit_text()


def _names(cost: FlopsFacts) -> str:
    names = [f"node {entry.node!r} ({entry.op})" for entry in cost.uncounted[:3]]
    more = len(cost.uncounted) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _macs_mistake(cost: FlopsFacts, rule: Rule) -> str:
    if not rule.within(cost.macs):
        return ""
    return (
        f". Its {cost.macs:,} multiply-accumulates would be within the cap, but the challenge counts "
        "multiplication and addition: a tool that prints MACs as FLOPs (thop, ptflops, fvcore) shows half of that"
    )


def _notes(cost: FlopsFacts, rule: Rule) -> tuple[str, ...]:
    notes = [f"{cost.macs:,} multiply-accumulates (MACs), {cost.parameters:,} parameters"]
    if isinstance(rule.limit, (int, float)):
        notes.append(_distance(cost.low, rule.limit, "the cap"))
    decimal = rule.parameters.get("decimal_limit")
    if isinstance(decimal, (int, float)):
        notes.append(_distance(cost.low, decimal, "the cap read as a decimal number"))
    notes += [*_literal_notes(cost), *_spent_notes(cost)]
    if cost.once:
        notes.append(
            f"{cost.once:,} FLOPs on constants are done once at load, not per image, and are not in the figure"
        )
    if cost.unused:
        notes.append(f"{len(cost.unused)} node(s) reach no output and are not counted: {', '.join(cost.unused[:3])}")
    return (*notes, *cost.remarks)


def _distance(value: int, limit: float, what: str) -> str:
    gap = limit - value
    if value > 2 * limit:
        return f"{value / limit:.1f} times {what}, {limit:,}"
    return f"{abs(gap):,.0f} FLOPs ({abs(gap) / limit:.2%}) {'below' if gap >= 0 else 'above'} {what}, {limit:,}"


def _literal_notes(cost: FlopsFacts) -> list[str]:
    """Say by how much the judged figure differs from the organisers' literal arithmetic, and why."""
    gap = cost.low - cost.literal
    if not gap:
        return []
    ignored = sum(layer.low for layer in cost.layers if not layer.literal)
    folded = ignored - gap
    reasons = []
    if folded:
        reasons.append(f"-{folded:,} for biases that may be folded BatchNorms")
    if ignored:
        reasons.append(f"+{ignored:,} for operators that the organisers' counter gives 0")
    return [
        f"the organisers' arithmetic taken literally on this file gives {cost.literal:,} FLOPs; the judged figure "
        f"differs by {gap:+,} ({', '.join(reasons)})"
    ]


def _spent_notes(cost: FlopsFacts) -> list[str]:
    """Say where the figure comes from, and how much the operators do that are not in it."""
    total = max(1, cost.low)
    notes = []
    if cost.low:
        kinds = ", ".join(f"{family} {low / total:.1%}" for family, low in cost.families.items() if low)
        largest = ", ".join(f"{layer.node} {layer.low / total:.1%}" for layer in cost.layers[:3])
        notes.append(f"spent on {kinds}; most by {largest} (all with --facechallenge-flops-by-layer)")
    if cost.touched:
        notes.append(
            f"element-wise work, normalisation and pooling, 0 in the method, touch {cost.touched:,} values "
            f"(at two operations each {_hideable(cost) / total:.1%} of the figure)"
        )
    return notes


def _evidence(cost: FlopsFacts) -> tuple[Evidence, ...]:
    total = max(1, cost.low)
    found = [Evidence(where=f"node {entry.node!r} ({entry.op})", what=entry.why) for entry in cost.uncounted[:LARGEST]]
    for layer in cost.layers[:LARGEST] if cost.low else ():
        times = f", {layer.times} times" if layer.times > 1 else ""
        what = f"{layer.low:,} FLOPs ({layer.low / total:.1%}): {layer.family}, {layer.text}{times}"
        found.append(Evidence(where=f"node {layer.node!r} ({layer.op})", what=what))
    return tuple(found)


@check(CrosscheckFacts)
def flops_crosscheck(facts: Facts, rule: Rule) -> Outcome:
    """Show fvcore's count of the submission, and of the participant's own module, beside ours.

    What:
        A second, independent count of the multiply-accumulates, by fvcore.
    Why:
        A budget is worth something only when the count can be believed; an independent tool finding the same number of
        multiply-accumulates says that no layer was lost or counted twice.
    How it is measured:
        The submission is brought into torch operator by operator, and fvcore's FlopCountAnalysis traces it with one
        image; the same for the participant's torch module when one is named. fvcore counts one multiply-accumulate
        as 1, the challenge as 2, so multiply-accumulates are compared, without normalisation and element-wise work.
    How to fix:
        A difference names the kind of layer. When your own module costs more or less than the submission, the exported
        file is not the network you think it is.
    """
    found = facts.need(CrosscheckFacts)
    if not found.asked:
        return not_applicable("no cross-check was asked for; --facechallenge-flops-crosscheck asks for one.")
    evidence = tuple(
        Evidence(
            where=group.group,
            what=f"ours {_macs(group.ours)}, fvcore on the submission {_macs(group.submission)}, "
            f"fvcore on the module {_macs(group.module)} MACs",
        )
        for group in found.groups
    )
    trouble = [text for text in (found.problem, found.module_problem) if text]
    if trouble:
        return undecided(
            f"the cross-check could not be made in full: {' '.join(trouble)}",
            remedy='Install the extra "fvcore" (pip install "pytest-facechallenge[fvcore]"), and name a module as '
            "package.module:factory that can be imported from the current folder.",
            measured="not made in full",
            evidence=evidence,
            notes=(*trouble, *found.explanations),
        )
    ours = sum(group.ours or 0 for group in found.groups)
    theirs = sum(group.submission or 0 for group in found.groups if group.ours is not None)
    modules = sum(group.module or 0 for group in found.groups if group.ours is not None)
    measured = f"{ours:,} MACs here, {theirs:,} by fvcore"
    said = measured + (f", {modules:,} by fvcore on {found.module_factory}" if found.module_factory else "")
    if any(_differs(group, bool(found.module_factory)) for group in found.groups):
        if found.left_out:
            return undecided(
                f"the counts differ ({said}), and fvcore has no count for {', '.join(found.left_out)}.",
                remedy="Name a module that writes these out (an attention as two matrix products and a softmax, for "
                "instance), or compare the other kinds of work.",
                measured=f"{said}: not comparable",
                evidence=evidence,
                notes=found.explanations,
            )
        return failed(
            f"the counts differ: {said}. {'; '.join(found.explanations)}.",
            remedy="Look at the kind of layer that differs, and compare it with --facechallenge-flops-by-layer.",
            measured=f"{said}: they differ",
            evidence=evidence,
            notes=found.explanations,
        )
    return passed(
        f"the counts agree: {said}.",
        measured=f"{ours:,} MACs, fvcore agrees",
        limit=rule.limit_text(),
        evidence=evidence,
        notes=found.explanations,
    )


def _differs(group: GroupCount, module: bool) -> bool:
    """Whether fvcore finds another number than we do, beyond its own rounding."""
    if group.ours is None:
        return False
    theirs = [group.submission or 0] + ([group.module or 0] if module else [])
    return any(abs(value - group.ours) > group.rounding for value in theirs)


def _macs(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"
