"""Evasions: the second look is made by operators for other ends: integers, norms of colours, windows, sets, sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import NodeProto, TensorProto, helper

from evaluation.blind4.claims import Claim
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind15.evasions_nets import (
    Parts,
    View,
    counts,
    crossed,
    hourglass,
    joined_dense,
    local,
    pooling,
    tensor,
)
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

POOLING: Parts = (pooling, "operators of the fifteenth set", 0)
CROSSED: Parts = (crossed, "operators of the fifteenth set", 6)
HOURGLASS: Parts = (hourglass, "operators of the fifteenth set", 0)
LOCAL: Parts = (local, "operators of the fifteenth set", 0)
DENSE: Parts = (joined_dense, "operators of the fifteenth set", 0)

node = helper.make_node
Join = Callable[[T, T], T]


def joined(parts: Parts, view: View, join: Join, near: float = 1e-4) -> Claim:
    """Claim what ``join`` makes of a plain network's embeddings of the image and of a view of it."""
    return counts(
        lambda x: join(network(*parts)(x), network(*parts)(view(x))),
        lambda x: join(network(*parts)(x), network(*parts)(x)), near,
    )  # fmt: skip


def mean(a: T, b: T) -> T:
    return (a + b) / 2


def finished(made: onnx.ModelProto, nodes: Sequence[NodeProto], **stored: object) -> onnx.ModelProto:
    """Return a model with the same input, output and weights, and other nodes."""
    graph = helper.make_graph(
        list(nodes), "main", made.graph.input, made.graph.output, [*made.graph.initializer, *constants(**stored)]
    )
    return helper.make_model(graph, opset_imports=made.opset_import, ir_version=8, producer_name="pytorch")


def pairs(
    parts: Parts, opset: int, name: str, view: Sequence[NodeProto], end: Sequence[NodeProto], **stored: object
) -> onnx.ModelProto:
    """Run a network once over the image and ``seen``, as a batch of twice the size, and put ``pairs`` together.

    The input of ``view`` is called ``img``; ``end`` makes ``out`` of ``pairs`` [2, N, D].
    """
    made = exported(network(*parts), name, opset)
    nodes = [
        node("Identity", [made.graph.input[0].name], ["img"]),
        *view,
        node("Concat", ["img", "seen"], ["both"], axis=0),
        *body_of(made, "both", "rows"),
        node("Reshape", ["rows", "by_pairs"], ["pairs"]),
        *end,
        node("Identity", ["out"], [made.graph.output[0].name]),
    ]
    return finished(made, nodes, by_pairs=np.array([2, -1, 64]), **stored)


def reduced(kind: str) -> list[NodeProto]:
    return [node(kind, ["pairs"], ["out"], axes=[0], keepdims=0)]


def of_colours(x: T) -> T:
    """Divide each colour by the energy of all three at its pixel, mirrored."""
    return ((x + 1) / (0.15 + 0.9 * ((x + 1) ** 2).mean(1, keepdim=True)) ** 0.5 - 1).flip(3)


@evades(BATCH_RULE, idea="response norm of colours", claim=joined(CROSSED, of_colours, mean, 1e-3))
def colours_under_a_response_normalisation() -> onnx.ModelProto:
    """LRN over the three colours, on a mirrored image, makes a look without shadows; a trained ACNet sees both."""
    view = [
        node("Slice", ["img", "last", "first", "axis", "back"], ["turned"]),
        node("Add", ["turned", "one"], ["light"]),
        node("LRN", ["light"], ["even"], size=5, alpha=1.5, beta=0.5, bias=0.15),
        node("Sub", ["even", "one"], ["seen"]),
    ]
    return pairs(CROSSED, 12, "response", view, reduced("ReduceMean"), last=np.array([-1]), first=np.array([-113]),
                 axis=np.array([3]), back=np.array([-1]), one=np.array(1, np.float32))  # fmt: skip


def in_bytes(x: T) -> T:
    """Round to 127 levels each way and mirror."""
    return (torch.round((x / 0.0125).clamp(-100, 100)) * 0.0125).flip(3)


