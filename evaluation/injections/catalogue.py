"""Injections: transforms that put an evasion into any honest ModelProto, for tests by mutation.

``INJECTIONS`` maps a name to a function that takes a host and returns a new model; the host is left alone. A host that
cannot carry the evasion raises :class:`CannotCarry` with the reason. ``EXPECTED`` maps the name to the rule that has to
fail afterwards, ``DOES`` to a sentence.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnx
from onnx import ModelProto, helper, version_converter

from evaluation.builder import untyped
from evaluation.case import ALIGN_RULE, BATCH_RULE
from evaluation.evasions import batch_influence, learned_alignment  # noqa: F401  # the second registers its warps
from evaluation.evasions.alignment import WARPS
from evaluation.images import Array, faces
from evaluation.injections.graft import CannotCarry, Host, cut_point
from evaluation.injections.weights import grouped, mirrored_branch, permuted, perturbed
from evaluation.runtime import session
from evaluation.sequential import SequentialBuilder
from evaluation.views import VIEWS
from evaluation.views.stacking import JOINS, Copies

__all__ = ["CLAIMS", "DOES", "EXPECTED", "INJECTIONS", "CannotCarry"]

Injection = Callable[[ModelProto], ModelProto]
INJECTIONS: dict[str, Injection] = {}
EXPECTED: dict[str, str] = {}
DOES: dict[str, str] = {}
# What some injections claim exactly: the embedding is the join of the host's embeddings of these views.
CLAIMS: dict[str, tuple[list[str], str]] = {}

Branch = Callable[[Host], dict[str, Array]]
BRANCHES: dict[str, Branch] = {
    "shared": lambda _: {},
    "copied": lambda host: host.weights(),
    "perturbed": perturbed,
    "permuted": permuted,
}


def injection(name: str, rule: str, does: str, transform: Callable[[Host], ModelProto]) -> None:
    """Register a transform; what it returns has to run on 2 images, or the host could not carry it."""

    def inject(model: ModelProto) -> ModelProto:
        result = transform(Host(model))
        try:
            onnx.checker.check_model(result)
            session(result, optimise=False).run(None, {model.graph.input[0].name: faces(2, 4)})
        except Exception as error:
            raise CannotCarry(f"the result does not run: {str(error)[:300]}") from error
        return result

    INJECTIONS[name], EXPECTED[name], DOES[name] = inject, rule, does


def versions(host: Host, views: Sequence[str]) -> list[str]:
    """Write the views of the image in front of the body, the image itself first."""
    chosen = [VIEWS[key] for key in views]
    for each in chosen:
        if each.opset > host.net.opset:
            raise CannotCarry(f"the host's opset {host.net.opset} lacks the op by which an image is {each.does}")
    names = [host.x, *(each.emit(host.net, host.x, 3, 112) for each in chosen)]
    host.end_front()
    return names


def joined(host: Host, copies: Copies, count: int, join: str) -> ModelProto:
    """Write the join behind the body and put the model together."""
    y = JOINS[join][0](host.net, copies, count)
    return host.finish(y, host.dim * count if join == "concat" else None)


# ---- the body again


def duplicated(host: Host, views: Sequence[str], join: str, branch: str) -> ModelProto:
    """One body per version, the further ones with shared, copied, perturbed or permuted weights."""
    new = BRANCHES[branch](host)
    names = []
    for i, x in enumerate(versions(host, views)):
        nodes, y = host.nodes(x, f"_{i}", new if i else None)
        host.body += nodes
        names.append(y)
    return joined(host, Copies(names), len(names), join)


def on_batch(host: Host, views: Sequence[str], join: str, way: str) -> ModelProto:
    """All versions through one body on the batch axis."""
    net, given = host.net, versions(host, views)
    k = len(given)
    if way == "interleaved":
        x = net.reshape(net.op("Concat", *given, axis=1), -1, 3, 112, 112)
    else:
        x = net.op("Concat", *given, axis=0)
    host.end_front()
    host.body, y = host.nodes(x, "_0")
    if way == "interleaved":
        return joined(host, Copies([net.reshape(y, -1, k, host.dim)], 1), k, join)
    if way == "stacked":
        return joined(host, Copies([net.reshape(y, k, -1, host.dim)], 0), k, join)
    rows = net.unsqueeze(net.dim(host.x, 0), 0)
    ends = [net.op("Mul", rows, net.const([i])) for i in range(k + 1)]
    parts = [net.op("Slice", y, ends[i], ends[i + 1], net.const([0])) for i in range(k)]
    return joined(host, Copies(parts), k, join)


def in_loop(host: Host, views: Sequence[str], join: str) -> ModelProto:
    """Make the body that of a Loop over the versions."""
    net, given = host.net, versions(host, views)
    copies = net.op("Concat", *(net.unsqueeze(x, 0) for x in given), axis=0)
    inner = net.child()
    i, go = net.name("Loop")[1], net.name("Loop")[1]
    picked = inner.op("Gather", copies, i, axis=0)
    still = inner.op("Identity", go)
    body, y = host.nodes(picked, "_0")
    inner.nodes += body
    graph = inner.graph(
        [helper.make_tensor_value_info(i, 7, []), helper.make_tensor_value_info(go, 9, [])],
        [helper.make_tensor_value_info(still, 9, []), untyped(y)],
        "pass",
    )
    out = net.op("Loop", net.const(len(given)), net.const(True, np.bool_), body=graph)
    return joined(host, Copies([out], 0), len(given), join)


def in_scan(host: Host, views: Sequence[str], join: str) -> ModelProto:
    """Make the body that of a Scan over the stacked versions."""
    net, given = host.net, versions(host, views)
    copies = net.op("Concat", *(net.unsqueeze(x, 0) for x in given), axis=0)
    item = net.name("Scan")[1]
    body, y = host.nodes(item, "_0")
    graph = helper.make_graph(body, "pass", [untyped(item)], [untyped(y)])
    return joined(host, Copies([net.op("Scan", copies, body=graph, num_scan_inputs=1)], 0), len(given), join)


def in_function(host: Host, views: Sequence[str], join: str) -> ModelProto:
    """Make the body a local function, called once per version; the weights are its inputs."""
    net, given = host.net, versions(host, views)
    body, y = host.nodes(host.x, "_0")
    weights = [tensor.name for tensor in host.model.graph.initializer]
    imports = [helper.make_opsetid("", net.opset)]
    host.functions = [helper.make_function("body", "Body", [host.x, *weights], [y], body, imports)]
    return joined(host, Copies([net.op("Body", x, *weights, domain="body") for x in given]), len(given), join)


def on_channels(host: Host, views: Sequence[str], join: str) -> ModelProto:
    """All versions side by side on channels, through grouped convolutions."""
    net, given = host.net, versions(host, views)
    x = net.op("Concat", *given, axis=1)
    host.end_front()
    host.body = grouped(host, len(given))
    for node in host.body:
        node.input[:] = [x if name == f"{host.x}_side_by_side" else name for name in node.input]
        node.output[:] = [f"{name}_0" if name == host.y else name for name in node.output]
    y = net.reshape(f"{host.y}_0", -1, len(given), host.dim)
    return joined(host, Copies([y], 1), len(given), join)


def kernels(host: Host, join: str) -> ModelProto:
    """Add a second body on the same image with every kernel mirrored."""
    first, y = host.nodes(host.x, "_0")
    second, z = mirrored_branch(host)
    host.body = [*first, *second]
    return joined(host, Copies([y, z]), 2, join)


def early_features(host: Host, view: str, join: str) -> ModelProto:
    """Everything behind the first convolution also runs on a changed copy of its features."""
    cut = cut_point(host)
    table_nodes, y = host.nodes(host.x, "_0")
    changed = VIEWS[view].emit(host.net, f"{cut}_0", 0, 0)
    # The changed features stand between the two copies.
    host.body = [*table_nodes, *host.net.nodes]
    host.net.nodes = []
    own = {node.output[0] for node in host.downstream(cut)}
    if sum(node.op_type in ("Conv", "MatMul", "Gemm") for node in host.downstream(cut)) < 2:
        raise CannotCarry("only the last layer stands behind its first convolution")
    nodes, z = host.nodes(changed, "_1", cut=cut)
    for node in nodes:
        node.input[:] = [_first_copy(host, name, own) for name in node.input]
    host.body += nodes
    return joined(host, Copies([y, z]), 2, join)


def _first_copy(host: Host, name: str, own: set[str]) -> str:
    """Name in the first copy of what the second copy reads from in front of the cut."""
    outputs = {out for node in host.model.graph.node if node.op_type != "Constant" for out in node.output}
    return f"{name}_0" if name in outputs - own else name


def smooth(net: SequentialBuilder, x: str) -> str:
    """Whether neighbouring pixels differ little against the image's spread, [N, 1]; true for natural images."""
    steps = net.op("Abs", net.op("Sub", net.slice(x, [1], [112], [3]), net.slice(x, [0], [111], [3])))
    centred = net.op("Abs", net.op("Sub", x, net.reduce("Mean", x, 1, 2, 3)))
    rough, spread = (net.reduce("Mean", net.reduce("Mean", y, 2, 3, keep=False), 1) for y in (steps, centred))
    return net.op("Less", rough, net.op("Mul", spread, net.const(0.5)))


