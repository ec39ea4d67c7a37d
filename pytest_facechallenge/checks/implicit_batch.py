"""Rules on how often, and in which state, the network looks at a face: implicit batching and re-alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.core.facts.implicit_batch import ImplicitBatchFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.core.facts.implicit_batch import TowerFact, TwinFact, ViewFact
    from pytest_facechallenge.core.rulebook import Rule

Weight = Literal["proof", "doubt", "remark"]

#: Geometry that no convolution does by itself: a second look, whoever works on it.
TURNED = frozenset({"mirrored", "upside down", "rotated"})

#: Turns of kernels.
TURNED_WEIGHTS = frozenset({"mirrored", "upside down", "rotated"})

#: The part of the multiply-adds that runs twice must be at least this for "the body": an attention block's shared
#: product on a pooled vector is far less, a body run twice is half.
BODY = 0.10

#: Weights that run side by side on inputs which differ in a way that nothing explains: the body only when they are
#: most of the network (heads shared over a feature pyramid follow a backbone that runs once).
MOST = 0.34

#: Parts of the network that never meet before the end are two networks when each has this share.
NETWORK = 0.20

#: Rows of a batch: relative change of an embedding up to which rounding explains it, and from which nothing does.
ROUNDING, INFLUENCE = 2e-4, 2e-3

REMEDY = (
    "Run the backbone once on each image as it comes, and export that: leave the flip test (or any other copy of "
    "the image) out of the graph. If this is a false suspicion, show the organisers the nodes named here and the "
    "training code of that part; removing those nodes (or exporting one of the two paths) and embedding the same "
    "images again shows whether they were needed."
)


@dataclass(frozen=True)
class Sign:
    """One thing that speaks against the model: proof, doubt, or a remark that changes nothing."""

    weight: Weight
    where: str
    what: str


@check(ImplicitBatchFacts, FlopsFacts)
def no_implicit_batch(facts: Facts, rule: Rule) -> Outcome:
    """Require that the network looks at each face once, and at each face alone.

    What:
        The body of the network runs once per image: no mirrored, shifted, cropped, zoomed, brightened or otherwise
        changed copy of the image (or of its first features) is sent through it as well, and the rows of a batch do
        not influence each other.

    Why:
        A flip test inside the graph doubles the work while it looks like one inference; the challenge measures models,
        not test-time augmentation ("Implicit batch inference is prohibited").

    How it is measured:
        Loops are unrolled and both sides of every condition followed. With 16 noise images each element of each
        tensor before a layer gets a signature (its values over the images): equal signatures at other places are
        copies, whatever operator made them. Layers that work side by side with shared, equal, mirrored, scaled or
        perturbed weights are compared with what they see; grouped or block-diagonal kernels with their own halves;
        parts of the network that meet only at the end with each other on turned images; every feature with every
        other one on turned, moved, zoomed and recoloured images, where the two never mix. Images are embedded
        alone and in six kinds of company. docs/second-looks.md has the whole of it.

    How to fix:
        Export the backbone alone, without flip test. Where a finding is wrong, the nodes it names are the ones to
        explain; see the finding's remedy.
    """
    known = facts.need(ImplicitBatchFacts)
    signs = [*_from_views(known), *_from_stacks(known), *_from_twins(known), *_from_repeats(known)]
    signs += [*_from_folds(known), *_from_towers(known), *_from_echoes(known), *_from_company(known)]
    return _decide(facts, signs, "a second look at the face", REMEDY, rule)


@check(ImplicitBatchFacts, FlopsFacts)
def no_realignment(facts: Facts, rule: Rule) -> Outcome:
    """Require that the image enters the body as it was given: not warped, cropped or re-sampled.

    What:
        The layers that work on the image get all of its pixels, each in its place. Resizing features later is fine.

    Why:
        Faces are aligned to 112x112 for everybody; a second alignment (or another resolution) inside the graph is an
        advantage that the rules exclude ("re-alignment is prohibited").

    How it is measured:
        For every layer that gets the image without another layer in between, noise images show which pixels are
        present; ramps and natural images show where in the image each value was taken, also when the image
        itself steers the warp (a spatial transformer).

    How to fix:
        Remove the Resize, crop, GridSample, RoiAlign (or product with an interpolation matrix) in front of the first
        layer and train at the given size.
    """
    known = facts.need(ImplicitBatchFacts)
    whole = any(_sees_all(view) for view in known.views)
    signs = [sign for view in known.views if (sign := _realigned(view, whole)) is not None]
    if not known.views and not known.gaps:
        signs.append(
            Sign("doubt", "graph", "no layer that works on the image was found, so nothing shows what it gets")
        )
    remedy = (
        "Give the image to the first layer as it comes (112x112), and train the network at that size. If this is a "
        "false suspicion, show what the named nodes do to an image of a grid."
    )
    return _decide(facts, signs, "a re-aligned or re-sampled image", remedy, rule)


#: Of all multiply-adds, so many must be in layers that were followed before "nothing was found" says anything.
LEAST_FOLLOWED = 0.25


def _not_followed(known: ImplicitBatchFacts, cost: FlopsFacts | None) -> list[str]:
    """Say what keeps silence from being an answer: work in forms that are not followed as layers with weights."""
    if known.layers == 0:
        return ["no layer with weights was found that could be followed"]
    if cost is not None and known.macs < LEAST_FOLLOWED * cost.macs:
        share = known.macs / cost.macs
        return [f"only {share:.0%} of the {cost.macs:,} multiply-adds are in layers that can be followed"]
    return []


def _decide(facts: Facts, signs: list[Sign], what: str, remedy: str, rule: Rule) -> Outcome:
    known = facts.need(ImplicitBatchFacts)
    gaps = [*known.gaps, *_not_followed(known, facts.get(FlopsFacts))]
    signs = list(dict.fromkeys(signs))
    proofs = [sign for sign in signs if sign.weight == "proof"]
    doubts = [sign for sign in signs if sign.weight == "doubt"]
    remarks = tuple(f"{sign.where}: {sign.what}" for sign in signs if sign.weight == "remark")
    evidence = tuple(Evidence(where=sign.where, what=sign.what) for sign in [*proofs, *doubts])
    clause = f" ({rule.clause})" if getattr(rule, "clause", "") else ""
    if proofs:
        message = f"Found {what}{clause}: {proofs[0].where}: {proofs[0].what}."
        if len(proofs) > 1:
            message += f" {len(proofs) - 1} more finding(s) agree."
        # What is remarked beside a proof (a small layer that runs twice as well) would only hide it.
        return failed(message, remedy=remedy, measured=f"{len(proofs)} finding(s)", evidence=evidence)
    if doubts or gaps:
        reasons = [f"{sign.where}: {sign.what}" for sign in doubts] + gaps
        return undecided(
            f"Whether there is {what} is not clear{clause}: " + "; ".join(reasons) + ".",
            remedy="What would decide it: " + remedy, evidence=evidence, notes=remarks,
        )  # fmt: skip
    branches = f", {len(known.branches)} ways through its conditions" if len(known.branches) > 1 else ""
    return passed(
        f"{known.layers} layers with weights followed{branches}; no sign of {what}.",
        measured=f"{known.layers} layers followed",
        notes=remarks,
    )


# -- views of the image ----------------------------------------------------------------------------------------------


def _sees_all(view: ViewFact) -> bool:
    return (view.kind == "exact" and view.coverage >= 0.985) or view.kind in ("in place", "smoothed")


def _pooled_grid(view: ViewFact) -> bool:
    """Whether a pooling operator shrank the image by a whole number: a layer like others, not a new alignment."""
    if view.plain:
        return True
    return view.pooled and all(
        scale >= 1.9 and abs(scale - round(scale)) < 0.02 and abs(offset) <= 1.5 * scale
        for scale, offset in zip(view.scale, view.offset, strict=True)
    )


def _realigned(view: ViewFact, whole: bool) -> Sign | None:
    branch = f" when {view.branch}" if view.branch else ""
    via = f" (through {', '.join(view.via)})" if view.via else ""
    if view.kind == "exact" and 0 < view.coverage < 0.985 and not whole and view.together < 0.985:
        return Sign("proof", f"layer '{view.layer}'", f"gets {view.words}{via}{branch}")
    if view.kind == "chosen":
        return Sign(
            "proof", f"layer '{view.layer}'", f"gets {view.words}: a condition on the image decides{via}{branch}"
        )
    if view.kind == "smoothed" and not view.pooled:
        return Sign(
            "proof", f"layer '{view.layer}'", f"gets {view.words} (each value is a sum over neighbours){via}{branch}"
        )
    if view.kind == "predicted":
        return Sign(
            "proof", f"layer '{view.layer}'", f"gets {view.words}, and each image is warped its own way{via}{branch}"
        )
    if view.kind == "resampled" and not _pooled_grid(view):
        return Sign("proof", f"layer '{view.layer}'", f"gets {view.words}{via}{branch}")
    return None


def _from_views(known: ImplicitBatchFacts) -> Iterator[Sign]:
    """Layers that see the image in different versions."""
    for branch in known.branches:
        views = [view for view in known.views if view.branch == branch]
        straight = [view for view in views if _sees_all(view) and view.turn in ("", "identical", "rescaled")]
        turned = [view for view in views if view.turn in TURNED | {"shifted"} and view.coverage >= 0.9]
        for view in turned:
            via = f" by {', '.join(view.via)}" if view.via else ""
            others = [other for other in [*straight, *turned] if other.turn != view.turn]
            if others:
                yield Sign(
                    "proof", f"layers '{others[0].layer}' and '{view.layer}'",
                    f"the first sees the image {_word(others[0].turn)}, the second sees it {view.turn}{via}",
                )  # fmt: skip
            else:
                yield Sign(
                    "remark", f"layer '{view.layer}'", f"works on the image {view.turn}{via}, and on nothing else"
                )
        for view in views:
            moved = view.kind in ("resampled", "predicted", "chosen") and not _pooled_grid(view)
            cropped = view.kind == "exact" and view.common >= 0.4 and view.coverage < 0.985
            if cropped and not straight:
                yield Sign(
                    "proof", f"layer '{view.layer}'",
                    f"sees {view.words}; {view.common:.0%} of the image is in another part too{_through(view.via)}",
                )  # fmt: skip
            if straight and (moved or cropped):
                yield Sign(
                    "proof", f"layers '{straight[0].layer}' and '{view.layer}'",
                    f"the first sees the whole image, the second {view.words}",
                )  # fmt: skip


def _word(turn: str) -> str:
    return turn if turn in TURNED | {"shifted"} else "as it is"


# -- copies inside a tensor --------------------------------------------------------------------------------------------


def _from_stacks(known: ImplicitBatchFacts) -> Iterator[Sign]:
    for stack in known.stacks:
        text = (
            f"{stack.blocks} versions of one {'image' if stack.from_image else 'feature map'} stand side by side "
            f"on {stack.axis} ({stack.coverage:.0%} of the data occurs in both; one is the other {stack.words}), put "
            f"together at '{stack.join}'{_through(stack.via)}; this layer and what follows it do "
            f"{stack.macs_after:.0%} of the multiply-adds"
        )
        where = f"layer '{stack.layer}'"
        apart = not stack.on_channels or stack.overlap < 0.15
        if stack.macs_after < BODY:
            yield Sign("remark", where, text)
        elif stack.relation == "identical":
            if stack.macs_after >= MOST:
                yield Sign("doubt", where, text + ": the same twice, so something behind it must tell the two apart")
        elif stack.relation == "rearranged" and stack.coverage < 0.75:
            continue  # neighbouring windows that overlap
        elif apart or (stack.from_image and stack.relation in TURNED):
            yield Sign("proof", where, text)


def _through(via: tuple[str, ...]) -> str:
    return f" (data moved by {', '.join(via)})" if via else ""


def _from_folds(known: ImplicitBatchFacts) -> Iterator[Sign]:
    for fold in known.folds:
        if fold.rows > 1 and fold.growth >= max(1.5, 0.45 * fold.rows) and fold.macs_after >= BODY:
            yield Sign(
                "proof" if fold.macs_after >= MOST else "doubt", f"layer '{fold.layer}'",
                f"works on {fold.rows} rows per image that hold {fold.growth:.2g} times the data they were made from"
                + (f" (put together at '{fold.join}')" if fold.join else "")
                + ": copies, not pieces",
            )  # fmt: skip


# -- the same weights side by side -------------------------------------------------------------------------------------


def _from_twins(known: ImplicitBatchFacts) -> Iterator[Sign]:
    for twin in known.twins:
        weight = _twin_weight(twin)
        if weight is None:
            continue
        names = " and ".join(f"'{name}'" for name in twin.layers[:3])
        seen = {
            "one": "the same input", "versions": f"one input and the same {twin.words}",
            "resampled": "two versions re-sampled or changed from one input", "pooled": "one input, pooled differently",
            "parts": "disjoint parts of one input", "different": "inputs that nothing explains",
        }[twin.inputs]  # fmt: skip
        yield Sign(
            weight, f"layers {names}",
            f"run side by side on {seen} with {twin.weights} weights; {twin.count} set(s) of weights run so from here "
            f"on, {twin.surplus:.0%} of the multiply-adds beyond one run{_through(twin.via)}",
        )  # fmt: skip


def _twin_weight(twin: TwinFact) -> Weight | None:
    """Judge one family of layers that run side by side with related weights."""
    if twin.inputs == "parts" or not twin.differ:
        return None
    if twin.inputs == "versions":
        return "proof" if twin.surplus >= BODY else "remark"
    if twin.inputs == "one":
        if twin.surplus < BODY or not twin.same_settings:
            return None
        return "proof" if twin.count >= 2 else "doubt" if twin.weights in TURNED_WEIGHTS else "remark"
    if twin.inputs == "resampled":
        return "proof" if twin.surplus >= (BODY if twin.from_image else 0.2) and twin.count >= 2 else None
    if twin.inputs == "pooled":
        return "proof" if twin.surplus >= MOST / 2 and twin.count >= 3 else None
    if twin.surplus >= MOST and twin.count >= 2:
        return "proof" if twin.same_size else "doubt"
    return None


def _from_repeats(known: ImplicitBatchFacts) -> Iterator[Sign]:
    for repeat in known.repeats:
        if repeat.share >= 0.3 and len(repeat.layers) >= 2:
            names = ", ".join(f"'{name}'" for name in repeat.layers)
            yield Sign(
                "proof", f"layers {names}",
                f"their kernels are {repeat.blocks} independent parts with {repeat.weights} weights: one network "
                f"applied to {repeat.blocks} inputs stacked on the channels ({repeat.share:.0%} of the multiply-adds)",
            )  # fmt: skip


# -- two parts of the network ------------------------------------------------------------------------------------------


def _from_towers(known: ImplicitBatchFacts) -> Iterator[Sign]:
    for tower in known.towers:
        weight, why = _tower_weight(tower)
        if weight is not None:
            yield Sign(
                weight, f"layers '{tower.first}' and '{tower.second}'",
                f"start two parts of the network ({tower.shares[0]:.0%} and {tower.shares[1]:.0%} of the "
                f"multiply-adds) that meet only at '{tower.meet}'; {why}",
            )  # fmt: skip


def _tower_weight(tower: TowerFact) -> tuple[Weight | None, str]:
    if tower.alike >= 0.5 and tower.turn:
        return "proof", (
            f"{tower.alike:.0%} of the features of the second are those that the first computes when what it sees is "
            f"{tower.turn} ({tower.alike_unturned:.0%} when it is not)"
        )
    if tower.inputs in TURNED | {"shifted", "scaled"} and min(tower.shares) >= BODY:
        return "proof", f"what the second sees is {tower.inputs}"
    if min(tower.shares) < NETWORK:
        return None, ""
    if tower.alike_unturned >= 0.5:
        return "proof", f"{tower.alike_unturned:.0%} of the features of the second are the first's: one body, run twice"
    return (
        "remark",
        "their weights have nothing in common: two networks in one graph (an ensemble), which the text does not forbid",
    )


# -- features that repeat others ---------------------------------------------------------------------------------------


def _from_echoes(known: ImplicitBatchFacts) -> Iterator[Sign]:
    for echo in known.echoes:
        names = " and ".join(f"'{name}'" for name in echo.layers[:2])
        yield Sign(
            "proof" if echo.share >= BODY else "doubt" if echo.share >= BODY / 2 else "remark", f"layer(s) {names}",
            f"work on features of the image that are other features of the image {echo.change} ({echo.words}), "
            f"and the two do not mix: {echo.share:.0%} of the multiply-adds go into the second look",
        )  # fmt: skip


# -- rows of a batch ---------------------------------------------------------------------------------------------------


def _from_company(known: ImplicitBatchFacts) -> Iterator[Sign]:
    for fact in known.company:
        if fact.change > INFLUENCE:
            yield Sign("proof", "embedding", f"changes by {fact.change:.2g} of its length in {fact.company}")
        elif fact.change > ROUNDING:
            yield Sign(
                "doubt", "embedding",
                f"changes by {fact.change:.2g} of its length in {fact.company}: more than rounding, less than an "
                "influence that would help",
            )  # fmt: skip
    ran = [fact for fact in known.company if fact.change >= 0]
    if not ran and known.company:
        yield Sign(
            "doubt", "batch", f"no batch could be run, so the rows' independence was not seen: {known.company[0].error}"
        )
