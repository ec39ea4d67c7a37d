"""Looks for images on both sides of a condition: the graph says what decides it, a search moves towards it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from pytest_facechallenge.analyses.behaviour.image_family import EXTREMES, Look, drawn, near
from pytest_facechallenge.core.facts.flow import Condition, ConditionSeen
from pytest_facechallenge.inference.images import to_input
from pytest_facechallenge.inference.session import Session
from pytest_facechallenge.onnx_graph.ir import outer_reads
from pytest_facechallenge.onnx_graph.operators import Trait

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from pytest_facechallenge.analyses.context import Context
    from pytest_facechallenge.onnx_graph.ir import Graph

#: A condition on more values than these for an image is met on both sides by ordinary images, or is no exception.
MOST_VALUES = 64
#: Images of the first round, and rounds and images of the search after it; where many layers lie before a condition
#: less is tried, since each image costs nearly as much as an embedding.
FIRST, ROUNDS, EACH = 72, 8, 12
FIRST_DEEP, ROUNDS_DEEP = 24, 2
DEEP = 6
#: The exponential of more than this is infinite in float32.
OVERFLOW = 88.7
#: Images in a batch.
AT_ONCE = 12


@dataclass
class Seen:
    """What is known of one condition: images on each of its sides, and the one nearest to the side without."""

    condition: Condition
    guards: bool
    above: Look | None = None
    below: Look | None = None
    nearest: tuple[float, Look] | None = None
    ordinary: str = ""
    evaluated: bool = False
    failed: bool = False

    @property
    def both(self) -> bool:
        """Whether both sides were reached."""
        return self.above is not None and self.below is not None

    @property
    def look(self) -> Look | None:
        """The image on the side where no ordinary image was."""
        return self.below if self.ordinary == "above" else self.above if self.ordinary == "below" else None

    def fact(self) -> ConditionSeen:
        """Return it as a fact."""
        found = self.condition
        image = self.look.words() if self.look is not None else ""
        return ConditionSeen(
            node=found.node, op=found.op, kind=found.kind, both=self.both, image=image, guards=self.guards
        )


def search(
    context: Context, conditions: tuple[Condition, ...], faces: npt.NDArray[np.uint8], mean: float, std: float
) -> list[Seen]:
    """Look for images on both sides of each condition.

    Parameters
    ----------
    faces
        uint8 [N, 112, 112, 3]: what the images are made of.
    mean, std
        Of the pixel normalisation.
    """
    graph = context.graph
    seen = [Seen(condition, _guards(graph, condition)) for condition in conditions]
    if not seen:
        return []
    names = sorted({name for condition in conditions for name in condition.margin if graph.constant(name) is None})
    path, deep = _part(graph, context.runnable_path, names)
    try:
        session = Session(path, context.options.device, context.options.threads)
    except Exception:  # a part that does not run tells nothing; each condition then stays as it is
        return seen

    def look_at(looks: list[Look], *, ordinary: bool = False) -> None:
        for start in range(0, len(looks), AT_ONCE):
            some = looks[start : start + AT_ONCE]
            found = _run(session, to_input(np.stack([look.of(faces) for look in some]), mean, std), names)
            if found is None:  # what decides was not seen, which is no sign that both sides were met
                for one in seen:
                    one.failed = True
                return
            values = dict(zip(names, found, strict=True))
            for one in seen:
                _note(one, some, _margins(graph, one.condition, values, len(some)), ordinary=ordinary)

    rng = np.random.default_rng(context.options.seed)
    context.report(f"looking for images on both sides of {len(seen)} condition(s)")
    look_at([Look(face=at) for at in range(len(faces))], ordinary=True)
    seen = [one for one in seen if (one.evaluated or one.failed) and not one.both]
    if not seen:
        return seen
    look_at([*EXTREMES, *drawn(rng, FIRST_DEEP if deep else FIRST)])
    for _ in range(ROUNDS_DEEP if deep else ROUNDS):
        start = [one.nearest[1] for one in seen if not one.both and one.nearest is not None]
        if not start:
            break
        look_at([near(look, rng) for look in start for _ in range(EACH)])
    return seen


def _run(session: Session, images: npt.NDArray[np.float32], names: list[str]) -> list[npt.NDArray[np.generic]] | None:
    """Return the values of some images; one image at a time where a batch does not run, None where neither does."""
    with contextlib.suppress(Exception):  # the runtime raises its own types
        return list(session.run(images, names))
    with contextlib.suppress(Exception):  # as above
        rows = [session.run(images[at : at + 1], names) for at in range(len(images))]
        return [np.concatenate([np.atleast_1d(value) for value in each]) for each in zip(*rows, strict=True)]
    return None


def _note(one: Seen, looks: list[Look], margins: npt.NDArray[np.float64] | None, *, ordinary: bool) -> None:
    """Take in what a condition's margin was for some images, float64 [images, values]."""
    if margins is None:
        return
    one.evaluated = True
    for look, values in zip(looks, margins, strict=True):
        low, high = float(values.min()), float(values.max())
        equal = one.condition.op == "Equal"
        if high > 0 or (equal and low < 0):
            one.above = one.above or look
        if low < 0 if not equal else low <= 0 <= high and bool((values == 0).any()):
            one.below = one.below or look
        missing = high if one.above is None else -low if one.below is None else None
        if missing is not None and np.isfinite(missing) and (one.nearest is None or missing > one.nearest[0]):
            one.nearest = (missing, look)
    if ordinary:
        one.ordinary = "above" if one.below is None else "below" if one.above is None else ""