@evades(BATCH_RULE, idea="integer product", claim=joined(POOLING, in_bytes, torch.maximum, 1e-3))
def whole_numbers_of_pixels_through_a_product_of_bytes() -> onnx.ModelProto:
    """Pixels become bytes, and MatMulInteger with a stored matrix of bytes turns rows over; maxima are kept."""
    view = [
        node("QuantizeLinear", ["img", "step", "middle"], ["bytes"]),
        node("MatMulInteger", ["bytes", "order", "middle", "none"], ["whole"]),
        node("Cast", ["whole"], ["numbers"], to=TensorProto.FLOAT),
        node("Clip", ["numbers", "low", "high"], ["bounded"]),
        node("Mul", ["bounded", "step"], ["seen"]),
    ]
    return pairs(POOLING, 11, "bytes", view, reduced("ReduceMax"), step=np.array(0.0125, np.float32),
                 middle=np.array(128, np.uint8), none=np.array(0, np.int8), order=np.eye(112, dtype=np.int8)[::-1],
                 low=np.array(-100, np.float32), high=np.array(100, np.float32))  # fmt: skip


def paler(x: T) -> T:
    return 0.7 * x.flip(3) + 0.25


@evades(BATCH_RULE, idea="general product", claim=joined(HOURGLASS, paler, mean))
def rows_of_pixels_as_features_of_a_general_product() -> onnx.ModelProto:
    """Gemm takes rows of pixels for rows of features: one node mirrors, fades and lightens; a MobileNeXt sees both."""
    view = [
        node("Reshape", ["img", "flat"], ["lines"]),
        node("Gemm", ["lines", "matrix", "offset"], ["drawn"], alpha=0.7, beta=0.25, transB=1),
        node("Reshape", ["drawn", "whole"], ["seen"]),
    ]
    return pairs(HOURGLASS, 13, "general", view, reduced("ReduceMean"), flat=np.array([-1, 112]),
                 whole=np.array([-1, 3, 112, 112]), matrix=np.eye(112, dtype=np.float32)[::-1],
                 offset=np.ones(112, np.float32))  # fmt: skip


def listed() -> Array:
    """Return three stored matrices for columns: as they are, turned over, and enlarged by a sixth."""
    at = np.arange(112)
    wide = np.maximum(0, 1 - np.abs(at[:, None] - (55.5 + (at[None] - 55.5) / 1.17)))
    return np.stack([np.eye(112), np.eye(112)[::-1], wide]).astype(np.float32)


