"""Two networks in one: channel groups that layer after layer hardly connects, one fed another view than the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_clusters import TwoGroups, two_groups
from pytest_facechallenge.analyses.implicit_batch.channel_groups import mixing
from pytest_facechallenge.analyses.implicit_batch.channel_partition import (
    WHOLE,
    Statistics,
    agreement,
    measure,
    structured_images,
)
from pytest_facechallenge.analyses.implicit_batch.decouple import without_coupling
from pytest_facechallenge.analyses.implicit_batch.image_transforms import Candidate, candidates
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS, Layer
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part
from pytest_facechallenge.analyses.implicit_batch.reordered_weights import reordered
from pytest_facechallenge.analyses.implicit_batch.silent_channels import groups_without, silent_channels
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import CoupledGroups
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Grouped:
    """A layer and the two groups that its channels fall into."""

    layer: Layer
    groups: TwoGroups


def observe(model: TracedModel, limits: Thresholds) -> list[Hypothesis]:
    """Return the two networks that a model's layers hold, if they do; compared with the coupling taken out."""
    found = _grouped_layers(model, limits)
    own = [entry for entry in found if entry.layer.groups == 1]
    if not own or len(found) < limits.clusters.layers or _share_of_the_body(model, own) < limits.clusters.share:
        return []
    share = model.share(sum(entry.layer.macs for entry in found))
    coupling = {entry.layer.weight: (entry.groups.outputs, entry.groups.inputs) for entry in own}
    changed = without_coupling(model, coupling)
    if changed is None:
        return []
    candidate, alike, unchanged = _likeness(changed, found, limits)
    first = found[0]
    inputs = first.groups.inputs
    one, other = (
        Part(first.layer.data, axis=first.layer.contracted, indices=tuple(np.flatnonzero(mask).tolist()))
        for mask in (inputs, ~inputs)
    )
    seen = CoupledGroups(
        layers=tuple(entry.layer.node.label for entry in found[: limits.running.named]),
        count=len(found),
        share=share,
        coupling=round(max(entry.groups.coupling for entry in own), 5),
        reordered=round(_reordered(model, own, limits), 3),
        alike=round(alike, 3),
        alike_unchanged=round(unchanged, 3),
        transform=candidate.transform if candidate else Transform.NONE,
        colours=candidate.colours if candidate else (),
        turn=candidate.turn if candidate else Transform.NONE,
        taps=candidate.taps if candidate else (),
        branch=model.branch,
    )
    return [Hypothesis(seen, (one, other), coupling)]


def _share_of_the_body(model: TracedModel, found: list[_Grouped]) -> float:
    """Return how much of what layers do that could be grouped is done by those that are.

    First layers mix all colours, and depthwise ones nothing, in any network: both may do most of the work.
    """
    layers = [layer for layer in model.structure.layers if layer not in model.front and layer.groups == 1]
    return sum(entry.layer.macs for entry in found) / max(1, sum(layer.macs for layer in layers))


def _grouped_layers(model: TracedModel, limits: Thresholds) -> list[_Grouped]:
    """Return the layers whose channels fall into two groups, by their weights or because the file says so.

    Where the file says so of all of them, other observers look at those.
    """
    structure = model.structure
    found = []
    silent = silent_channels(model, limits)
    for layer in structure.layers:
        if layer.groups > limits.clusters.groups:
            continue
        weights = structure.constant(layer.weight)
        if weights is None or weights.size > limits.clusters.largest_layer:
            continue
        matrix = mixing(structure, layer)
        groups = groups_without(silent, layer, matrix**2, limits) if matrix is not None else None
        if groups is not None and len(structure.shapes[layer.data]) > layer.contracted:
            found.append(_Grouped(layer, groups))
    return found


def _reordered(model: TracedModel, found: list[_Grouped], limits: Thresholds) -> float:
    """Return the share of one group's kernels that are the other's in another order and scale, over all layers."""
    shares = []
    for entry in found:
        weights = np.asarray(model.structure.constant(entry.layer.weight))
        first = entry.layer.node.inputs[0] == entry.layer.data
        convolution = entry.layer.node.op in CONVOLUTIONS
        if not convolution and first != bool(entry.layer.node.attributes.get("transB", 0)):
            weights = weights.T
        shares.append(max(reordered(one, other, limits) for one, other in _pairs(weights, entry.groups, limits)))
    return float(np.median(shares)) if shares else 0.0


