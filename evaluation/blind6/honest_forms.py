"""Networks as teams hand them in after training: merged, pruned, factored, renamed, for pixels of 0 to 255."""

from __future__ import annotations

import copy
import io
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper, numpy_helper
from torch import nn

from evaluation.blind4.export import INPUTS, OUTPUTS, Whole, exported, network
from evaluation.blind4.layers import Body, Net, T
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.images import faces
from evaluation.registry import register

#: A change of a finished model that leaves what it computes.
Form: TypeAlias = Callable[[onnx.ModelProto], onnx.ModelProto]


def honest_form(
    why: str,
    *,
    idea: str,
    forms: Sequence[Form] = (),
    trained: int = 0,
    before: Callable[[T], T] | None = None,
    norms_apart: bool = False,
    opset: int = 11,
    **options: Any,
) -> Callable[[Body], Body]:
    """Register an honest network of PyTorch that is changed after its training and export.

    Parameters
    ----------
    forms
        Changes of the exported model, in order.
    before
        Turns pixels of 0 to 255 into what the network was trained with; None for a network of -1 to 1.
    norms_apart
        Whether BatchNormalization stays a node of its own.
    """

    def add(body: Body) -> Body:
        name = body.__name__

        @cache
        def build() -> onnx.ModelProto:
            net: nn.Module = copy.deepcopy(network(body, name, trained))
            for module in net.modules():
                if isinstance(module, Deployed):
                    module.deploy()
            if before is not None:
                net = Whole(lambda inner, x: inner(before(x)), net)
            model = (_apart if norms_apart else exported)(net, name, opset, **options)
            for form in forms:
                model = form(model)
            return model

        register(
            Case(
                name=name,
                rules=MODEL_RULES,
                expected="passed",
                idea=idea,
                about=why,
                build=build,
                raw=before is not None,
                whole=True,
            )
        )
        return body

    return add


def _apart(model: nn.Module, name: str, opset: int) -> onnx.ModelProto:
    """Export with BatchNormalization as a node of its own."""
    seed, written = seed_of(name), io.BytesIO()
    source, sink = INPUTS[seed % 4], OUTPUTS[seed // 4 % 4]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (torch.from_numpy(faces(2, 5)),), cast(Any, written), dynamo=False, opset_version=opset,
            training=torch.onnx.TrainingMode.PRESERVE, input_names=[source], output_names=[sink],
            dynamic_axes={source: {0: "batch"}, sink: {0: "batch"}},
        )  # fmt: skip
    return onnx.load_from_string(written.getvalue())


# ---- layers that are changed when the training is over


class Deployed(nn.Module, ABC):
    """A layer with another form for use than for training."""

    @abstractmethod
    def deploy(self) -> None:
        """Take the form for use."""