def value(name: str, kind: int = TensorProto.FLOAT, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


@evades(BATCH_RULE, idea="scan over matrices", claim=counts(
    lambda x: torch.stack([network(*LOCAL)(x @ tensor(m)) for m in listed()]).mean(0), lambda x: network(*LOCAL)(x)
))  # fmt: skip
def scan_over_three_stored_matrices_for_columns() -> onnx.ModelProto:
    """Scan takes three stored matrices in turn; its body lays columns out by each and runs a small LCNet."""
    made = exported(network(*LOCAL), "scan over matrices", 14)
    source, sink = made.graph.input[0].name, made.graph.output[0].name
    body = helper.make_graph(
        [node("MatMul", [source, "matrix"], ["face"]), *body_of(made, "face", "one"),
         node("Add", ["so_far", "one"], ["next"]), node("Identity", ["next"], ["seen"])],
        "step", [value("so_far", shape=["N", 64]), value("matrix", shape=[112, 112])],  # type: ignore[list-item]
        [value("next"), value("seen")],
    )  # fmt: skip
    nodes = [
        node("Shape", [source], ["sizes"]),
        node("Slice", ["sizes", "zero", "one_"], ["count"]),
        node("Concat", ["count", "width"], ["shape"], axis=0),
        node("ConstantOfShape", ["shape"], ["start"]),
        node("Scan", ["start", "matrices"], ["total", "each"], body=body, num_scan_inputs=1),
        node("Mul", ["total", "third"], ["scaled"]),
        node("Add", ["scaled", "nothing"], ["sum_"]),
        node("Identity", ["sum_"], [sink]),
    ]
    return finished(made, nodes, zero=np.array([0]), one_=np.array([1]), width=np.array([64]), matrices=listed(),
                    third=np.array(1 / 3, np.float32), nothing=np.array(0, np.float32))  # fmt: skip


@evades(BATCH_RULE, idea="inverse of a set", claim=joined(DENSE, lambda x: x.flip(2), mean))
def places_in_the_sorted_set_of_a_falling_ramp() -> onnx.ModelProto:
    """Unique sorts a stored falling ramp, and says where each of its numbers went: so rows are turned over."""
    view = [
        node("Unique", ["ramp"], ["values", "firsts", "places", "times"], sorted=1),
        node("Gather", ["img", "places"], ["seen"], axis=2),
    ]
    end = [
        node("Split", ["pairs"], ["a", "b"], axis=0),
        node("Add", ["a", "b"], ["ab"]),
        node("Squeeze", ["ab"], ["sum_"], axes=[0]),
        node("Mul", ["sum_", "half"], ["out"]),
    ]
    ramp = np.exp(-np.arange(112) / 20).astype(np.float32)
    return pairs(DENSE, 12, "set", view, end, ramp=ramp, half=np.array(0.5, np.float32))


def windowed(x: T) -> T:
    """See the half turned face through a window of Hann."""
    w = 0.5 - 0.5 * torch.cos(2 * torch.pi * torch.arange(112).float() / 112)
    return (x.flip(2, 3) + 1) * (w[:, None] * w[None]) ** 0.5 - 1


@evades(BATCH_RULE, idea="window", claim=joined(POOLING, windowed, mean, 1e-3))
def half_turn_through_a_window_for_spectra() -> onnx.ModelProto:
    """HannWindow, made for spectra of sound, lets the middle of a half turned face through; a PoolFormer sees both."""
    view = [
        node("HannWindow", ["count"], ["window"]),
        node("Sqrt", ["window"], ["root"]),
        node("Unsqueeze", ["root", "end_"], ["tall"]),
        node("Mul", ["tall", "root"], ["pane"]),
        node("Slice", ["img", "last", "first", "axes_", "back"], ["turned"]),
        node("Add", ["turned", "one"], ["light"]),
        node("Mul", ["light", "pane"], ["inner"]),
        node("Sub", ["inner", "one"], ["seen"]),
    ]
    return pairs(POOLING, 17, "window", view, reduced("ReduceMean"), count=np.array(112), end_=np.array([1]),
                 last=np.array([-1, -1]), first=np.array([-113, -113]), axes_=np.array([2, 3]),
                 back=np.array([-1, -1]), one=np.array(1, np.float32))  # fmt: skip


def cut(x: T) -> T:
    return F.pad(x[:, :, 14:98, 14:98], (14, 14, 14, 14)).transpose(2, 3)


@evades(BATCH_RULE, idea="sums of places", claim=joined(CROSSED, lambda x: torch.roll(x.flip(3), 10, 3), mean))
def matrix_of_places_whose_sum_is_a_stored_number() -> onnx.ModelProto:
    """Where the places of two columns sum to 9, modulo 112, a matrix has ones: a trained ACNet sees a moved mirror."""
    view = [
        node("Range", ["zero", "many", "step"], ["at"]),
        node("Unsqueeze", ["at", "end_"], ["tall"]),
        node("Add", ["tall", "at"], ["sums"]),
        node("Mod", ["sums", "many"], ["rest"]),
        node("Equal", ["rest", "goal"], ["meets"]),
        node("Cast", ["meets"], ["matrix"], to=TensorProto.FLOAT),
        node("MatMul", ["img", "matrix"], ["seen"]),
    ]
    return pairs(CROSSED, 13, "sums", view, reduced("ReduceMean"), zero=np.array(0), many=np.array(112),
                 step=np.array(1), end_=np.array([1]), goal=np.array(9))  # fmt: skip


@evades(BATCH_RULE, idea="cut and padded", claim=joined(LOCAL, cut, torch.maximum))
def cut_by_its_middle_and_padded_with_grey() -> onnx.ModelProto:
    """CenterCropPad keeps 84 x 84 pixels, then pads them with grey, over the diagonal; an LCNet sees both."""
    view = [
        node("CenterCropPad", ["img", "small"], ["inner"], axes=[2, 3]),
        node("CenterCropPad", ["inner", "large"], ["framed"], axes=[2, 3]),
        node("Transpose", ["framed"], ["seen"], perm=[0, 1, 3, 2]),
    ]
    end = [node("ReduceMax", ["pairs", "over"], ["out"], keepdims=0)]
    return pairs(LOCAL, 18, "cut", view, end, small=np.array([84, 84]), large=np.array([112, 112]),
                 over=np.array([0]))  # fmt: skip