def _pairs(weights: Array, groups: TwoGroups, limits: Thresholds) -> Iterator[tuple[Array, Array]]:
    """Yield the kernels of each two groups: the two, or of three or four those that these fall into again.

    Parameters
    ----------
    weights
        float [outputs, inputs, ...].
    """
    halves = [weights[np.ix_(rows, columns)] for rows, columns in groups.both]
    if halves[0].shape == halves[1].shape:
        yield halves[0], halves[1]
        return
    blocks = []
    for half in halves:
        again = two_groups((half.astype(np.float64) ** 2).reshape(*half.shape[:2], -1).sum(2), limits)
        blocks += [half] if again is None else [half[np.ix_(rows, columns)] for rows, columns in again.both]
    yield from combinations(blocks, 2)


def _likeness(model: TracedModel, found: list[_Grouped], limits: Thresholds) -> tuple[Candidate | None, float, float]:
    """Return the change of the image under which one group's features are the other's, that share, and without it."""
    spread = np.unique(np.linspace(0, len(found) - 1, min(limits.clusters.compared, len(found))).astype(int))
    asked = [found[index] for index in spread]
    layers = [entry.layer for entry in asked]
    runner = model.open([layer.node.outputs[0] for layer in layers], model=model.variant.model)
    base = structured_images(model, limits)
    masks = [entry.groups.outputs for entry in asked]

    def summed_up(images: Array) -> list[Statistics | None]:
        return [numbers.get(WHOLE) for numbers in measure(model, runner, layers, images, limits)]

    return likeness(masks, summed_up, base, candidates(model.structure, model.front, limits), limits)


def likeness(
    masks: Sequence[Array],
    summed_up: Callable[[Array], list[Statistics | None]],
    base: Array,
    changes: Sequence[Candidate],
    limits: Thresholds,
) -> tuple[Candidate | None, float, float]:
    """Return the change of the image under which one group's features are the other's, that share, and without it.

    Parameters
    ----------
    masks
        For each value that is asked: which of its channels are in the first group, bool [channels].
    summed_up
        Images, float32 [n, C, H, W], to the statistics of all channels of each of these values; None for some value
        whose size is another one.
    base
        The images.
    changes
        The changes that are tried.
    """
    plain = summed_up(base)
    unchanged = _agreeing(masks, plain, plain, limits)
    best: tuple[Candidate | None, float] = (None, 0.0)
    for candidate in changes:
        images = candidate.change(base)
        if images.shape != base.shape:
            continue
        share = _agreeing(masks, plain, summed_up(images), limits)
        if share > best[1]:
            best = (candidate, share)
    better = best[1] > unchanged + limits.clusters.better
    return (best[0] if better else None), best[1], unchanged


def _agreeing(
    masks: Sequence[Array], plain: Sequence[Statistics | None], turned: Sequence[Statistics | None], limits: Thresholds
) -> float:
    """Return the share of one group's channels that are the other's on changed images; the median over the values."""
    shares = []
    for mask, one, other in zip(masks, plain, turned, strict=True):
        if one is not None and other is not None:
            shares.append(max(_share(one, other, own, limits) for own in (mask, ~mask)))
    return float(np.median(shares)) if shares else 0.0


def _share(one: Statistics, other: Statistics, own: Array, limits: Thresholds) -> float:
    alike, live = agreement(_of(one, own), _of(other, ~own))
    if live.sum() < limits.equivariance.channels:
        return 0.0
    return float((alike.max(1)[live] >= limits.equivariance.alike).mean())


def _of(numbers: Statistics, mask: Array) -> Statistics:
    """Return the statistics of some channels."""
    (mean, skew), (first, second) = numbers.marks, numbers.live
    return Statistics((mean[..., mask], skew[..., mask]), (first[:, mask], second[:, mask]))
