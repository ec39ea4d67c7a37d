"""Mutated models: a number gives the same one every time, so that a model that shows something is built again by it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator

import onnx
from onnx import AttributeProto, TensorProto

from tests.support.models import network

OPERATORS = (
    "Conv", "Relu", "Gemm", "Flatten", "Add", "Reshape", "Transpose", "Loop", "If", "Scan", "Concat", "Split", "Pad",
    "Resize", "Gather", "MatMul", "Softmax", "BatchNormalization", "ConvTranspose", "LSTM", "NonZero", "Tile", "Expand",
    "Einsum", "TopK", "", "NoSuchOperator",
)  # fmt: skip
EXTENTS = (-(2**63), -1, 0, 1, 2, 3, 112, 113, 2**16, 2**31 - 1, 2**31, 2**40, 2**63 - 1)

Mutation = Callable[[random.Random, bytes], bytes]


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    """Flip between one and 64 bits."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        bit = rng.randrange(8 * len(found))
        found[bit // 8] ^= 1 << bit % 8
    return bytes(found)


def truncate(rng: random.Random, data: bytes) -> bytes:
    """Cut the end, or a piece, off."""
    start = rng.randrange(len(data))
    return data[:start] if rng.random() < 0.5 else data[:start] + data[start + rng.randrange(1, 200) :]


def overwrite(rng: random.Random, data: bytes) -> bytes:
    """Write bytes that are special in protobuf or in numbers over a place near the beginning or anywhere."""
    value = rng.choice((b"\xff" * 10, b"\0" * 16, b"\x80" * 9, b"\x7f\xc0\x00\x00", b"PK\x05\x06" + b"\0" * 18))
    place = rng.randrange(min(len(data), rng.choice((200, len(data)))))
    return data[:place] + value + data[place + len(value) :]


def fields(rng: random.Random, data: bytes) -> bytes:
    """Duplicate, delete or reorder fields of the file, of its graph, or of one of the graph's parts."""
    level = rng.randrange(3)
    return _change_fields(rng, data, level)


def _change_fields(rng: random.Random, data: bytes, level: int) -> bytes:
    parts = list(_fields(data))
    if not parts:
        return data
    if level:
        inner = [index for index, (_, start, _) in enumerate(parts) if start]
        if not inner:
            return data
        index = max(inner, key=lambda place: len(parts[place][2])) if level == 2 else rng.choice(inner)
        key, start, whole = parts[index]
        body = _change_fields(rng, whole[start:], level - 1)
        parts[index] = (key, start, _varint(key) + _varint(len(body)) + body)
    else:
        index = rng.randrange(len(parts))
        choice = rng.randrange(4)
        if choice == 0:
            parts.insert(rng.randrange(len(parts)), parts[index])
        elif choice == 1:
            del parts[index]
        elif choice == 2:
            rng.shuffle(parts)
        else:
            key, start, whole = parts[index]
            other = rng.randrange(1, 40) << 3 | key & 7
            parts[index] = (other, 0, _varint(other) + whole[len(_varint(key)) :])
    return b"".join(whole for _, _, whole in parts)


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (key, where its content starts or 0, the whole field) of a protobuf message, as far as it is one."""
    at = 0
    while at < len(data):
        begin = at
        try:
            key, at = _read_varint(data, at)
            start = 0
            if key & 7 == 2:
                size, at = _read_varint(data, at)
                start, at = at - begin, at + size
            elif key & 7 == 0:
                _, at = _read_varint(data, at)
            else:
                at += {1: 8, 5: 4}[key & 7]
        except (IndexError, KeyError):
            return
        yield key, start, data[begin:at]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80 or shift > 63:
            return value, at


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _on_model(change: Callable[[random.Random, onnx.ModelProto], None]) -> Mutation:
    def mutation(rng: random.Random, data: bytes) -> bytes:
        model = onnx.ModelProto.FromString(data)
        change(rng, model)
        return bytes(model.SerializeToString())

    mutation.__name__ = change.__name__
    return mutation


def dims(rng: random.Random, model: onnx.ModelProto) -> None:
    """Change a tensor's shape, or the declared shape of the input or the output."""
    graph = model.graph
    if rng.random() < 0.5:
        tensor = rng.choice(list(graph.initializer))
        shape = list(tensor.dims) or [1]
        shape[rng.randrange(len(shape))] = rng.choice(EXTENTS)
        tensor.dims[:] = shape if rng.random() < 0.8 else shape * 8
        return
    value = rng.choice([*graph.input, *graph.output])
    extents = value.type.tensor_type.shape.dim
    if extents:
        extent = rng.choice(list(extents))
        if rng.random() < 0.3:
            extent.dim_param = rng.choice(("", "N", "0", "\x1b[2J", "x" * 5_000))
        else:
            extent.dim_value = rng.choice(EXTENTS)


def op_type(rng: random.Random, model: onnx.ModelProto) -> None:
    """Give a node another operator, another domain, or the file other operator sets."""
    node = rng.choice(list(model.graph.node))
    choice = rng.randrange(4)
    if choice < 2:
        node.op_type = rng.choice(OPERATORS)
    elif choice == 2:
        node.domain = rng.choice(("com.microsoft", "ai.onnx.ml", "x" * 300, "ai.onnx"))
    else:
        model.opset_import[0].version = rng.choice((-1, 0, 1, 7, 13, 21, 2**31, 2**62))


def edges(rng: random.Random, model: onnx.ModelProto) -> None:
    """Connect an input or an output of a node with another value: circles, two makers of one value, dead ends."""
    nodes = list(model.graph.node)
    names = [name for node in nodes for name in (*node.input, *node.output)] + ["", "nowhere"]
    for _ in range(rng.choice((1, 1, 4))):
        node = rng.choice(nodes)
        ends = node.input if rng.random() < 0.7 else node.output
        if ends and rng.random() < 0.8:
            ends[rng.randrange(len(ends))] = rng.choice(names)
        else:
            ends.append(rng.choice(names))


def attributes(rng: random.Random, model: onnx.ModelProto) -> None:
    """Give an attribute an extreme value, another type or another name, or a node one more."""
    node = rng.choice(list(model.graph.node))
    if not node.attribute or rng.random() < 0.2:
        attribute = node.attribute.add()
        attribute.name = rng.choice(("axis", "perm", "body", "then_branch", "pads", "strides", "kernel_shape", "value"))
        attribute.type = rng.randrange(0, 15)
        return
    attribute = rng.choice(list(node.attribute))
    if attribute.type == AttributeProto.INTS and attribute.ints and rng.random() < 0.7:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(EXTENTS)
    elif rng.random() < 0.5:
        attribute.i = rng.choice(EXTENTS)
    elif rng.random() < 0.5:
        attribute.type = rng.randrange(0, 15)
    else:
        attribute.name = rng.choice(("", "x" * 300, "strides", "group"))


def tensors(rng: random.Random, model: onnx.ModelProto) -> None:
    """Give a tensor another type, other bytes, a place outside of the file, or let it vanish."""
    stored = model.graph.initializer
    place = rng.randrange(len(stored))
    tensor = stored[place]
    choice = rng.randrange(5)
    if choice == 0:
        tensor.data_type = rng.randrange(0, 30)
    elif choice == 1:
        tensor.raw_data = rng.choice((b"", tensor.raw_data[:-1], b"\xff" * len(tensor.raw_data), b"\x7f" * 16))
    elif choice == 2:
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", rng.choice(("", "/etc/passwd", "../x", "w.bin", ".", "/dev/zero"))
    elif choice == 3:
        stored.append(tensor)
    else:
        del stored[place]


def repeat(rng: random.Random, model: onnx.ModelProto) -> None:
    """Repeat or remove nodes, inputs or outputs."""
    graph = model.graph
    part = rng.choice((graph.node, graph.input, graph.output))
    if not part:
        return
    index = rng.randrange(len(part))
    if rng.random() < 0.5:
        part.append(part[index])
    else:
        del part[index]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    truncate,
    overwrite,
    fields,
    *(_on_model(change) for change in (dims, op_type, edges, attributes, tensors, repeat)),
)


def mutate(model_bytes: bytes, seed: int) -> bytes:
    """Return a mutated model; the same bytes for the same seed.

    One to three mutations follow each other; changes of the graph come before changes of its bytes.
    """
    rng = random.Random(seed)
    chosen = rng.choices(MUTATIONS, k=rng.choice((1, 1, 2, 3)))
    data = model_bytes
    for mutation in sorted(chosen, key=MUTATIONS.index, reverse=True):
        try:
            data = mutation(rng, data) or b"\0"
        except (IndexError, ValueError):  # an earlier one left nothing to change
            continue
    return data if data != model_bytes else flip_bits(rng, data)


def seeds_model() -> bytes:
    """Return the model that is mutated."""
    return bytes(network().SerializeToString())


def version() -> str:
    """Return what tells two versions of `mutate` apart: a digest of the first models that it makes."""
    source = seeds_model()
    return hashlib.sha256(b"".join(mutate(source, seed) for seed in range(20))).hexdigest()[:16]
