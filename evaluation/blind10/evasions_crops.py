"""Evasions: crops and looks packed along columns, depth and time, in sequences, and read by a trained comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import TensorProto, helper
from torch import nn

from evaluation.blind4.claims import Claim, computes, mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind6.evasions_common import box, folded, tiles, torch_of
from evaluation.blind7.evasions_nets import Parts, tensor
from evaluation.blind10.evasions_nets import dual, look, rep, selu, star
from evaluation.case import BATCH_RULE

STAR: Parts = (star, "crops of the tenth set", 0)
REP: Parts = (rep, "crops of the tenth set", 6)
DUAL: Parts = (dual, "crops of the tenth set", 6)
SELU: Parts = (selu, "crops of the tenth set", 0)
TILES: Parts = (tiles, "crops of the tenth set", 8)

Part = Callable[[T], T]


@look("multi-crops", REP, 13)
def nine_crops_by_a_gather_each_way(f: Part, x: T) -> T:
    """Nine crops of the padded face, four pixels apart, by one Gather of rows and one of columns; a trained RepVGG."""
    at = (4 * torch.arange(3)[:, None] + torch.arange(112)[None]).flatten()
    y = F.pad(x, (4, 4, 4, 4)).index_select(2, at).index_select(3, at)
    y = y.reshape(-1, 3, 3, 112, 3, 112).permute(0, 2, 4, 1, 3, 5).reshape(-1, 3, 112, 112)
    return f(y).reshape(-1, 9, 64).mean(1)


@look("multi-crops", STAR, 11)
def upper_and_lower_crop_weighed_by_their_norms(f: Part, x: T) -> T:
    """Two crops, without the chin and without the forehead, filled up by their border; longer embeddings count more."""
    y = [
        f(F.pad(x[:, :, :96], (0, 0, 16, 0), mode="replicate")),
        f(F.pad(x[:, :, 16:], (0, 0, 0, 16), mode="replicate")),
    ]
    w = torch.stack([v.norm(dim=1) for v in y], 1).softmax(1)
    return w[:, :1] * y[0] + w[:, 1:] * y[1]


class Strips(nn.Module):
    """Strips of sixteen columns of two looks in turn: kernels that do not overlap never see two of them at once."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        layers = folded(network(*TILES))
        for i, (w, b, *_) in enumerate(layers):
            k = np.asarray(w)
            if i == 3:
                k = np.stack([k, k], 4).reshape(*k.shape[:3], 14) / 2
            conv = nn.Conv2d(k.shape[1], len(k), k.shape[2:], 1 if i == 3 else k.shape[2:])
            with torch.no_grad():
                conv.weight.copy_(tensor(k))
                assert conv.bias is not None
                conv.bias.copy_(tensor(b))
            self.convs.append(conv)

    def forward(self, x: T) -> T:
        a, b = (y.reshape(-1, 3, 112, 7, 16) for y in (x, x.flip(2)))
        y = torch.stack([a, b], 4).reshape(-1, 3, 112, 224)
        for i, conv in enumerate(self.convs):
            y = F.relu(conv(y)) if i < 3 else conv(y)
        return y.flatten(1)


@evades(BATCH_RULE, idea="packed along columns", opset=12, claim=of_views(TILES, same, lambda x: x[:, :, ::-1]))
def strips_of_sixteen_columns_in_turn() -> nn.Module:
    """One image of 224 columns: sixteen of the face, sixteen of it upside down, and so on; trained plain layers."""
    return Strips()


