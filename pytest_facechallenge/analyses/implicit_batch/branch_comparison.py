"""Run the parts that `twins` finds on turned sources and compare what they compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from pytest_facechallenge.analyses.implicit_batch import parallel_branches, tensor_duplicates
from pytest_facechallenge.analyses.implicit_batch.layer_index import RECURRENT, Layer, Structure
from pytest_facechallenge.analyses.implicit_batch.probe_images import TRANSFORMS
from pytest_facechallenge.analyses.implicit_batch.runner import RunError, Runner
from pytest_facechallenge.analyses.implicit_batch.signatures import PROBES
from pytest_facechallenge.core.facts.implicit_batch import TowerFact

if TYPE_CHECKING:
    from pytest_facechallenge.analyses.implicit_batch.trace import Probe

Array = npt.NDArray[Any]
Run = Callable[[Array, list[str]], dict[str, Array]]

#: Parts below this share of the multiply-adds are not compared.
LEAST = 0.08

#: Pairs of layers compared per pair of parts.
PAIRS = 6

#: Inputs behind one feature from which two unrelated features of one place no longer look alike by chance.
FAN_IN = 20


def compare_parts(probe: Probe) -> list[TowerFact]:
    """Find parts of the network that meet only late, and say how their inputs and their features relate."""
    structure, branch = probe.structure, probe.branch
    found = []
    for parts in parallel_branches.separate_parts(structure, LEAST):
        if all(layer.node.op in RECURRENT for layer in parts.one) or all(
            layer.node.op in RECURRENT for layer in parts.two
        ):
            continue
        run, source = _cut(probe, parts.source)
        shares = tuple(
            round(sum(layer.macs for layer in part) / max(1, structure.total_macs), 4)
            for part in (parts.one, parts.two)
        )
        pairs = _pairs(structure, parts.one, parts.two)
        if not _deep(structure, parts):
            pairs = []
        turn, best, unturned = _compare(run, source, pairs) if pairs else ("", 0.0, 0.0)
        found.append(
            TowerFact(
                source=parts.source,
                first=parts.one[0].node.label,
                second=parts.two[0].node.label,
                meet=_meet(structure, parts),
                shares=(shares[0], shares[1]),
                inputs=_input_relation(run, source, parts),
                alike=round(best, 3),
                turn=turn,
                alike_unturned=round(unturned, 3),
                branch=branch,
            )
        )
    return found


def _cut(probe: Probe, source: str) -> tuple[Run, Array]:
    """Return a function that runs what depends on ``source``, and the source's values for the noise images."""
    structure, feed = probe.structure, probe.feed
    noise = feed.images.noise(PROBES)
    if source == structure.image:
        return _ready(probe.open, lambda value: feed(value[None])), noise
    runner = probe.open([source])
    base = _stack(runner, [feed(value[None]) for value in noise], [source])[source]
    part = onnx.ModelProto(ir_version=probe.model.ir_version)
    part.opset_import.extend(probe.model.opset_import)
    part.graph.name = "part"
    kind = helper.np_dtype_to_tensor_dtype(base.dtype)
    part.graph.input.append(helper.make_tensor_value_info(source, kind, None))
    kept, fixed = {source}, set()
    for node in structure.nodes:
        outputs = {name for name in node.outputs if name}
        reads = [name for name in node.inputs if name in structure.varying]
        if source in outputs or not reads or not all(name in kept for name in reads):
            continue
        part.graph.node.append(node.proto)
        kept |= outputs
        fixed |= set(node.inputs) - structure.varying - {""}
    stored = {tensor.name for tensor in probe.model.graph.initializer}
    part.graph.initializer.extend(tensor for tensor in probe.model.graph.initializer if tensor.name in fixed)
    part.graph.sparse_initializer.extend(probe.model.graph.sparse_initializer)
    for name in fixed - stored:
        # What was computed from constants, or from the image's shape alone, is known for one image: freeze it.
        value = structure.constant(name)
        if value is not None:
            part.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return _ready(partial(probe.open, model=part), lambda value: {source: value}), base


def _ready(opened: Callable[[list[str]], Runner], feeds: Callable[[Array], dict[str, Array]]) -> Run:
    """Return a function that runs a model on values one by one; a session serves all calls for the same results."""
    runners: dict[tuple[str, ...], Runner] = {}

    def run(values: Array, names: list[str]) -> dict[str, Array]:
        key = tuple(names)
        if key not in runners:
            runners[key] = opened(names)
        return _stack(runners[key], [feeds(value) for value in values], names)

    return run