class Merged(Deployed):
    """Parallel convolutions with BatchNorm each, which become one."""

    def __init__(self, cin: int, cout: int, sizes: Sequence[int], s: int = 1, g: int = 1) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(cin, cout, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(cout)) for k in sizes
        )
        self.norm = nn.BatchNorm2d(cin) if s == 1 and cin == cout else None
        self.one: nn.Conv2d | None = None

    def forward(self, x: T) -> T:
        if self.one is not None:
            return cast(T, self.one(x))
        y = sum(branch(x) for branch in self.branches)
        return cast(T, y if self.norm is None else y + self.norm(x))

    def deploy(self) -> None:
        convs = [cast(nn.Conv2d, branch[0]) for branch in cast(Any, self.branches)]
        largest = max(convs, key=lambda conv: conv.kernel_size[0])
        side = largest.kernel_size[0]
        w, b = torch.zeros_like(largest.weight), torch.zeros(len(largest.weight))
        pairs = [(conv.weight, branch[1]) for conv, branch in zip(convs, cast(Any, self.branches), strict=True)]
        if self.norm is not None:
            pairs.append((nn.init.dirac_(torch.empty_like(largest.weight), largest.groups), self.norm))
        for kernel, norm in pairs:
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            pad = (side - kernel.shape[2]) // 2
            w = w + F.pad(kernel, (pad, pad, pad, pad)) * scale.reshape(-1, 1, 1, 1)
            b = b + norm.bias - norm.running_mean * scale
        self.one = nn.Conv2d(largest.in_channels, len(w), side, largest.stride, side // 2, groups=largest.groups)
        self.one.load_state_dict({"weight": w.detach(), "bias": b.detach()})


class Pruned(Deployed):
    """A convolution that loses its small weights; the zeros are stored."""

    def __init__(self, cin: int, cout: int, share: float) -> None:
        super().__init__()
        self.conv, self.share = nn.Conv2d(cin, cout, 3, 2, 1, bias=False), share

    def forward(self, x: T) -> T:
        return cast(T, self.conv(x))

    def deploy(self) -> None:
        with torch.no_grad():
            w = self.conv.weight
            w.mul_((w.abs() > w.abs().flatten().quantile(self.share)).float() * (1 + self.share / 2))


class Factored(Deployed):
    """A linear layer that becomes two of low rank, by its singular values."""

    def __init__(self, cin: int, cout: int, rank: int) -> None:
        super().__init__()
        self.layer: nn.Module = nn.Linear(cin, cout)
        self.rank = rank

    def forward(self, x: T) -> T:
        return cast(T, self.layer(x))

    def deploy(self) -> None:
        whole = cast(nn.Linear, self.layer)
        u, s, v = torch.linalg.svd(whole.weight.detach(), full_matrices=False)
        first, second = nn.Linear(whole.in_features, self.rank, False), nn.Linear(self.rank, whole.out_features)
        first.load_state_dict({"weight": v[: self.rank]})
        second.load_state_dict({"weight": u[:, : self.rank] * s[: self.rank], "bias": whole.bias.detach()})
        self.layer = nn.Sequential(first, second)


def merged(n: Net, x: T, width: int, sizes: Sequence[int] = (3, 1), s: int = 1, g: int = 1) -> T:
    c = x.shape[1]
    return n.same(x, lambda: Merged(c, width, sizes, s, c if g == -1 else g))


# ---- forms


def _renamed(
    model: onnx.ModelProto, node_name: Callable[[str, int], str], tensor: Callable[[str], str]
) -> onnx.ModelProto:
    """Rename the nodes of the main graph by operator and count, and every tensor but input and output."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    counts: Counter[str] = Counter()
    fixed = {value.name for value in (*made.graph.input, *made.graph.output)} | {""}
    names: dict[str, str] = {name: name for name in fixed}
    for stored in made.graph.initializer:
        names[stored.name] = tensor(stored.name)
        stored.name = names[stored.name]
    del made.graph.value_info[:]
    for node in made.graph.node:
        node.name = node_name(node.op_type, counts[node.op_type])
        counts[node.op_type] += 1
        for i, name in enumerate(node.input):
            node.input[i] = names[name]
        for i, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_{i}" if i else f"{node.name}_out")
            node.output[i] = names[name]
    return made


def old_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Name nodes as PyTorch did before 1.13: the operator and a running number."""
    counter = iter(range(10**6))
    return _renamed(model, lambda kind, _: f"{kind}_{next(counter)}", lambda name: name)


def paddle_names(model: onnx.ModelProto) -> onnx.ModelProto:
    counter = iter(range(10**6))
    return _renamed(model, lambda kind, i: f"p2o.{kind}.{i}", lambda _: f"param_{next(counter)}.w_0")


def hashed_names(model: onnx.ModelProto) -> onnx.ModelProto:
    return _renamed(model, lambda kind, i: f"{seed_of(f'{kind}{i}'):08x}", lambda name: f"{seed_of(name):08x}")


def copied_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every reader of an initializer a copy of its own."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    stored = {each.name: each for each in made.graph.initializer}
    seen: Counter[str] = Counter()
    for node in made.graph.node:
        for i, name in enumerate(node.input):
            if name in stored:
                seen[name] += 1
                if seen[name] > 1:
                    again = made.graph.initializer.add()
                    again.CopyFrom(stored[name])
                    again.name = node.input[i] = f"{name}_copy{seen[name]}"
    return made


def gemm_apart(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write Gemm as Transpose, MatMul and Add, with an Identity behind."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    nodes: list[onnx.NodeProto] = []
    for i, node in enumerate(made.graph.node):
        settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type != "Gemm" or not settings.get("transB"):
            nodes.append(node)
            continue
        a, w, b = node.input
        nodes += [
            helper.make_node("Transpose", [w], [f"{w}_t{i}"], name=f"transpose_{i}", perm=[1, 0]),
            helper.make_node("MatMul", [a, f"{w}_t{i}"], [f"mm_{i}"], name=f"matmul_{i}"),
            helper.make_node("Add", [f"mm_{i}", b], [f"biased_{i}"], name=f"bias_{i}"),
            helper.make_node("Identity", [f"biased_{i}"], list(node.output), name=f"identity_{i}"),
        ]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def norms_as_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write BatchNormalization as a product and a sum with stored numbers."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    stored = {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}
    flat = {made.graph.output[0].name}
    nodes: list[onnx.NodeProto] = []
    for i, node in enumerate(made.graph.node):
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        scale, shift, mean, var = (stored[name] for name in node.input[1:5])
        factor = scale / (var + 1e-5) ** 0.5
        shape = (-1,) if node.output[0] in flat else (-1, 1, 1)
        for name, value in ((f"scale_{i}", factor), (f"shift_{i}", shift - mean * factor)):
            made.graph.initializer.append(numpy_helper.from_array(value.reshape(shape).astype("float32"), name))
        nodes.append(helper.make_node("Mul", [node.input[0], f"scale_{i}"], [f"scaled_{i}"], name=f"scale{i}/mul"))
        nodes.append(helper.make_node("Add", [f"scaled_{i}", f"shift_{i}"], node.output[:1], name=f"scale{i}/add"))
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def weights_as_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """List the initializers among the inputs, as IR version 3 demanded."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for each in made.graph.initializer:
        made.graph.input.append(helper.make_tensor_value_info(each.name, each.data_type, list(each.dims)))
    return made


def weights_as_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store every weight in a Constant node."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    nodes = [helper.make_node("Constant", [], [each.name], name=f"c{i}", value=each)
             for i, each in enumerate(made.graph.initializer)]  # fmt: skip
    nodes += list(made.graph.node)
    del made.graph.initializer[:], made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def by_onnxruntime(model: onnx.ModelProto) -> onnx.ModelProto:
    """Save what onnxruntime's optimiser makes of it at its basic level."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ort.SessionOptions()
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        settings.optimized_model_filepath = str(Path(folder) / "model.onnx")
        settings.log_severity_level = 3
        ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        return onnx.load(settings.optimized_model_filepath)


def converted(opset: int) -> Form:
    """Convert to another opset by ONNX's own converter."""
    return lambda model: onnx.version_converter.convert_version(model, opset)