class Deep(nn.Module):
    """Kernels of three dimensions: the middle slice is a trained one's, the outer ones couple two looks weakly."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(1010)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for w, b, *_ in folded(network(*TILES)):
            k = rng.normal(0, 0.015 * np.std(w), (*w.shape[:2], 3, *w.shape[2:]))
            k[:, :, 1] = w
            self.weights.append(nn.Parameter(tensor(k)))
            self.biases.append(nn.Parameter(tensor(b)))

    def forward(self, x: T) -> T:
        y = torch.stack([x, 1.3 * x.flip(3) - 0.1], 2)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            k = (4, 2, 2, 1)[i]
            y = F.conv3d(y, w, b, (1, k, k), (1, 0, 0))
            y = F.relu(y) if i < 3 else y
        return y.mean(2).flatten(1)


def hard_mirror(x: Any) -> Any:
    return 1.3 * x[..., ::-1] - 0.1


@evades(BATCH_RULE, idea="packed along depth", opset=13, claim=of_views(TILES, same, hard_mirror, near=5e-3))
def slices_of_a_volume_are_two_looks() -> nn.Module:
    """A volume of two slices, the face and its mirror image of more contrast; kernels of depth three, 1.5 % outside."""
    return Deep()


def slow_fast(n: Net, x: T, moves: tuple[int, ...] = (0, 5, 10, 15)) -> T:
    """SlowFast: a wide path sees one frame, a thin one all of them, and what it finds joins the wide one."""
    frames = torch.stack([torch.roll(x, k, 3) for k in moves], 2)
    fast = F.relu(n.same(frames, lambda: nn.Conv3d(3, 8, (3, 5, 5), (1, 4, 4), (1, 2, 2))))
    fast = F.relu(n.same(fast, lambda: nn.Conv3d(8, 24, (2, 3, 3), (1, 2, 2), (0, 1, 1)))).amax(2)
    slow = n.down(n.stem(x, 16), 20)
    return n.embed(n.down(torch.cat([slow, fast], 1), 32), 64)


def by_body(body: Callable[..., T], seed: str, trained: int, rival: Callable[..., T]) -> Claim:
    """Claim the network of ``body``, which is not what its layers give under ``rival``."""

    def run(how: Callable[..., T]) -> Callable[[T], T]:
        net = network(body, seed, trained)

        def start(x: T) -> T:
            net._at = 0
            return how(net, x)

        return start

    return computes(lambda x: torch_of(run(body), x), lambda x: torch_of(run(rival), x))


@evades(BATCH_RULE, idea="packed along time", opset=14, claim=by_body(
    slow_fast, "slow and fast", 6, lambda n, x: slow_fast(n, x, (0, 0, 0, 0))
))  # fmt: skip
def fast_path_sees_four_frames_of_a_still() -> nn.Module:
    """SlowFast for videos, trained: the slow path sees the face, the fast one four frames in which it moves right."""
    return network(slow_fast, "slow and fast", 6)


def compared(n: Net, x: T, looks: bool = True) -> T:
    """Compare two embeddings of one network: the numbers, their product and their distance go into a last layer."""
    begun = n._at

    def sees(y: T) -> T:
        n._at = begun
        for width in (12, 16, 24, 32):
            y = F.relu(n.conv(y, width, 3, 2))
        return n.linear(y.flatten(1), 48)

    a = sees(x)
    made, n.made = n.made, True
    b = sees(0.9 * box(x, 3).flip(3) + 0.05 if looks else x)
    n.made = made
    return n.embed(torch.cat([a, a * b, (a - b).abs()], 1), 64)


@evades(BATCH_RULE, idea="comparison", opset=15, claim=by_body(
    compared, "compared", 6, lambda n, x: compared(n, x, False)
))  # fmt: skip
def comparison_of_two_looks_is_the_embedding() -> nn.Module:
    """As Siamese networks compare two faces, a trained one compares the face with its softened mirror image."""
    return network(compared, "compared", 6)


def rebuilt(made: onnx.ModelProto, nodes: list[onnx.NodeProto], stored: list[TensorProto]) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "main", made.graph.input, made.graph.output, [*made.graph.initializer, *stored])
    return helper.make_model(graph, opset_imports=made.opset_import, ir_version=8, producer_name="pytorch")


@evades(BATCH_RULE, idea="transform applied twice", claim=of_views(DUAL, same, lambda x: np.roll(x[..., ::-1], 1, 3)))
def fourier_operator_applied_twice() -> onnx.ModelProto:
    """ONNX's DFT is applied twice without going back, which reverses the columns; a trained network sees both."""
    made = exported(network(*DUAL), "Fourier operator applied twice", 17)
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        helper.make_node("Unsqueeze", [x, "last"], ["real"]),
        helper.make_node("DFT", ["real"], ["waves"], axis=3),
        helper.make_node("DFT", ["waves"], ["again"], axis=3),
        helper.make_node("Slice", ["again", "nought", "one", "four"], ["part"]),
        helper.make_node("Squeeze", ["part", "four"], ["large"]),
        helper.make_node("Div", ["large", "size"], ["back"]),
        helper.make_node("Concat", [x, "back"], ["both"], axis=0),
        *body_of(made, "both", "all"),
        helper.make_node("Reshape", ["all", "form"], ["pairs"]),
        helper.make_node("ReduceMean", ["pairs"], [out], axes=[0], keepdims=0),
    ]
    return rebuilt(made, nodes, constants(
        last=np.array([-1]), nought=np.array([0]), one=np.array([1]), four=np.array([4]), size=np.float32(112),
        form=np.array([2, -1, 64])))  # fmt: skip


@evades(BATCH_RULE, idea="sequence map", claim=of_views(SELU, same, mirror, lambda x: 0.8 * x))
def network_mapped_over_a_sequence_of_looks() -> onnx.ModelProto:
    """SequenceMap runs a network over a sequence: the face, its mirror image and a pale one; the mean is kept."""
    made = exported(network(*SELU), "mapped over a sequence", 17)
    x, out = made.graph.input[0].name, made.graph.output[0].name
    kind = TensorProto.FLOAT
    body = helper.make_graph(
        body_of(made, "view", "one_look"), "map",
        [helper.make_tensor_value_info("view", kind, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("one_look", kind, ["N", 64])],
    )  # fmt: skip
    nodes = [
        helper.make_node("Slice", [x, "minus", "end", "three", "minus"], ["back"]),
        helper.make_node("Mul", [x, "pale"], ["less"]),
        helper.make_node("SequenceConstruct", [x, "back", "less"], ["looks"]),
        helper.make_node("SequenceMap", ["looks"], ["each"], body=body),
        helper.make_node("ConcatFromSequence", ["each"], ["stacked"], axis=0, new_axis=1),
        helper.make_node("ReduceMean", ["stacked"], [out], axes=[0], keepdims=0),
    ]
    return rebuilt(made, nodes, constants(
        minus=np.array([-1]), end=np.array([-(2**31)]), three=np.array([3]), pale=np.float32(0.8)))  # fmt: skip
