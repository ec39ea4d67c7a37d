"""Echoes: features that the network computes twice, once of the image and once of a turned, moved or zoomed one.

A second look need not be made by an operator, nor by weights that resemble each other, nor lie on an axis of its own.
What it cannot avoid is that some feature B of the image is another feature A of the changed image: B(x) = A(T x).
So every layer's channels are summed up to numbers that do not depend on where in the tensor the features lie, for some
images x and for T x. A channel that another channel (row, half of an axis, layer) repeats on T x is an echo.

Echoes alone prove nothing: a network with mirrored filters whose layers mix them has echoes everywhere and looks once.
They are a second look where the two never mix: they lie in different rows or halves that both see the whole image, in
layers that do not depend on each other, or in channels between which every kernel is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_groups import mixing
from pytest_facechallenge.analyses.implicit_batch.channel_partition import (
    WHOLE,
    Cut,
    Marks,
    agreement,
    agreement_in_place,
    channel_axis,
    images_for_echoes,
    margin_of,
    measure,
    sum_up,
)
from pytest_facechallenge.analyses.implicit_batch.image_transforms import CHANGES, SHIFTS, changes_of
from pytest_facechallenge.analyses.implicit_batch.layer_index import RECURRENT, Layer
from pytest_facechallenge.analyses.implicit_batch.probe_images import TRANSFORMS
from pytest_facechallenge.analyses.implicit_batch.runner import Runner, as_floats
from pytest_facechallenge.analyses.implicit_batch.trace import Probe
from pytest_facechallenge.core.facts.implicit_batch import EchoFact

Array = npt.NDArray[Any]

#: Correlation over the images, of both numbers of a channel, from which one is an echo of the other.
ALIKE = 0.985

#: The same for parts of one tensor: one set of weights made both, so nothing but the borders differs. A trained network
#: that is nearly blind to mirroring stays below.
ALIKE_BY_SHARED_WEIGHTS = 0.997

#: How much further apart two parts of a tensor must be without the change than with it (neighbouring pixels are nearly
#: alike without any): so many times as far, and by this much correlation.
FURTHER, APART = 20, 0.01

#: Correlation of maps, element by element, from which they are the same maps.
SAME_MAPS = 0.9

#: Share of a layer's channels that must be echoes before the layer counts.
SHARE = 0.6

#: Channels compared at first; the others only when these are promising.
GLANCE = 16

#: Above so many channels a sample of this size is compared with all of them.
MANY, ASKED = 2048, 512

#: Channels that a layer needs at least; layers looked at.
CHANNELS, LAYERS = 4, 160

#: The same for networks whose passes are expensive (multiply-adds from `LARGE` on): fewer layers and transforms.
LARGE, LARGE_LAYERS = 2_000_000_000, 24
LARGE_TRANSFORMS = ("mirrored", "mirrored, to the pixel")

#: A part sees the whole image when the edge that reaches it least does so with this part of the best one's force.
EVERYWHERE = 0.1

#: Kernels between two channels below this part of the output's largest one do not mix them.
SILENT = 0.02


def echoes(probe: Probe) -> list[EchoFact]:
    """Find echoes that never mix with what they repeat; the strongest per transform and kind."""
    chosen = _layers(probe)
    if not chosen:
        return []
    heavy = probe.structure.total_macs >= LARGE
    base = images_for_echoes(probe)
    runner = probe.open([layer.node.outputs[0] for layer in chosen])
    plain = measure(probe, runner, chosen, base)
    found: list[EchoFact] = []
    for name, change in changes_of(probe.structure, probe.front).items():
        if heavy and name in CHANGES and name not in LARGE_TRANSFORMS:
            continue
        changed = change(base)
        if changed.shape != base.shape:
            continue
        turned = measure(probe, runner, chosen, changed)
        found += _in_parts(probe, runner, chosen, base, changed, plain, turned, name)
        found += _in_channels(probe, chosen, plain, turned, name)
        found += _in_layers(probe, chosen, plain, turned, name)
    return found


def _layers(probe: Probe) -> list[Layer]:
    structure = probe.structure
    usable = []
    for layer in structure.layers:
        shape = structure.shapes.get(layer.node.outputs[0], ())
        if layer.node.op not in RECURRENT and len(shape) >= 2 and shape[channel_axis(layer, shape)] >= CHANNELS:
            usable.append(layer)
    limit = LARGE_LAYERS if structure.total_macs >= LARGE else LAYERS
    if len(usable) <= limit:
        return usable
    return [usable[i] for i in np.unique(np.linspace(0, len(usable) - 1, limit).astype(int))]


def _in_parts(
    probe: Probe,
    runner: Runner,
    chosen: list[Layer],
    base: Array,
    changed: Array,
    plain: list[dict[Cut, Marks]],
    turned: list[dict[Cut, Marks]],
    change: str,
) -> Iterator[EchoFact]:
    """Find rows, or halves of an axis, that repeat each other and each see the whole image.

    A network with symmetric kernels repeats the left half of its maps in the right half, and even columns in odd ones;
    there the maps turn with the image, from the first layer on, and that transform says nothing.
    """
    for index, layer in enumerate(chosen):
        for cut, numbers in plain[index].items():
            if cut == WHOLE or cut not in turned[index] or (cut.interleaved and change in SHIFTS):
                continue
            pair = _echoing_blocks(numbers, turned[index][cut], cut.blocks)
            if pair is None:
                continue
            if change in CHANGES and _follows(probe, runner, layer, base, changed):
                return
            if not _sees_everything(probe, runner, layer, cut, pair, base):
                return
            axis = "the batch axis" if cut.axis == 0 else f"axis {cut.axis}"
            after = probe.share_after(layer)
            yield EchoFact(
                kind="parts", layers=(layer.node.label,), change=change, share=round(after / 2, 4),
                words=f"parts {pair[0]} and {pair[1]} of {axis}" + (" (in turn)" if cut.interleaved else ""),
                branch=probe.branch,
            )  # fmt: skip
            return


def _echoing_blocks(one: Marks, other: Marks, blocks: int) -> tuple[int, int] | None:
    for first in range(blocks):
        for second in range(blocks):
            if first == second:
                continue
            alike, live = agreement_in_place(one, other, first, second)
            if live.sum() < CHANNELS or (alike[live] >= ALIKE_BY_SHARED_WEIGHTS).mean() < SHARE:
                continue
            same, _ = agreement_in_place(one, one, first, second)
            if (1 - same[live] >= FURTHER * (1 - alike[live]) + APART).mean() >= SHARE:
                return first, second
    return None


def _follows(probe: Probe, runner: Runner, layer: Layer, base: Array, changed: Array) -> bool:
    """Whether the layer's maps are turned as wholes when the image is."""
    value = layer.node.outputs[0]
    one, other = (as_floats(runner(probe.feed(images[:1]))[value]) for images in (base, changed))
    if one is None or other is None or one.ndim < 3:
        return False
    channels = channel_axis(layer, one.shape)
    one, other = np.moveaxis(one, channels, 0), np.moveaxis(other, channels, 0)
    turns = [turn(one) for name, turn in TRANSFORMS.items() if name != "as it is"]
    moves = ((0, 0), (0, 1), (1, 0), (1, 1))
    for turned in (np.roll(turned, move, (-2, -1)) for turned in turns for move in moves):
        if turned.shape != other.shape:
            continue
        with_the_image, without = _correlation(turned, other), _correlation(turned, one)
        if with_the_image >= SAME_MAPS and 1 - without >= 2 * (1 - with_the_image):
            return True
    return False


