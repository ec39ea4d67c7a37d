"""The network with what some of its parts start from replaced, on demand, by what another image gives there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.parts import Part
from pytest_facechallenge.analyses.implicit_batch.runner import Runner

Array = npt.NDArray[Any]


class ReplacedParts:
    """A network whose parts can be fed other data than the image gives them.

    Parameters
    ----------
    runner
        Of the network edited by `_edited`.
    given
        For each image: the image and what the parts start from, by name.
    parts, masks
        The parts; 1 where an element belongs to it, 0 elsewhere.
    """

    def __init__(
        self, runner: Runner, given: list[dict[str, Array]], parts: Sequence[Part], masks: list[Array], image: str
    ) -> None:
        self._runner, self._given, self._parts, self._masks, self._image = runner, given, parts, masks, image

    @classmethod
    def of(
        cls, model: OpenedModel, parts: Sequence[Part], images: Array, results: Sequence[str]
    ) -> ReplacedParts | None:
        """Load the network for some images and results.

        Parameters
        ----------
        images
            float32 [n, C, H, W].
        results
            Names of the values that `run` returns.

        Returns
        -------
        ReplacedParts or None
            None where a part is no float, or has another size for another image.

        Raises
        ------
        RunError
            The runtime refuses the network.
        """
        feed = model.feed
        names = list(dict.fromkeys(part.value for part in parts))
        inner = [name for name in names if name != feed.name]
        reads = model.open(inner) if inner else None
        given: list[dict[str, Array]] = []
        for image in images:
            own = feed(image[None])
            given.append(own | {name: np.asarray(value) for name, value in (reads(own) if reads else {}).items()})
        if any(len({(values[name].shape, values[name].dtype) for values in given}) > 1 for name in names):
            return None
        if any(given[0][name].dtype.kind != "f" for name in names):
            return None
        arrays = [given[0][part.value] for part in parts]
        masks = [_mask(part, array) for part, array in zip(parts, arrays, strict=True)]
        edited = _edited(model, parts, arrays, masks)
        return cls(model.open(results, model=edited), given, parts, masks, feed.name)

    def run(self, index: int, part: int = -1, other: int = 0) -> dict[str, Any]:
        """Return the results for one image, a part (none: -1) fed what another image gives it.

        The other parts are held at what the image gives them, also where they depend on the one that is fed.

        Raises
        ------
        RunError
            The run fails.
        """
        chosen = [other if number == part else index for number in range(len(self._parts))]
        return self._fed(index, [self._given[at][each.value] for at, each in zip(chosen, self._parts, strict=True)])

    def repeat(self, index: int) -> dict[str, Any] | None:
        """Return the results for one image, the second of two parts fed what the first gets; None if sizes differ.

        Raises
        ------
        RunError
            The run fails.
        """
        one, other = self._parts
        first, second = (self._given[index][part.value] for part in (one, other))
        if len(one.indices) != len(other.indices) or one.axis != other.axis or first.shape != second.shape:
            return None
        fed = first
        if one.axis >= 0:
            fed = second.copy()
            places: list[Any] = [slice(None)] * fed.ndim
            places[other.axis] = list(other.indices)
            fed[tuple(places)] = np.take(first, one.indices, axis=one.axis)
        return self._fed(index, [first, fed])

    def _fed(self, index: int, others: Sequence[Array]) -> dict[str, Any]:
        feeds = {self._image: self._given[index][self._image]}
        for number, (mask, other) in enumerate(zip(self._masks, others, strict=True)):
            feeds[f"{number}/other"] = other
            feeds[f"{number}/mask"] = mask
        return self._runner(feeds)


def _mask(part: Part, value: Array) -> Array:
    """Return 1 where an element belongs to the part, else 0, in a shape that goes with the value's."""
    if part.axis < 0:
        return np.ones((1,) * value.ndim, value.dtype)
    mask = np.zeros(value.shape[part.axis], value.dtype)
    mask[list(part.indices)] = 1
    return mask.reshape([-1 if axis == part.axis else 1 for axis in range(value.ndim)])


def _edited(
    model: OpenedModel, parts: Sequence[Part], arrays: Sequence[Array], masks: Sequence[Array]
) -> onnx.ModelProto:
    """Return the model in which what each part starts from is ``value + mask * (other - value)``."""
    whole = model.variant.model
    edited = onnx.ModelProto(ir_version=whole.ir_version)
    edited.opset_import.extend(whole.opset_import)
    graph = edited.graph
    graph.name = "replaced"
    graph.input.extend(whole.graph.input)
    for number, (array, mask) in enumerate(zip(arrays, masks, strict=True)):
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        graph.input.append(helper.make_tensor_value_info(f"{number}/other", dtype, array.shape))
        graph.input.append(helper.make_tensor_value_info(f"{number}/mask", dtype, mask.shape))
    graph.node.extend(node for node in whole.graph.node if node.op_type == "Constant")
    made: set[str] = set()
    for position, node in enumerate(model.structure.nodes):
        reads = list(node.inputs)
        for number, part in enumerate(parts):
            if not part.is_read_by(position, node):
                continue
            for place in (place for place, name in enumerate(node.inputs) if name == part.value):
                result = f"{reads[place]}/{number}"
                if result not in made:
                    made.add(result)
                    graph.node.extend(_mixing(reads[place], number, result))
                reads[place] = result
        graph.node.append(node.proto)
        if reads != list(node.inputs):
            del graph.node[-1].input[:]
            graph.node[-1].input.extend(reads)
    graph.initializer.extend(whole.graph.initializer)
    graph.sparse_initializer.extend(whole.graph.sparse_initializer)
    return edited


def _mixing(value: str, number: int, result: str) -> list[onnx.NodeProto]:
    """Return the nodes that put another image's data in the place of a value's."""
    other, mask = f"{number}/other", f"{number}/mask"
    return [
        helper.make_node("Sub", [other, value], [f"{result}/difference"]),
        helper.make_node("Mul", [mask, f"{result}/difference"], [f"{result}/change"]),
        helper.make_node("Add", [value, f"{result}/change"], [result]),
    ]