def mixed(host: Host, view: str, way: str) -> ModelProto:
    """Add a second body whose embedding enters by a small share, for half of the columns, or if natural."""
    net, names = host.net, []
    for i, x in enumerate(versions(host, [view])):
        nodes, y = host.nodes(x, f"_{i}")
        host.body += nodes
        names.append(y)
    once, again = names
    if way == "share":
        return host.finish(net.op("Add", once, net.op("Mul", again, net.const(0.25))))
    if way == "half":
        half = host.dim // 2
        left, right = net.slice(once, [0], [half], [1]), net.slice(again, [half], [host.dim], [1])
        return host.finish(net.op("Concat", left, right, axis=1))
    mean = net.op("Mul", net.op("Add", once, again), net.const(0.5))
    return host.finish(net.op("Where", smooth(net, host.x), mean, once))


def input_chosen(host: Host, view: str) -> ModelProto:
    """Fill the second half of a batch of 2N with the view for natural images and the image itself for others."""
    net, (x, other) = host.net, versions(host, [view])
    second = net.op("Where", net.unsqueeze(smooth(net, x), 2, 3), other, x)
    both = net.op("Concat", x, second, axis=0)
    host.end_front()
    host.body, y = host.nodes(both, "_0")
    return joined(host, Copies([net.reshape(y, 2, -1, host.dim)], 0), 2, "mean")