def _correlation(one: Array, other: Array) -> float:
    """Return |correlation| over the elements, each channel (first axis) centred on its own mean."""
    a, b = (value.reshape(len(value), -1).astype(np.float64) for value in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return abs(float((a * b).sum())) / (float(np.linalg.norm(a) * np.linalg.norm(b)) + 1e-30)


def _sees_everything(probe: Probe, runner: Runner, layer: Layer, cut: Cut, pair: tuple[int, int], base: Array) -> bool:
    """Whether a change along any edge of the image reaches both parts.

    A half of a map sees a little of the other half; it does not see the far edge as well as its own.
    """
    axis = channel_axis(layer, probe.structure.shapes[layer.node.outputs[0]])

    def look(image: Array) -> Array:
        value = as_floats(runner(probe.feed(image[None]))[layer.node.outputs[0]])
        assert value is not None  # noqa: S101  # it was measured before
        mean, skew = sum_up(value, axis, cut)
        return np.stack([mean, skew])[:, list(pair)]

    before = look(base[0])
    reached = []
    margin, strip = margin_of(*base.shape[-2:]), base.shape[-1] // 6
    for side in (-2, -1):
        for start in (margin, base.shape[side] - margin - strip):
            edge = [slice(None)] * 3
            edge[side] = slice(start, start + strip)
            image = base[0].copy()
            image[tuple(edge)] = base[1][tuple(edge)]
            reached.append(np.abs(look(image) - before).max(0))
    sizes = np.stack(reached)  # [edges, parts, channels]
    reach = (sizes / np.maximum(sizes.max((0, 1)), 1e-30)).mean(2)
    return bool((reach.min(0) >= EVERYWHERE * reach.max(0)).all())


def _in_channels(
    probe: Probe, chosen: list[Layer], plain: list[dict[Cut, Marks]], turned: list[dict[Cut, Marks]], change: str
) -> Iterator[EchoFact]:
    """Find layers in which channels repeat others that no kernel connects them with."""
    apart: list[Layer] = []
    mixed = neither = 0
    for index, layer in enumerate(chosen):
        if WHOLE not in plain[index] or WHOLE not in turned[index]:
            continue
        pairs = _echoing_channels(plain[index][WHOLE], turned[index][WHOLE])
        matrix = mixing(probe.structure, layer)
        if not pairs:
            continue
        depthwise = matrix is not None and layer.groups > 1 and matrix.shape[0] // layer.groups < CHANNELS
        if matrix is None or layer in probe.front or min(matrix.shape) < 2 * CHANNELS or depthwise:
            neither += layer.macs  # first layers mix all colours, depthwise ones nothing, in any network
            continue
        parts = components(matrix)
        separate = np.mean([parts[c] != parts[other] for c, other in pairs])
        if separate >= 0.9:
            apart.append(layer)
        else:
            mixed += layer.macs
    work = sum(layer.macs for layer in apart)
    if len(apart) >= 2 and work > mixed:
        work += neither
        yield EchoFact(
            kind="channels", layers=tuple(layer.node.label for layer in apart[:6]), change=change,
            share=round(work / 2 / max(1, probe.structure.total_macs), 4),
            words="channels that no kernel connects", branch=probe.branch,
        )  # fmt: skip


def _echoing_channels(one: Marks, other: Marks) -> list[tuple[int, int]]:
    """Return (channel, the one it repeats) when most live channels repeat another one, else nothing.

    Of very many channels a sample is asked for: all pairs of them would take gigabytes.
    """
    live = one.live[0][0] | one.live[1][0]
    asked = _asked(len(live))
    alike, live = agreement(one, other, asked=asked)
    if live.sum() < CHANNELS:
        return []
    alike[np.arange(len(asked)), asked] = 0
    same, _ = agreement(one, one, asked=asked)
    alike[same >= ALIKE] = 0
    best = alike.argmax(1)
    echoing = live & (alike.max(1) >= ALIKE)
    if echoing.sum() < SHARE * live.sum():
        return []
    return [(int(asked[c]), int(best[c])) for c in np.flatnonzero(echoing)]


def _asked(channels: int) -> Array:
    """Return the channels to ask for: all, or a sample of very many."""
    if channels <= MANY:
        return np.arange(channels)
    return np.sort(np.random.default_rng(8).choice(channels, ASKED, replace=False))


def components(matrix: Array) -> Array:
    """Tell the outputs of a layer apart by which of them share inputs, through any chain.

    Parameters
    ----------
    matrix
        |weights| summed to [outputs, inputs]; what is below `SILENT` of a row's largest entry counts as zero.

    Returns
    -------
    int [outputs]
        Equal for outputs that are connected.
    """
    used = matrix > SILENT * np.maximum(matrix.max(1, keepdims=True), 1e-30)
    label = np.arange(len(matrix))
    owner = np.full(matrix.shape[1], -1)
    for row in range(len(matrix)):
        inputs = np.flatnonzero(used[row])
        for other in np.unique(owner[inputs]):
            if other >= 0:
                label[label == label[other]] = label[row]
        owner[inputs] = row
    return label


def _in_layers(
    probe: Probe, chosen: list[Layer], plain: list[dict[Cut, Marks]], turned: list[dict[Cut, Marks]], change: str
) -> Iterator[EchoFact]:
    """Find layers that repeat others, in parts of the network that do not feed each other.

    One part may depend on the other (a second visit that waits for the first one's answer): it is the first part that
    must not read the second.
    """
    pairs = _echoing_layers(probe, chosen, plain, turned)
    yield from _fed_in_turn(probe, pairs, change)
    pairs = [pair for pair in pairs if _separate(probe, pair, pairs)]
    # One layer with turned kernels, merged at once, is one layer: the two must go on side by side.
    if len(pairs) < 2 or not any(
        _depends(probe, late[0], early[0]) or _depends(probe, late[0], early[1]) for early in pairs for late in pairs
    ):
        return
    work = sum(min(one.macs, other.macs) for one, other in pairs)
    yield EchoFact(
        kind="layers", layers=(pairs[0][0].node.label, pairs[0][1].node.label), change=change,
        share=round(work / max(1, probe.structure.total_macs), 4),
        words=f"{len(pairs)} pairs of layers", branch=probe.branch,
    )  # fmt: skip


def _echoing_layers(
    probe: Probe, chosen: list[Layer], plain: list[dict[Cut, Marks]], turned: list[dict[Cut, Marks]]
) -> list[tuple[Layer, Layer]]:
    """Return (layer, the one whose features on the changed image it has), each layer in one pair at most."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, layer in enumerate(chosen):
        if WHOLE in plain[index] and WHOLE in turned[index]:
            by_shape.setdefault(probe.structure.shapes[layer.node.outputs[0]], []).append(index)
    pairs: list[tuple[Layer, Layer]] = []
    taken: set[int] = set()
    for alike_in_size in by_shape.values():
        for i in alike_in_size:
            for j in alike_in_size:
                if i == j or {i, j} & taken or not _repeats(plain[i][WHOLE], turned[j][WHOLE], plain[j][WHOLE]):
                    continue
                pairs.append((chosen[i], chosen[j]))
                taken |= {i, j}
    return pairs


def _repeats(one: Marks, other: Marks, other_plain: Marks) -> bool:
    """Whether most of one's channels are the other's on the changed image, and not the other's on the same one."""
    some = Marks(
        (one.marks[0][..., :GLANCE], one.marks[1][..., :GLANCE]), (one.live[0][:, :GLANCE], one.live[1][:, :GLANCE])
    )
    alike, live = agreement(some, other)
    if live.sum() < CHANNELS or (alike.max(1)[live] >= ALIKE).mean() < SHARE / 2:
        return False
    asked = _asked(one.live[0].shape[1])
    alike, live = agreement(one, other, asked=asked)
    if live.sum() < CHANNELS or (alike.max(1)[live] >= ALIKE).mean() < SHARE:
        return False
    same, _ = agreement(one, other_plain, asked=asked)
    return bool((same.max(1)[live] >= ALIKE).mean() < 0.5)


def _fed_in_turn(probe: Probe, pairs: list[tuple[Layer, Layer]], change: str) -> Iterator[EchoFact]:
    """Find weights that are fed a feature in one execution and its echo in another, one after the other."""
    structure = probe.structure
    for one, other in pairs:
        fed: dict[str, tuple[list[Layer], list[Layer]]] = {}
        for layer in structure.layers:
            roots = probe.regions[layer.data][1]
            reads = [out.node.outputs[0] in roots for out in (one, other)]
            if reads in ([True, False], [False, True]):
                fed.setdefault(layer.weight, ([], []))[reads.index(True)].append(layer)
        both = [executions for executions in fed.values() if executions[0] and executions[1]]
        work = _repeated(probe, [layer for sides in both for side in sides for layer in side])
        if work:
            yield EchoFact(
                kind="in turn", layers=(both[0][0][0].node.label, both[0][1][0].node.label), change=change,
                share=round(work / max(1, structure.total_macs), 4),
                words=f"'{one.node.label}' and '{other.node.label}' feed the same weights", branch=probe.branch,
            )  # fmt: skip
            return


def _repeated(probe: Probe, starts: list[Layer]) -> int:
    """Return the multiply-adds of all but the first execution of each weight, in these layers and what follows them."""
    first: set[str] = set()
    work = 0
    for layer in probe.structure.layers:
        if layer in starts or any(_depends(probe, layer, start) for start in starts):
            work += layer.macs if layer.weight in first else 0
            first.add(layer.weight)
    return work


def _depends(probe: Probe, later: Layer, earlier: Layer) -> bool:
    position = probe.structure.position
    return bool((probe.structure.ancestors[position[id(later.node)]] >> position[id(earlier.node)]) & 1)


def _separate(probe: Probe, pair: tuple[Layer, Layer], pairs: list[tuple[Layer, Layer]]) -> bool:
    """Whether no other pair feeds both of this pair's layers from both of its own."""
    for early in pairs:
        if early is not pair and all(_depends(probe, mine, theirs) for theirs in early for mine in pair):
            return False
    return True
