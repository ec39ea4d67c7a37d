"""ONNX operators that move data as torch functions, in the same register as the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_facechallenge.analyses.flops_crosscheck.torch_operators import OPERATORS as OPERATORS
from pytest_facechallenge.analyses.flops_crosscheck.torch_operators import operator

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Node


@operator("Shape")
def _shape(torch: Any, node: Node, x: Any) -> Any:
    extents = [int(extent) for extent in x.shape]
    return torch.tensor(extents[node.attributes.get("start", 0) : node.attributes.get("end")])


@operator("Reshape")
def _reshape(_torch: Any, node: Node, x: Any, shape: Any) -> Any:
    keep = not node.attributes.get("allowzero", 0)
    return x.reshape([x.shape[i] if n == 0 and keep else n for i, n in enumerate(shape.tolist())])


@operator("Flatten")
def _flatten(_torch: Any, node: Node, x: Any) -> Any:
    axis = node.attributes.get("axis", 1)
    rows = 1
    for extent in x.shape[: axis if axis >= 0 else axis + x.dim()]:
        rows *= extent
    return x.reshape(rows, -1)


@operator("Transpose")
def _transpose(_torch: Any, node: Node, x: Any) -> Any:
    return x.permute(node.attributes.get("perm") or list(range(x.dim()))[::-1])


@operator("Squeeze", "Unsqueeze")
def _squeeze(_torch: Any, node: Node, x: Any, axes: Any = None) -> Any:
    given = node.attributes.get("axes") or (None if axes is None else axes.tolist())
    if node.op == "Squeeze":
        drop = {axis % x.dim() for axis in given} if given else {i for i, n in enumerate(x.shape) if n == 1}
        return x.reshape([n for i, n in enumerate(x.shape) if i not in drop])
    rank = x.dim() + len(given or ())
    added = {axis % rank for axis in given or ()}
    extents = iter(x.shape)
    return x.reshape([1 if i in added else next(extents) for i in range(rank)])


@operator("Concat")
def _concat(torch: Any, node: Node, *xs: Any) -> Any:
    return torch.cat(xs, node.attributes["axis"])


@operator("Split")
def _split(torch: Any, node: Node, x: Any, sizes: Any = None) -> Any:
    axis = node.attributes.get("axis", 0)
    given = node.attributes.get("split") or (None if sizes is None else sizes.tolist())
    if given is None:
        part = -(-x.shape[axis] // len(node.outputs))
        return torch.split(x, part, axis)
    return torch.split(x, given, axis)


@operator("Slice")
def _slice(torch: Any, node: Node, x: Any, *parts: Any) -> Any:
    if node.opset < 10:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attributes.get("axes"), None
    else:
        lists = [None if part is None else part.tolist() for part in (*parts, None, None)[:4]]
        starts, ends, axes, steps = lists[0] or [], lists[1] or [], lists[2], lists[3]
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = int(axes[i]) if axes else i
        # While a tracer records, numbers read from a tensor are tensors still.
        chosen = range(int(x.shape[axis]))[slice(int(start), int(end), int(steps[i]) if steps else 1)]
        x = torch.index_select(x, axis, torch.tensor(list(chosen), dtype=torch.int64))
    return x


@operator("Gather")
def _gather(torch: Any, node: Node, x: Any, indices: Any) -> Any:
    axis = node.attributes.get("axis", 0) % x.dim()
    wanted = indices.to(torch.int64) % x.shape[axis]
    picked = torch.index_select(x, axis, wanted.reshape(-1))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


@operator("Pad")
def _pad(torch: Any, node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    given = node.attributes.get("pads") or pads.tolist()
    mode = node.attributes.get("mode", "constant")
    if axes is not None or mode == "wrap":
        raise NotImplementedError(f"node {node.label!r}: this form of Pad is not known")
    rank = x.dim()
    order = [given[axis + side * rank] for axis in reversed(range(rank)) for side in (0, 1)]
    if mode == "constant":
        filler = node.attributes.get("value", 0.0) if value is None else float(value)
        return torch.nn.functional.pad(x, order, value=filler)
    return torch.nn.functional.pad(x, order[: 2 * (rank - 2)], mode={"edge": "replicate"}.get(mode, mode))


@operator("Expand")
def _expand(torch: Any, _node: Node, x: Any, shape: Any) -> Any:
    return x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(shape.tolist())))


@operator("Tile")
def _tile(_torch: Any, _node: Node, x: Any, repeats: Any) -> Any:
    return x.repeat(repeats.tolist())


@operator("ConstantOfShape")
def _constant_of_shape(torch: Any, node: Node, shape: Any) -> Any:
    value = node.attributes.get("value")
    filler = torch.zeros(1) if value is None else torch.from_numpy(value.array().copy())
    return filler.reshape(-1).expand(shape.tolist()) if shape.numel() else filler.reshape(())


@operator("Range")
def _range(torch: Any, _node: Node, start: Any, limit: Any, step: Any) -> Any:
    return torch.arange(start.item(), limit.item(), step.item())


@operator("DepthToSpace", "SpaceToDepth")
def _space(torch: Any, node: Node, x: Any) -> Any:
    block = node.attributes["blocksize"]
    n, c, h, w = x.shape
    if node.op == "SpaceToDepth":
        parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
        return parts.reshape(n, c * block * block, h // block, w // block)
    if node.attributes.get("mode", "DCR") == "CRD":
        return torch.pixel_shuffle(x, block)
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


@operator("Resize", "Upsample")
def _resize(torch: Any, node: Node, x: Any, *rest: Any) -> Any:
    scales = rest[0] if node.op == "Upsample" or len(rest) == 1 else (*rest, None)[1]
    sizes = rest[2] if len(rest) > 2 else None
    if sizes is not None:
        target = sizes.tolist()[2:]
    else:
        factors = node.attributes.get("scales") or scales.tolist()
        target = [int(extent * factor) for extent, factor in zip(x.shape[2:], factors[2:], strict=True)]
    mode = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[node.attributes.get("mode", "nearest")]
    aligned = node.attributes.get("coordinate_transformation_mode") == "align_corners"
    return torch.nn.functional.interpolate(x, target, mode=mode, align_corners=aligned if mode != "nearest" else None)
