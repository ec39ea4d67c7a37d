"""Mutated models through everything that runs native code: reading, loading, batches, the detector.

`mutate` is seeded: a model that shows something is built again by its number. `fuzz` runs a range of numbers in the
sandbox, as a run of pytest would, and says what went wrong for each; ``python -m tests.security.fuzzing FIRST COUNT``
does it from a shell.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
from onnx import AttributeProto, TensorProto

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.files import remove_tree
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule as judge
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits, Request, run_steps
from tests.support.gathering import rule
from tests.support.models import network

#: Everything that a run without images, without another interpreter and without timing does to a model.
STEPS_RUN = tuple(
    name
    for name, step in STEPS.items()
    if step.stage in ("static", "behaviour", "probes") and name != "flops_crosscheck"
)
#: A step that is silent for longer is ended; one that is not is a hang.
LIMITS = Limits(idle_seconds=30.0, memory_bytes=2 << 30)
HANG_SECONDS = 60.0
OPTIONS = RunOptions(threads=1, device="cpu")
#: Rules of the challenge that are judged on what was observed: a check must not raise either.
RULES = ("package", "onnx-valid", "model-size", "input", "batch", "deterministic", "no-float16")

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


@dataclasses.dataclass
class Tally:
    """What came of a range of numbers.

    Attributes
    ----------
    ends
        How often each step ended in each way.
    troubles
        What must not happen, a sentence each.
    slowest
        Seconds of the slowest model.
    """

    ends: Counter[str] = dataclasses.field(default_factory=Counter)
    troubles: list[str] = dataclasses.field(default_factory=list)
    slowest: float = 0.0
    models: int = 0


def fuzz(
    folder: Path,
    seeds: range,
    steps: tuple[str, ...] = STEPS_RUN,
    report: Callable[[str], None] = lambda _line: None,
    *,
    together: bool = False,
) -> Tally:
    """Judge mutated models and return what came of it.

    Nothing may be written outside of the run's scratch folder, nothing may be raised here, and no step may hang.

    Parameters
    ----------
    folder
        An empty folder. HOME, the folder for temporary files and the working folder lie in it meanwhile, so that what
        is written anywhere else is seen.
    together
        Run all stages of a model in one process, to save the time in which processes start.
    """
    load_checks()
    watched = [folder / name for name in ("home", "temporary", "here", "entries")]
    for each in watched:
        each.mkdir(parents=True)
    source = seeds_model()
    tally = Tally()
    with _moved(*watched[:3]):
        for seed in seeds:
            path = watched[3] / f"{seed}.onnx"
            path.write_bytes(mutate(source, seed))
            started = time.monotonic()
            try:
                _judge((_Together if together else FactStore)(folder / "run", OPTIONS, LIMITS), path, steps, tally)
            except Exception as error:  # here is what pytest would die of
                tally.troubles.append(f"model {seed}: {type(error).__name__}: {error}")
            seconds = time.monotonic() - started
            tally.slowest, tally.models = max(tally.slowest, seconds), tally.models + 1
            if seconds > HANG_SECONDS * len(steps):
                tally.troubles.append(f"model {seed}: {seconds:.0f} seconds")
            path.unlink()
            left = [str(each.relative_to(folder)) for place in watched for each in place.rglob("*")]
            if left:
                tally.troubles.append(f"model {seed}: written outside of the scratch folder: {', '.join(left[:5])}")
            tally.troubles += [f"model {seed}: {trouble}" for trouble in remove_tree(folder / "run")]
            report(f"{seed}: {seconds:.1f} s")
    return tally


class _Together(FactStore):
    """Gathers every step in one process."""

    def _gather(self, source: Path, facts_dir: Path, steps: list[str], on_progress: Callable[[str], None]) -> None:
        workdir = facts_dir / "work"
        workdir.mkdir(exist_ok=True)
        request = Request(
            source=str(source),
            workdir=str(workdir),
            facts_dir=str(facts_dir),
            steps=tuple(steps),
            options=self.options,
            limits=self.limits,
        )
        run_steps(request, on_progress, still_worth=lambda left: self._unblocked(facts_dir, left))


def _judge(store: FactStore, path: Path, steps: tuple[str, ...], tally: Tally) -> None:
    longest = [time.monotonic(), 0.0]

    def heard(_line: str) -> None:
        now = time.monotonic()
        longest[:] = [now, max(longest[1], now - longest[0])]

    facts = store.facts(path, steps, heard)
    if longest[1] > HANG_SECONDS:
        tally.troubles.append(f"{path.name}: silent for {longest[1]:.0f} seconds")
    for step in steps:
        failure = facts.failures.get(step)
        tally.ends[f"{step}: {failure.kind if failure else 'facts' if step in facts.gathered else 'nothing'}"] += 1
        if failure is None and step not in facts.gathered:
            tally.troubles.append(f"{path.name}: the step {step!r} left nothing")
    if store.changed(path):
        tally.troubles.append(f"{path.name}: the submission was changed")
    _judge_rules(facts, path, tally)


def _judge_rules(facts: Facts, path: Path, tally: Tally) -> None:
    for rule_id in RULES:
        outcome = judge(facts, rule(rule_id))
        if outcome.status in (Status.FAILED, Status.UNDECIDED) and not (
            outcome.message and (outcome.remedy or outcome.because_of)
        ):
            tally.troubles.append(f"{path.name}: {rule_id} says nothing that helps")


class _moved:  # noqa: N801 - used like a function
    """Point HOME, temporary files and the working folder elsewhere for a while."""

    def __init__(self, home: Path, temporary: Path, here: Path) -> None:
        self.new = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "TMPDIR": str(temporary)}
        self.here = here

    def __enter__(self) -> None:
        self.old = {name: os.environ.get(name) for name in self.new}
        self.place, self.temporary = Path.cwd(), tempfile.tempdir
        os.environ.update(self.new)
        tempfile.tempdir = self.new["TMPDIR"]
        os.chdir(self.here)

    def __exit__(self, *_: object) -> None:
        os.chdir(self.place)
        tempfile.tempdir = self.temporary
        for name, value in self.old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def main() -> None:
    """Run a range of numbers and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzzing", description=__doc__)
    parser.add_argument("first", type=int, help="number of the first model")
    parser.add_argument("count", type=int, help="how many models")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="facechallenge-fuzzing-"))
    try:
        tally = fuzz(folder, range(given.first, given.first + given.count), report=lambda line: print(line, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for end, number in sorted(tally.ends.items()):
        print(f"{number:7,} {end}")
    print(f"{tally.models:,} models, the slowest {tally.slowest:.1f} s, {len(tally.troubles):,} troubles")
    print("\n".join(tally.troubles))
    sys.exit(1 if tally.troubles else 0)


def digest(data: bytes) -> str:
    """Return the SHA-256 of a mutated model, to tell two versions of `mutate` apart."""
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main()
