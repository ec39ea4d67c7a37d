"""Echoes: features that the network computes twice, once of the picture and once of a turned, moved or zoomed one.

A second look need not be made by an operator, nor by weights that resemble each other, nor lie on an axis of its own.
What it cannot avoid is that some feature B of the picture is another feature A of the changed picture: B(x) = A(T x).
So every layer's channels are summed up to numbers that do not depend on where in the tensor the features lie, for some
pictures x and for T x. A channel that another channel (row, half of an axis, layer) repeats on T x is an echo.

Echoes alone prove nothing: a network with mirrored filters whose layers mix them has echoes everywhere and looks once.
They are a second look where the two never mix: they lie in different rows or halves that both see the whole picture, in
layers that do not depend on each other, or in channels between which every kernel is zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pytest_facechallenge.dataflow.changes import CHANGES, SHIFTS, changes_of
from pytest_facechallenge.dataflow.kernels import mixing
from pytest_facechallenge.dataflow.pictures import TRANSFORMS
from pytest_facechallenge.dataflow.probe import Probe
from pytest_facechallenge.dataflow.runner import Runner, as_floats
from pytest_facechallenge.dataflow.structure import CONVOLUTIONS, RECURRENT, Layer
from pytest_facechallenge.facts.dataflow import EchoFact

Array = npt.NDArray[Any]

#: Pictures behind a comparison.
PICTURES = 8

#: Correlation over the pictures, of both numbers of a channel, from which one is an echo of the other.
ALIKE = 0.985

#: How much further apart two parts of a tensor must be without the change than with it (neighbouring pixels are nearly
#: alike without any): so many times as far, and by this much correlation.
FURTHER, APART = 20, 0.01

#: Correlation of maps, element by element, from which they are the same maps.
SAME_MAPS = 0.9

#: Share of a layer's channels that must be echoes before the layer counts.
SHARE = 0.6

#: Channels compared at first; the others only when these are promising.
GLANCE = 16

#: Channels that a layer needs at least, layers looked at, rows of one tensor told apart.
CHANNELS, LAYERS, ROWS = 4, 160, 16

#: The same for networks whose passes are expensive (multiply-adds from `LARGE` on): fewer layers and transforms.
LARGE, LARGE_LAYERS = 2_000_000_000, 24
LARGE_TRANSFORMS = ("mirrored", "mirrored, to the pixel", "upside down")

#: A part sees the whole picture when the edge that reaches it least does so with this part of the best one's force.
EVERYWHERE = 0.1

#: Kernels between two channels below this part of the output's largest one do not mix them.
SILENT = 0.02

#: Around the pictures, so many pixels are even: what moves or grows stays inside.
MARGIN = 16


@dataclass(frozen=True)
class Cut:
    """A way to part a tensor: ``blocks`` parts of ``axis``, contiguous or every n-th index; axis -1 is no part."""

    axis: int
    blocks: int
    interleaved: bool = False


WHOLE = Cut(-1, 1)


@dataclass(frozen=True)
class Marks:
    """What two numbers per picture, part and channel (mean, and skew in -1..1) say about the channels of each part.

    Attributes
    ----------
    marks
        Per number: float64 [blocks, pictures, channels], over the pictures centred and scaled to length 1.
    live
        Per number: bool [blocks, channels], whether it varies over the pictures.
    """

    marks: tuple[Array, Array]
    live: tuple[Array, Array]

    @classmethod
    def of(cls, mean: Array, skew: Array) -> Marks:
        """Make marks of numbers [pictures, blocks, channels]."""
        (one, first), (two, second) = _marks(mean, 1e-4), _marks(skew, 1e-3)
        return cls((one, two), (first, second))


def echoes(probe: Probe) -> list[EchoFact]:
    """Find echoes that never mix with what they repeat; the strongest per transform and kind."""
    chosen = _layers(probe)
    if not chosen:
        return []
    heavy = probe.structure.total_macs >= LARGE
    base = _pictures(probe)
    runner = Runner(probe.model, [layer.node.outputs[0] for layer in chosen], probe.workdir, probe.threads)
    plain = _measure(probe, runner, chosen, base)
    found: list[EchoFact] = []
    for name, change in changes_of(probe.structure, probe.front).items():
        if heavy and name in CHANGES and name not in LARGE_TRANSFORMS:
            continue
        changed = change(base)
        if changed.shape != base.shape:
            continue
        turned = _measure(probe, runner, chosen, changed)
        found += _in_parts(probe, runner, chosen, base, changed, plain, turned, name)
        found += _in_channels(probe, chosen, plain, turned, name)
        found += _in_layers(probe, chosen, plain, turned, name)
    return found


def _layers(probe: Probe) -> list[Layer]:
    structure = probe.structure
    usable = []
    for layer in structure.layers:
        shape = structure.shapes.get(layer.node.outputs[0], ())
        if layer.node.op not in RECURRENT and len(shape) >= 2 and shape[_channels(layer, shape)] >= CHANNELS:
            usable.append(layer)
    limit = LARGE_LAYERS if structure.total_macs >= LARGE else LAYERS
    if len(usable) <= limit:
        return usable
    return [usable[i] for i in np.unique(np.linspace(0, len(usable) - 1, limit).astype(int))]


def _channels(layer: Layer, shape: tuple[int, ...]) -> int:
    return 1 if layer.node.op in CONVOLUTIONS and len(shape) > 2 else len(shape) - 1


def _pictures(probe: Probe) -> Array:
    """Make pictures with structure of several sizes, equal in mean and contrast, even at the border."""
    pictures = probe.feed.pictures
    random = np.random.default_rng(pictures.seed + 2)
    shape = (PICTURES, pictures.channels, pictures.height, pictures.width)
    fields = np.zeros(shape)
    for size in (0.8, 2.5, 8.0):
        field = ndimage.gaussian_filter(random.standard_normal(shape), (0, 0, size, size))
        fields += field / field.std((2, 3), keepdims=True)
    margin = _margin(pictures.height, pictures.width)
    window = np.zeros(shape[2:])
    window[margin : shape[2] - margin, margin : shape[3] - margin] = 1
    fields = (fields - (fields * window).sum((2, 3), keepdims=True) / window.sum()) * window
    fields *= 0.17 / np.sqrt((fields**2).sum((2, 3), keepdims=True) / window.sum())
    unit = np.clip(0.5 + fields, 0, 1)
    made: Array = (pictures.low + (pictures.high - pictures.low) * unit).astype(np.float32)
    return made


def _margin(height: int, width: int) -> int:
    return min(MARGIN, height // 6, width // 6)


def _cuts(shape: tuple[int, ...], channels: int) -> list[Cut]:
    cuts = [WHOLE]
    for axis, extent in enumerate(shape):
        if axis == channels or extent < 2:
            continue
        if axis == 0 and extent <= ROWS:
            cuts.append(Cut(0, extent))
        elif extent % 2 == 0:
            cuts += [Cut(axis, 2), Cut(axis, 2, interleaved=True)]
    return cuts


def _measure(probe: Probe, runner: Runner, chosen: list[Layer], pictures: Array) -> list[dict[Cut, Marks]]:
    """Return for every layer and cut the numbers over the pictures; empty for a tensor whose size changes."""
    kept: list[dict[Cut, list[tuple[Array, Array]]]] = [{} for _ in chosen]
    for picture in pictures:
        values = runner(probe.feed(picture[None]))
        for entry, layer in zip(kept, chosen, strict=True):
            name = layer.node.outputs[0]
            value = as_floats(values[name])
            if value is None or value.shape != probe.structure.shapes[name]:
                continue
            axis = _channels(layer, value.shape)
            for cut in _cuts(value.shape, axis):
                entry.setdefault(cut, []).append(_sum_up(value, axis, cut))
    return [
        {
            cut: Marks.of(np.stack([m for m, _ in pairs]), np.stack([s for _, s in pairs]))
            for cut, pairs in entry.items()
            if len(pairs) == len(pictures)
        }
        for entry in kept
    ]


def _sum_up(value: Array, channels: int, cut: Cut) -> tuple[Array, Array]:
    """Return mean and skew of every part and channel, [blocks, channels]."""
    rows = np.moveaxis(value, channels, -1)
    if cut.axis >= 0:
        axis = cut.axis if cut.axis < channels else cut.axis - 1
        rows = np.moveaxis(rows, axis, 0)
        length = rows.shape[0] // cut.blocks
        parted = (length, cut.blocks) if cut.interleaved else (cut.blocks, length)
        rows = rows.reshape(*parted, *rows.shape[1:])
        rows = np.moveaxis(rows, 1, 0) if cut.interleaved else rows
    flat = rows.reshape(cut.blocks, -1, rows.shape[-1])
    mean = flat.mean(1, dtype=np.float64)
    apart = flat - mean[:, None].astype(np.float32)
    size = np.abs(apart)
    skew = (apart * size).mean(1, dtype=np.float64) / ((size * size).mean(1, dtype=np.float64) + 1e-30)
    return mean, skew


def _marks(numbers: Array, floor: float) -> tuple[Array, Array]:
    """Centre and scale numbers over the pictures; say which vary enough to be compared."""
    centred = numbers - numbers.mean(0)
    length = np.linalg.norm(centred, axis=0)
    live = length > floor * (np.abs(numbers).max(0) + 1e-30)
    scaled = np.where(live, centred / np.maximum(length, 1e-30), 0)
    return np.moveaxis(scaled, 0, 1), live


def _agreement(one: Marks, other: Marks, first: int = 0, second: int = 0) -> tuple[Array, Array]:
    """Return how alike each channel of a part is to each of another, [channels, channels], and which are live."""
    worst: Array | None = None
    for number in (0, 1):
        live, theirs = one.live[number][first], other.live[number][second]
        alike = np.abs(one.marks[number][first].T @ other.marks[number][second])
        alike[~live[:, None] & ~theirs[None, :]] = 1.0
        worst = alike if worst is None else np.minimum(worst, alike)
    assert worst is not None  # noqa: S101  # the loop ran twice
    return worst, one.live[0][first] | one.live[1][first]


def _agreement_in_place(one: Marks, other: Marks, first: int, second: int) -> tuple[Array, Array]:
    """Return how alike each channel of a part is to the same channel of another, [channels], and which are live."""
    worst: Array | None = None
    for number in (0, 1):
        live, theirs = one.live[number][first], other.live[number][second]
        alike = np.abs((one.marks[number][first] * other.marks[number][second]).sum(0))
        alike[~live & ~theirs] = 1.0
        worst = alike if worst is None else np.minimum(worst, alike)
    assert worst is not None  # noqa: S101  # the loop ran twice
    return worst, one.live[0][first] | one.live[1][first]


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
    """Find rows, or halves of an axis, that repeat each other and each see the whole picture.

    A network with symmetric kernels repeats the left half of its maps in the right half, and even columns in odd ones;
    there the maps turn with the picture, from the first layer on, and that transform says nothing.
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
            alike, live = _agreement_in_place(one, other, first, second)
            if live.sum() < CHANNELS or (alike[live] >= ALIKE).mean() < SHARE:
                continue
            same, _ = _agreement_in_place(one, one, first, second)
            if (1 - same[live] >= FURTHER * (1 - alike[live]) + APART).mean() >= SHARE:
                return first, second
    return None