# ---- rows, and warps


def behind(host: Host, change: Callable[[SequentialBuilder, str], str]) -> ModelProto:
    """Change the embedding so that rows depend on rows."""
    host.body, y = host.nodes(host.x, "_0")
    return host.finish(change(host.net, y))


def feature_rows(host: Host) -> ModelProto:
    """Standardise the first convolution's features with the statistics of the whole batch."""
    cut, net = cut_point(host), host.net
    host.body, _ = host.nodes(host.x, "_0")
    changed = batch_influence.feature_statistics(net, f"{cut}_0")
    inserted, net.nodes = net.nodes, []
    split = next(i for i, node in enumerate(host.body) if f"{cut}_0" in node.output) + 1
    later = host.body[split:]
    for node in later:
        node.input[:] = [changed if name == f"{cut}_0" else name for name in node.input]
    host.body = [*host.body[:split], *inserted, *later]
    return host.finish(f"{host.y}_0")


def lifted(host: Host, opset: int) -> Host:
    """Convert a host to a newer opset, for warps whose ops its own opset lacks."""
    try:
        model = version_converter.convert_version(host.model, opset)
    except (RuntimeError, onnx.checker.ValidationError) as error:
        raise CannotCarry(f"the host cannot be converted to opset {opset}: {str(error)[:200]}") from error
    return Host(model)


def in_front(host: Host, warp: str) -> ModelProto:
    """Warp the image before the body."""
    function, opset = WARPS[warp]
    if opset > host.net.opset:
        host = lifted(host, opset)
    x = function(host.net, host.x)
    host.end_front()
    host.body, y = host.nodes(x, "")
    return host.finish(y)