def _stack(runner: Runner, feeds: list[dict[str, Array]], names: list[str]) -> dict[str, Array]:
    results = [runner(entry) for entry in feeds]
    found: dict[str, Array] = {}
    for name in names:
        arrays = [np.asarray(result[name]) for result in results]
        if len({array.shape for array in arrays}) > 1:
            raise RunError(f"the size of {name!r} depends on the image")
        found[name] = np.stack(arrays)
    return found


def _deep(structure: Structure, parts: parallel_branches.Parts) -> bool:
    """Whether the parts go on side by side for more than one layer (turned and merged at once is one layer)."""
    sizes = {structure.shapes[layer.node.outputs[0]] for layer in parts.one[1:]}
    return any(structure.shapes[layer.node.outputs[0]] in sizes for layer in parts.two[1:])


def _pairs(structure: Structure, one: list[Layer], two: list[Layer]) -> list[tuple[str, str]]:
    """Pair layers of both parts whose results have one size, from the first layers on, early ones preferred."""
    found: list[tuple[str, str]] = []
    left = list(one)
    fan = 1.0
    for layer in two:
        shape = structure.shapes[layer.node.outputs[0]]
        out = prod(shape)
        fan *= layer.macs / max(1, out)
        match = next((other for other in left if structure.shapes[other.node.outputs[0]] == shape), None)
        if match is None:
            continue
        left = left[left.index(match) + 1 :]
        if fan >= FAN_IN and len(shape) in (3, 4):
            found.append((match.node.outputs[0], layer.node.outputs[0]))
    if len(found) <= PAIRS:
        return found
    late = np.linspace(PAIRS // 2, len(found) - 1, PAIRS - PAIRS // 2).astype(int)
    return found[: PAIRS // 2] + [found[i] for i in late]


def _compare(run: Run, source: Array, pairs: list[tuple[str, str]]) -> tuple[str, float, float]:
    """Return the transform under which most features agree, that share, and the share without transform."""
    straight = run(source, [name for pair in pairs for name in pair])
    unturned = _agreement(straight, straight, pairs, "as it is")
    best, turn = 0.0, ""
    for name in TRANSFORMS:
        values = _turned(source, name)
        if name == "as it is" or values is None:
            continue
        turned = run(values, [name for pair in pairs for name in pair])
        # Either part may be the one with mirrored kernels; comparing in one direction covers both.
        share = _agreement(turned, straight, pairs, name)
        if share > best:
            best, turn = share, name
    return (turn, best, unturned) if best > unturned or best >= 0.5 else ("", best, unturned)


def _turned(source: Array, name: str) -> Array | None:
    if source.ndim == 4:
        return parallel_branches.turn(source, name)
    flat = source[:, 0] if source.shape[1] == 1 else None
    if flat is None:
        return None
    turned = parallel_branches.turn(flat, name)
    return None if turned is None else turned[:, None]


def _agreement(turned: dict[str, Array], straight: dict[str, Array], pairs: list[tuple[str, str]], name: str) -> float:
    best = 0.0
    for one, two in pairs:
        first, second = parallel_branches.as_maps(turned[one]), parallel_branches.as_maps(straight[two])
        if first is not None and second is not None:
            best = max(best, parallel_branches.alike(first, second, name))
    return best


def _input_relation(run: Run, source: Array, parts: parallel_branches.Parts) -> str:
    names = [parts.one[0].data, parts.two[0].data]
    if names[0] == names[1]:
        return "identical"
    missing = [name for name in names if name == parts.source]
    try:
        values = run(source, [name for name in names if name not in missing])
    except RunError:
        return ""
    for name in missing:
        values[name] = source[:, None] if source.ndim == 4 else source
    one, two = values[names[0]], values[names[1]]
    if one.ndim != two.ndim or one[0].size > tensor_duplicates.POOL or two[0].size > tensor_duplicates.POOL:
        return ""
    share, relation = tensor_duplicates.across(one, two)
    return relation.kind if share >= tensor_duplicates.COVERAGE else ""


def _meet(structure: Structure, parts: parallel_branches.Parts) -> str:
    a, b = structure.position[id(parts.first)], structure.position[id(parts.second)]
    for position, node in enumerate(structure.nodes):
        ancestors = structure.ancestors[position]
        if (ancestors >> a) & 1 and (ancestors >> b) & 1:
            return node.label
    return ""


def compare_halves(probe: Probe, layers: list[tuple[Layer, int]]) -> list[TowerFact]:
    """Compare the independent parts of grouped (or block-diagonal) layers as if they were parts of the network."""
    structure, feed = probe.structure, probe.feed
    maps = [(layer, blocks) for layer, blocks in layers if len(structure.shapes[layer.node.outputs[0]]) == 4][:PAIRS]
    if not maps:
        return []
    names = [layer.node.outputs[0] for layer, _ in maps]
    noise = feed.images.noise(PROBES)
    runner = probe.open(names)
    straight = _stack(runner, [feed(value[None]) for value in noise], names)
    best = (0.0, "", 0.0, maps[0][0])
    turned_values = {
        name: _stack(runner, [feed(value[None]) for value in turned], names)
        for name in TRANSFORMS
        if name != "as it is" and (turned := parallel_branches.turn(noise, name)) is not None
    }
    for layer, blocks in maps:
        value = straight[layer.node.outputs[0]][:, 0]
        width = value.shape[1] // blocks
        second = value[:, width : 2 * width]
        plain = parallel_branches.alike(value[:, :width], second, "as it is")
        for name, values in turned_values.items():
            share = parallel_branches.alike(values[layer.node.outputs[0]][:, 0, :width], second, name)
            if share > best[0]:
                best = (share, name, plain, layer)
    total = sum(layer.macs for layer, _ in layers) / max(1, structure.total_macs)
    part = round(total / layers[0][1], 4)
    label = best[3].node.label
    return [
        TowerFact(
            source=structure.image, first=f"{label} (first part of the channels)",
            second=f"{label} (second part of the channels)", meet="", shares=(part, part),
            alike=round(best[0], 3), turn=best[1], alike_unturned=round(best[2], 3), branch=probe.branch,
        )
    ]  # fmt: skip


def compare_parallel(probe: Probe) -> list[TowerFact]:
    """Compare layers that work side by side on whole images, whatever trickles between their parts of the network.

    A thread of data from one part to the other is enough to make them one part for `separate_parts`; what their
    features do is not changed by it.
    """
    structure, branch = probe.structure, probe.branch
    by_size: dict[tuple[Any, ...], list[Layer]] = {}
    for layer in structure.layers:
        shape = structure.shapes[layer.node.outputs[0]]
        if len(shape) in (3, 4) and layer.macs >= FAN_IN * prod(shape):
            by_size.setdefault((shape, layer.macs), []).append(layer)
    pairs: list[tuple[Layer, Layer]] = []
    for layers in by_size.values():
        free = list(layers)
        while free:
            one = free.pop(0)
            other = next((layer for layer in free if structure.parallel(one.node, layer.node)), None)
            if other is not None:
                free.remove(other)
                pairs.append((one, other))
    later = 0
    for one, two in pairs:
        if one.data != two.data:
            later |= structure.ancestors[structure.position[id(one.node)]]
            later |= structure.ancestors[structure.position[id(two.node)]]
    # Pairs on one input count only where their results are then worked on side by side: not merged at once.
    pairs = [
        (one, two)
        for one, two in pairs
        if one.data != two.data or all((later >> structure.position[id(layer.node)]) & 1 for layer in (one, two))
    ]
    share = sum(one.macs for one, _ in pairs) / max(1, structure.total_macs)
    if share < LEAST or all(one.data == two.data for one, two in pairs):
        return []
    pairs.sort(key=lambda pair: structure.position[id(pair[0].node)])
    picked = pairs[: PAIRS // 2] + pairs[PAIRS // 2 :: max(1, len(pairs) // PAIRS)][: PAIRS // 2]
    names = [(one.node.outputs[0], two.node.outputs[0]) for one, two in picked]
    run, source = _cut(probe, structure.image)
    turn, best, unturned = _compare(run, source, names)
    if not turn or best < 0.5 or best <= unturned:
        return []
    first, second = picked[0]
    return [
        TowerFact(
            source=structure.image, first=first.node.label, second=second.node.label, meet="",
            shares=(round(share, 4), round(share, 4)), alike=round(best, 3), turn=turn,
            alike_unturned=round(unturned, 3), branch=branch,
        )
    ]  # fmt: skip