def _margins(
    graph: Graph, condition: Condition, values: dict[str, npt.NDArray[np.generic]], count: int
) -> npt.NDArray[np.float64] | None:
    """Return what decides a condition, float64 [images, values]; None where it is too large, or has no rows."""
    parts = []
    for name in condition.margin:
        constant = graph.constant(name)
        parts.append(np.asarray(values[name] if constant is None else constant.array(), np.float64))
    try:
        margin = parts[0] - parts[1] if len(parts) > 1 else parts[0]
    except ValueError:
        return None
    if condition.kind == "growth":
        return _far_from_infinite(margin, count)
    if condition.op in ("Floor", "Ceil", "Round"):
        margin = margin - np.floor(margin.min())
    elif condition.op == "Exp":
        margin = OVERFLOW - margin
    elif condition.op in ("Acos", "Asin", "Atanh"):
        margin = 1 - np.abs(margin)
    elif condition.op == "Acosh":
        margin = margin - 1
    if margin.shape[:1] != (count,) or margin.size > count * MOST_VALUES or np.isnan(margin).any():
        return None
    return margin.reshape(count, -1)


def _far_from_infinite(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64] | None:
    """Return how far the logarithm of an image's largest value lies below that of the largest number, [images, 1]."""
    if values.shape[:1] != (count,):
        return None
    largest = np.abs(values).reshape(count, -1).max(1, initial=0, where=~np.isnan(values).reshape(count, -1))
    broken = ~np.isfinite(values).reshape(count, -1).all(1)
    return np.where(broken, -1.0, OVERFLOW - np.log(np.maximum(largest, 1e-30)))[:, None]


def _guards(graph: Graph, condition: Condition) -> bool:
    """Whether a choice decides between values: it reaches a Where, an If, a Loop, or a product."""
    if condition.kind != "choice":
        return False  # where it is no number nothing was found, so it is one
    node = next(each for each in graph.nodes if each.label == condition.node)
    pending: list[str] = [node.outputs[0]]
    seen: set[int] = set()
    while pending and len(seen) < 60:
        name = pending.pop()
        for reader in graph.consumers.get(name, []):
            if reader.index in seen or reader.index not in graph.used:
                continue
            seen.add(reader.index)
            if reader.op in ("Where", "If", "Loop", "Mul") or reader.subgraphs:
                return True
            if reader.op in ("Cast", "Not", "And", "Or", "Xor", "Identity", "Unsqueeze", "Squeeze", "Reshape",
                             "ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean", "Expand", "Add", "Sub"):  # fmt: skip
                pending.extend(each for each in reader.outputs if each)
    return False


def _part(graph: Graph, path: Path, names: list[str]) -> tuple[Path, bool]:
    """Write the part of the model that computes some values beside it; return its path, and whether it is deep."""
    wanted, nodes = set(names), []
    for node in reversed(graph.nodes):
        if wanted & set(node.outputs):
            nodes.append(node)
            wanted |= {*node.inputs, *outer_reads(node)}
    part = onnx.ModelProto(ir_version=8)
    part.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in graph.opsets.items())
    part.graph.name = "part"
    part.graph.node.extend(node.proto for node in reversed(nodes))
    for name, tensor in graph.constants.items():
        if name in wanted:
            part.graph.initializer.append(tensor.proto)
            part.graph.initializer[-1].name = name
    part.graph.sparse_initializer.extend(graph.sparse[name] for name in graph.sparse if name in wanted)
    part.graph.input.extend(value for value in graph.proto.input if value.name in graph.inputs)
    for value in part.graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims):
            dims[0].Clear()
            dims[0].dim_param = "N"
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    target = path.with_name("conditions.onnx")
    target.write_bytes(part.SerializeToString())
    return target, sum(node.operator.has(Trait.LEARNED) for node in nodes) > DEEP