def _follows(probe: Probe, runner: Runner, layer: Layer, base: Array, changed: Array) -> bool:
    """Whether the layer's maps are turned as wholes when the picture is."""
    value = layer.node.outputs[0]
    one, other = (as_floats(runner(probe.feed(pictures[:1]))[value]) for pictures in (base, changed))
    if one is None or other is None or one.ndim < 3:
        return False
    channels = _channels(layer, one.shape)
    one, other = np.moveaxis(one, channels, 0), np.moveaxis(other, channels, 0)
    turns = [turn(one) for name, turn in TRANSFORMS.items() if name != "as it is"]
    moves = ((0, 0), (0, 1), (1, 0), (1, 1))
    for turned in (np.roll(turned, move, (-2, -1)) for turned in turns for move in moves):
        if turned.shape != other.shape:
            continue
        with_the_picture, without = _correlation(turned, other), _correlation(turned, one)
        if with_the_picture >= SAME_MAPS and 1 - without >= 2 * (1 - with_the_picture):
            return True
    return False


def _correlation(one: Array, other: Array) -> float:
    """Return |correlation| over the elements, each channel (first axis) centred on its own mean."""
    a, b = (value.reshape(len(value), -1).astype(np.float64) for value in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    return abs(float((a * b).sum())) / (float(np.linalg.norm(a) * np.linalg.norm(b)) + 1e-30)


def _sees_everything(probe: Probe, runner: Runner, layer: Layer, cut: Cut, pair: tuple[int, int], base: Array) -> bool:
    """Whether a change along any edge of the picture reaches both parts.

    A half of a map sees a little of the other half; it does not see the far edge as well as its own.
    """
    axis = _channels(layer, probe.structure.shapes[layer.node.outputs[0]])

    def look(picture: Array) -> Array:
        value = as_floats(runner(probe.feed(picture[None]))[layer.node.outputs[0]])
        assert value is not None  # noqa: S101  # it was measured before
        mean, skew = _sum_up(value, axis, cut)
        return np.stack([mean, skew])[:, list(pair)]

    before = look(base[0])
    reached = []
    margin, strip = _margin(*base.shape[-2:]), base.shape[-1] // 6
    for side in (-2, -1):
        for start in (margin, base.shape[side] - margin - strip):
            edge = [slice(None)] * 3
            edge[side] = slice(start, start + strip)
            picture = base[0].copy()
            picture[tuple(edge)] = base[1][tuple(edge)]
            reached.append(np.abs(look(picture) - before).max(0))
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
    """Return (channel, the one it repeats) when most live channels repeat another one, else nothing."""
    alike, live = _agreement(one, other)
    if live.sum() < CHANNELS:
        return []
    np.fill_diagonal(alike, 0)
    same, _ = _agreement(one, one)
    alike[same >= ALIKE] = 0
    best = alike.argmax(1)
    echoing = live & (alike.max(1) >= ALIKE)
    if echoing.sum() < SHARE * live.sum():
        return []
    return [(int(c), int(best[c])) for c in np.flatnonzero(echoing)]


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
    """Return (layer, the one whose features on the changed picture it has), each layer in one pair at most."""
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
    """Whether most of one's channels are the other's on the changed picture, and not the other's on the same one."""
    some = Marks(
        (one.marks[0][..., :GLANCE], one.marks[1][..., :GLANCE]), (one.live[0][:, :GLANCE], one.live[1][:, :GLANCE])
    )
    alike, live = _agreement(some, other)
    if live.sum() < CHANNELS or (alike.max(1)[live] >= ALIKE).mean() < SHARE / 2:
        return False
    alike, live = _agreement(one, other)
    if (alike.max(1)[live] >= ALIKE).mean() < SHARE:
        return False
    same, _ = _agreement(one, other_plain)
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
