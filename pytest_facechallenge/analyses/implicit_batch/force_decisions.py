"""Decisions on the whole image without an If: one number for each image that selects, or is 0 or 1 times a map.

Images that are shown at random may all be decided alike. So each decision is made both ways, as that of an If is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pytest_facechallenge.analyses.implicit_batch.layer_index import ABOUT_SHAPE, Structure
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.runner import RunError
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.variants import TEXT, Variant
from pytest_facechallenge.core.facts.implicit_batch import Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap

#: Elements from which on what a decision meets is a map of places, and no norm or embedding.
MAP = 1024

#: Distance from 0 and 1 up to which a number is a decision that a steep curve makes.
STEEP = 1e-3

#: Operators whose result is 0 or 1, or is so from some size of what they read on, or that take one of several such.
#: A small number is no decision.
SATURATING = frozenset(
    {"Sigmoid", "HardSigmoid", "Softmax", "Clip", "Round", "Floor", "Ceil", "Sign", "Cast", "Where"}
    | {"Split", "Slice", "Gather"}
)

#: Relative difference of two images' embeddings up to which a way does not look at its image.
SAME = 1e-6


def decided_ways(opened: OpenedModel, limits: Thresholds) -> Iterator[Variant | Unseen]:
    """Yield the variant again with its decisions made: all one way, all the other, and each alone.

    Nothing is yielded where there is no decision; a way on which every image gives the same is left out. More ways
    than are followed, and decisions that some images do not reach, are yielded as what they are.
    """
    try:
        types = decisions(opened)
    except RunError as error:
        yield Unseen(gap=Gap.CONTROL_FLOW, error=str(error)[:TEXT], branch=opened.variant.branch)
        return
    if not types:
        return
    ways = [dict.fromkeys(types, True), dict.fromkeys(types, False)]
    ways += [each | {name: not value} for name in types for each, value in zip(tuple(ways), (True, False), strict=True)]
    different = {tuple(way.values()): way for way in ways}
    followed = limits.running.ways_decided
    if len(different) > followed:
        yield Unseen(gap=Gap.MORE_WAYS, count=len(different), followed=followed)
    for way in islice(different.values(), followed):
        model = with_decisions(opened.variant.model, way, types)
        if _tells_images_apart(opened, model):
            said = [f"'{_label(opened.structure, name)}' {str(made).lower()}" for name, made in way.items()]
            words = ", ".join(filter(None, [opened.variant.branch, *said]))
            yield Variant(model, words, opened.variant.by_size)


def decisions(opened: OpenedModel) -> dict[str, np.dtype[Any]]:
    """Return the first values of one element for each image that decide what a map of places holds, and their types.

    Raises
    ------
    RunError
        The part before them does not run.
    """
    structure = opened.structure
    single = [
        name
        for node in structure.nodes
        if node.op not in ABOUT_SHAPE
        for name in node.outputs
        if name in structure.varying and prod(structure.shapes.get(name, (0,))) == 1
    ]
    if not any(_meets_map(structure, name) for name in single):
        return {}
    images = opened.feed.images
    runner = opened.open(single)
    shown = [*opened.natural[:, None], images.noise(1), *(images.flat(level) for level in (0.0, 0.5, 1.0))]
    rows = [runner(opened.feed(image)) for image in shown]
    decided = {name for name in single if all(_is_decision(row[name]) for row in rows)}
    meeting = {name for name in decided if _meets_map(structure, name)}
    for name in reversed(single):  # what decides a decision
        if name in meeting:
            meeting |= decided.intersection(structure.producer[name].inputs)
    types = {name: np.asarray(rows[0][name]).dtype for name in single if name in meeting}
    return {
        name: kind for name, kind in types.items()
        if not meeting.intersection(structure.producer[name].inputs)
        and (kind == np.bool_ or structure.producer[name].op in SATURATING)
    }  # fmt: skip


def _label(structure: Structure, name: str) -> str:
    """Return the label of the node that makes a value; the value's name where the node makes several."""
    node = structure.producer[name]
    return node.label if len(node.outputs) == 1 else name


def _meets_map(structure: Structure, name: str) -> bool:
    """Whether a node that reads the value gives a map."""
    readers = structure.graph.consumers.get(name, ())
    return any(prod(structure.shapes.get(output, (0,))) >= MAP for node in readers for output in node.outputs)


def _is_decision(value: Any) -> bool:
    """Whether a value is one truth, or a number that is 0 or 1; how many it holds may depend on the image."""
    if not isinstance(value, np.ndarray) or value.size != 1:
        return False
    if value.dtype.kind != "f":
        return bool(value.dtype.kind == "b")
    number = float(value.reshape(-1)[0])
    return min(abs(number), abs(number - 1)) <= STEEP


def with_decisions(
    model: onnx.ModelProto, way: Mapping[str, bool], types: Mapping[str, np.dtype[Any]]
) -> onnx.ModelProto:
    """Return a model without control flow with values that the image decides replaced by a truth of the same shape.

    Parameters
    ----------
    way, types
        The truth and its type, by the value's name.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    nodes = list(changed.graph.node)
    del changed.graph.node[:]
    for node in nodes:
        kept = changed.graph.node.add()
        kept.CopyFrom(node)
        for at, name in enumerate(node.output):
            if name in way:
                found, shape = f"{name}/found", f"{name}/shape"
                kept.output[at] = found
                truth = numpy_helper.from_array(np.array([way[name]], types[name]), "truth")
                changed.graph.node.append(helper.make_node("Shape", [found], [shape], name=shape))
                made = helper.make_node("ConstantOfShape", [shape], [name], name=f"{name}/made", value=truth)
                changed.graph.node.append(made)
    return changed


def _tells_images_apart(opened: OpenedModel, model: onnx.ModelProto) -> bool:
    """Whether two images give two embeddings; also where it does not run, which is told later."""
    output = opened.feed.output
    try:
        runner = opened.open([output], model)
        one, other = (np.asarray(runner(opened.feed(image))[output]) for image in opened.natural[:2, None])
    except RunError:
        return True
    return one.shape != other.shape or bool(np.abs(one - other).max(initial=0) > SAME * np.abs(one).max(initial=0))