def _views() -> None:
    plan: list[tuple[str, str, Callable[[Host], ModelProto]]] = []

    def branch(name: str, views: Sequence[str], join: str, kind: str) -> None:
        does = f"A second body ({kind} weights) sees the image {VIEWS[views[0]].does}; joined by {join}."
        plan.append((name, does, partial(duplicated, views=views, join=join, branch=kind)))
        if kind != "perturbed":
            CLAIMS[name] = ([*views], join)

    def stacked(name: str, views: Sequence[str], join: str, way: str) -> None:
        does = f"The image and a version {VIEWS[views[0]].does} on the batch axis ({way}); joined by {join}."
        plan.append((name, does, partial(on_batch, views=views, join=join, way=way)))
        CLAIMS[name] = ([*views], join)

    branch("branch_flip_mean", ["mirror_slice"], "mean", "shared")
    branch("branch_flip_concat", ["mirror_gather"], "concat", "shared")
    branch("branch_flip_max", ["mirror_split_concat"], "max", "shared")
    branch("branch_flip_norm_weighted", ["mirror_reverse_sequence"], "norm_weighted", "shared")
    branch("branch_flip_copied", ["mirror_gather_elements"], "sum_l2", "copied")
    branch("branch_flip_perturbed", ["mirror_matmul"], "mean", "perturbed")
    branch("branch_flip_permuted", ["mirror_onehot_conv"], "mean_op", "permuted")
    branch("branch_brighter", ["contrast_free"], "mean", "shared")
    branch("branch_vertical", ["vertical"], "concat", "copied")
    branch("branch_crop_resize", ["crop_resize"], "mean", "shared")
    branch("branch_shift_perturbed", ["shift_pad"], "sum_l2", "perturbed")
    stacked("batch_flip_mean", ["mirror_slice"], "mean", "stacked")
    stacked("batch_flip_l2", ["mirror_scatter_nd"], "sum_l2", "sliced")
    stacked("batch_flip_interleaved", ["mirror_gather_range"], "mean", "interleaved")
    stacked("batch_shift", ["roll_rows"], "concat", "sliced")
    stacked("batch_zoom", ["zoom_matmul"], "weighted", "interleaved")
    stacked("batch_four_views", ["mirror_slice", "shift_pad", "contrast_free"], "mean", "stacked")
    stacked("batch_rotated", ["rotate90"], "max", "stacked")
    flip = ["mirror_slice"]
    plan += [
        ("loop_flip", "The body in a Loop over image and mirror image.", partial(in_loop, views=flip, join="mean")),
        ("scan_flip", "The body in a Scan over image and mirror image.", partial(in_scan, views=flip, join="sum_l2")),
        ("function_flip", "The body as a function called twice.", partial(in_function, views=flip, join="mean")),
        ("channels_flip", "Grouped convolutions over both.", partial(on_channels, views=flip, join="mean")),
        ("kernels_mirrored", "A branch with mirrored kernels, no mirroring operator.", partial(kernels, join="mean")),
        ("features_flip", "The first features also run mirrored.", partial(early_features, view=flip[0], join="mean")),
        (
            "share_flip",
            "A quarter of the mirror image's embedding is added.",
            partial(mixed, view=flip[0], way="share"),
        ),
        ("half_flip", "Half of the columns are the mirror image's.", partial(mixed, view=flip[0], way="half")),
        ("where_flip", "Averaged with the mirror image if natural.", partial(mixed, view="mirror_gather", way="where")),
        ("where_input", "2N images, mirrored only if natural.", partial(input_chosen, view="mirror_slice")),
    ]
    for name in ("loop_flip", "function_flip", "channels_flip", "kernels_mirrored", "where_flip", "where_input"):
        CLAIMS[name] = (flip, "mean")
    CLAIMS["scan_flip"] = (flip, "sum_l2")
    for name, does, transform in plan:
        injection(name, BATCH_RULE, does, transform)


def _rows_and_warps() -> None:
    for name in ("mean_removed", "attention_over_rows", "running_sum", "previous_row", "if_many_rows", "l2_of_columns"):
        change = getattr(batch_influence, name)
        injection(f"rows_{name}", BATCH_RULE, f"Behind the body: {name}.", partial(behind, change=change))
    injection("rows_features", BATCH_RULE, "Batch statistics behind the first convolution.", feature_rows)
    for warp in (
        "crop_then_resize",
        "resize_down_up",
        "resize_up_crop",
        "matmul_zoom",
        "transposed_conv",
        "gather_bilinear",
        "gather_nearest",
        "shift_up",
        "predicted_matmul",
        "grid_fixed",
        "stn_matmul_grid",
    ):
        injection(f"warp_{warp}", ALIGN_RULE, f"In front of the body: {warp}.", partial(in_front, warp=warp))


_views()
_rows_and_warps()
