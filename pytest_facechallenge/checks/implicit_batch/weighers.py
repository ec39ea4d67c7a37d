"""One weigher for each kind of observation: what it means for the rule on implicit batching.

A weigher is given all observations of its kind and yields signs; most look at one observation at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pytest_facechallenge.checks.implicit_batch import wording
from pytest_facechallenge.checks.implicit_batch.confirmation import (
    as_tokens,
    at_the_images_places,
    learned_twice,
    one_function,
    one_network_on_parts,
    seen_exactly,
    unsettled,
    weighed,
)
from pytest_facechallenge.checks.implicit_batch.copies import weigh_copies
from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.checks.implicit_batch.signs import Sign, Weight
from pytest_facechallenge.checks.implicit_batch.views import weigh_views
from pytest_facechallenge.core.facts.implicit_batch import (
    BatchComposition,
    BatchFold,
    CoupledGroups,
    EquivariantFeatures,
    ImplicitBatchFacts,
    InputView,
    ParallelBranches,
    RepeatedKernels,
    SharedWeights,
    StackedCopies,
    Unseen,
)
from pytest_facechallenge.core.facts.implicit_batch_kinds import (
    TURNED,
    TURNED_WEIGHTS,
    FeatureHome,
    Relation,
    SharedInput,
)

Weigher = Callable[[Sequence[Any]], Iterator[Sign]]


def weigh_folds(folds: Sequence[BatchFold]) -> Iterator[Sign]:
    """Weigh rows beyond one per image: pieces (windows), or copies, which hold more data than they were made from."""
    for fold in folds:
        copied = fold.rows > 1 and fold.growth >= max(LIMITS.copied_least, LIMITS.copied * fold.rows)
        if copied and fold.macs_after >= LIMITS.body:
            sign = Sign(
                Weight.PROOF if fold.macs_after >= LIMITS.most else Weight.UNSURE, f"layer '{fold.layer}'",
                f"works on {fold.rows} rows per image that hold {fold.growth:.2g} times the data they were made from"
                + (f" (put together at '{fold.join}')" if fold.join else "")
                + ": copies, not pieces",
            )  # fmt: skip
            yield weighed(sign, fold.intervention)
        elif fold.rows > 1 and _is_all(fold) and one_network_on_parts(fold.intervention):
            yield Sign(
                Weight.UNSURE, f"layer '{fold.layer}'",
                f"works on {fold.rows} rows per image, and so does all that follows, each row by itself to the end"
                + (f" (put together at '{fold.join}')" if fold.join else "")
                + ": one network that is run on parts of the image, or on views of it that leave pixels out",
            )  # fmt: skip


def _is_all(fold: BatchFold) -> bool:
    """Whether rows go through all of the network, through all behind linear layers, or as places through most of it."""
    least = LIMITS.body if fold.early else LIMITS.most_alone if fold.places else LIMITS.all_alone
    return fold.macs_after >= least


def weigh_shared_weights(families: Sequence[SharedWeights]) -> Iterator[Sign]:
    """Weigh weights that run side by side: a second view when their inputs are versions of one thing."""
    for found in families:
        weight = _weight_of_sharing(found)
        if weight is None:
            continue
        names = " and ".join(f"'{name}'" for name in found.layers[:3])
        sign = Sign(
            weight, f"layers {names}",
            f"run side by side on {wording.shared_input(found)} with {found.weights} weights; {found.count} set(s) of "
            f"weights run so from here on, {found.surplus:.0%} of the multiply-adds beyond one run"
            f"{wording.through(found.via)}",
        )  # fmt: skip
        counted = weighed(sign, found.intervention)
        yield seen_exactly(counted, found.intervention) if weight is Weight.PROOF and found.looks else counted


def _weight_of_sharing(found: SharedWeights) -> Weight | None:
    """Return how much one family of layers counts."""
    if not found.differ:
        return None
    several = found.count >= LIMITS.sets
    match found.inputs:
        case SharedInput.PARTS:
            return None
        case SharedInput.VERSIONS:
            return Weight.PROOF if found.surplus >= LIMITS.body else Weight.REMARK
        case SharedInput.ONE:
            if found.surplus < LIMITS.body or not found.same_settings:
                return None
            if several:
                return Weight.PROOF
            return Weight.UNSURE if found.weights in TURNED_WEIGHTS else Weight.REMARK
        case SharedInput.RESAMPLED:
            least = LIMITS.body if found.from_image else LIMITS.resampled
            if found.surplus < least or not several:
                return None
            # One feature at several thresholds is what the time steps of a spiking network work on, too.
            return Weight.UNSURE if found.spikes and not found.from_image else Weight.PROOF
        case SharedInput.POOLED:
            enough = found.count >= LIMITS.sets_pooled
            return Weight.PROOF if found.surplus >= LIMITS.pooled and enough else None
        case SharedInput.DIFFERENT:
            if found.looks and found.same_size and several and found.surplus >= LIMITS.body:
                # What the second input is was not found; the image itself through the same network is the first look.
                return Weight.PROOF if one_network_on_parts(found.intervention) else Weight.UNSURE
            if found.surplus < LIMITS.most or not several:
                return None
            return Weight.PROOF if found.same_size else Weight.UNSURE


def weigh_repeated_kernels(repeats: Sequence[RepeatedKernels]) -> Iterator[Sign]:
    """Weigh kernels in equal independent parts: through much of the network, it is one on several inputs."""
    for found in repeats:
        if found.share >= LIMITS.repeated and len(found.layers) >= LIMITS.repeated_layers:
            names = ", ".join(f"'{name}'" for name in found.layers)
            sign = Sign(
                Weight.PROOF, f"layers {names}",
                f"their kernels are {found.blocks} independent parts with {found.weights} weights: one network "
                f"applied to {found.blocks} inputs stacked on the channels ({found.share:.0%} of the multiply-adds)",
            )  # fmt: skip
            yield weighed(sign, found.intervention)


def weigh_branches(pairs: Sequence[ParallelBranches]) -> Iterator[Sign]:
    """Weigh two branches: a second view when one computes what the other does, turned or not; else an ensemble."""
    for pair in pairs:
        weight, why = _weight_of_branches(pair)
        if weight is None:
            continue
        first, second = pair.first, pair.second
        if pair.halves:
            first, second = f"{first} (first part of the channels)", f"{second} (second part of the channels)"
        sign = Sign(
            weight, f"layers '{first}' and '{second}'",
            f"start two branches of the network ({pair.shares[0]:.0%} and {pair.shares[1]:.0%} of the "
            f"multiply-adds) that meet only at '{pair.meet}'; {why}",
        )  # fmt: skip
        counted = weighed(sign, pair.intervention)
        yield seen_exactly(counted, pair.intervention) if weight is Weight.PROOF else counted


def _weight_of_branches(pair: ParallelBranches) -> tuple[Weight | None, str]:
    """Return how much two branches count, and the words for it."""
    if pair.summed:
        return None, ""
    if pair.alike >= LIMITS.alike and pair.transform:
        return Weight.PROOF, (
            f"{pair.alike:.0%} of the features of the second are those that the first computes when what it sees is "
            f"{pair.transform} ({pair.alike_unchanged:.0%} when it is not)"
        )
    if pair.inputs in TURNED | {Relation.SHIFTED, Relation.SCALED} and min(pair.shares) >= LIMITS.body:
        return Weight.PROOF, f"what the second sees is {pair.inputs}"
    if min(pair.shares) < LIMITS.network:
        return None, ""
    if pair.alike_unchanged >= LIMITS.alike:
        return Weight.PROOF, (
            f"{pair.alike_unchanged:.0%} of the features of the second are the first's: one body, run twice"
        )
    if pair.reordered >= LIMITS.alike:
        return Weight.PROOF, (
            f"{pair.reordered:.0%} of the kernels of the second are the first's in another order and scale: one body, "
            "run twice"
        )
    return Weight.REMARK, (
        "their weights have nothing in common: two networks in one graph (an ensemble), which the text does not forbid"
    )


def weigh_equivariant_features(features: Sequence[EquivariantFeatures]) -> Iterator[Sign]:
    """Weigh features of a changed image that never mix with those of the image: a second view of it."""
    for found in features:
        names = " and ".join(f"'{name}'" for name in found.layers[:2])
        weight = Weight.UNSURE if found.share >= LIMITS.hint else Weight.REMARK
        sign = Sign(
            Weight.PROOF if found.share >= LIMITS.body else weight, f"layer(s) {names}",
            f"work on features of the image that are other features of the image {wording.change(found)} "
            f"({wording.home(found)}), and the two do not mix: {found.share:.0%} of the multiply-adds go into the "
            "second view",
        )  # fmt: skip
        in_turn = found.home in (FeatureHome.IN_TURN, FeatureHome.DIRECTIONS)
        counted = weighed(sign, found.intervention, in_turn=in_turn)
        if found.home is FeatureHome.LAYERS and found.pairs < LIMITS.agreeing:
            counted = unsettled(counted, found.intervention)
            if found.share >= LIMITS.body and counted.weight is Weight.REMARK:
                if found.tokens:
                    counted = as_tokens(counted, found.intervention)
                elif found.turned_back >= LIMITS.learned:
                    counted = at_the_images_places(counted, found.turned_back, found.intervention)
            if found.channels >= LIMITS.learned and found.share >= LIMITS.body:
                counted = learned_twice(sign, counted, found.channels, found.turned_back, found.intervention)
            elif counted.weight is Weight.PROOF and not one_function(found.intervention):
                # Fixed filters do that which are each other turned, at the head of two different streams. One function
                # of both is no two streams.
                text = "; what follows may treat the two as different things, as streams of an ensemble do"
                counted = replace(counted, weight=Weight.UNSURE, what=counted.what + text)
        yield seen_exactly(counted, found.intervention) if found.share >= LIMITS.hint else counted


def weigh_groups(groups: Sequence[CoupledGroups]) -> Iterator[Sign]:
    """Weigh two networks in one: a second view when one computes what the other does, else it is not clear."""
    for found in groups:
        names = ", ".join(f"'{name}'" for name in found.layers[:3])
        text = (
            f"the channels of {found.count} layers ({found.share:.0%} of the multiply-adds) fall into two groups with "
            f"{found.coupling:.2%} of the weights' energy between them: two networks in one"
        )
        if found.together:
            text += ", which no layer shows by itself, but what several do together from one activation to the next"
        if found.transform and found.alike >= LIMITS.alike:
            text += (
                f"; {found.alike:.0%} of the features of one are those of the other on the image "
                f"{wording.change(found)} ({found.alike_unchanged:.0%} on the image as it is)"
            )
        elif found.reordered >= LIMITS.alike:
            text += (
                f"; {found.reordered:.0%} of the kernels of one are those of the other in another order and scale: one "
                "body, run twice"
            )
        elif found.alike_unchanged >= LIMITS.alike:
            text += f"; {found.alike_unchanged:.0%} of the features of one are the other's: one body, run twice"
        else:
            # Two networks on one image, kept apart, are an ensemble. Weak weights between them serve no purpose but to
            # hide that there are two.
            text += "; what the second adds to the first was not found: show what each of them is trained on"
            weight = Weight.UNSURE if found.coupling > LIMITS.coupled else Weight.REMARK
            if found.together:
                yield weighed(Sign(weight, f"layers {names}", text), found.intervention)
                continue
            shown = unsettled(
                weighed(Sign(Weight.PROOF, f"layers {names}", text), found.intervention), found.intervention
            )
            yield replace(shown, weight=weight) if shown.weight is not Weight.REMARK else shown
            continue
        counted = weighed(Sign(Weight.PROOF, f"layers {names}", text), found.intervention)
        yield unsettled(counted, found.intervention) if found.together else counted


def weigh_compositions(compositions: Sequence[BatchComposition]) -> Iterator[Sign]:
    """Weigh how embeddings depend on the other images of a batch: beyond rounding, that breaks the rule."""
    for found in compositions:
        if not found.finite:
            yield Sign(Weight.PROOF, "embedding", f"is not finite in {wording.batch(found)}")
        elif found.change is None or found.change <= LIMITS.rounding:
            continue
        elif found.change > LIMITS.influence:
            text = f"changes by {found.change:.2g} of its length in {wording.batch(found)}"
            yield Sign(Weight.PROOF, "embedding", text)
        else:
            yield Sign(
                Weight.UNSURE, "embedding",
                f"changes by {found.change:.2g} of its length in {wording.batch(found)}: more than rounding, less "
                "than an influence that would help",
            )  # fmt: skip
    if compositions and all(found.error for found in compositions):
        reason = compositions[0].error
        yield Sign(Weight.UNSURE, "batch", f"no batch could be run, so the rows' independence was not seen: {reason}")


def weigh_unseen(gaps: Sequence[Unseen]) -> Iterator[Sign]:
    """Note what was not seen: it keeps silence from being an answer."""
    for found in gaps:
        yield Sign(Weight.GAP, "", wording.unseen(found))


#: Kind of observation -> its weigher; findings are told in this order.
WEIGHERS: dict[type, Weigher] = {
    InputView: weigh_views,
    StackedCopies: weigh_copies,
    SharedWeights: weigh_shared_weights,
    RepeatedKernels: weigh_repeated_kernels,
    BatchFold: weigh_folds,
    ParallelBranches: weigh_branches,
    EquivariantFeatures: weigh_equivariant_features,
    CoupledGroups: weigh_groups,
    BatchComposition: weigh_compositions,
    Unseen: weigh_unseen,
}


def weigh(known: ImplicitBatchFacts) -> Iterator[Sign]:
    """Yield what all observations mean."""
    for kind, weigher in WEIGHERS.items():
        yield from weigher([entry for entry in known.observations if isinstance(entry, kind)])
