"""Submissions of somebody who means harm, built in code: one builder each, in one table.

`HOSTILE` is for tests that go through all of them, `build_all` for a folder that holds every one. A builder gets an
empty folder and returns the path to hand in. Sizes are those at which the kind of attack shows, not the largest.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.security.archives import (
    comment_with_archive,
    deep_zip,
    gap_between_entries,
    local_name_differs,
    local_size_differs,
    nul_in_name,
    prefixed,
    suffixed,
    unicode_name_differs,
    zip_bytes,
)
from tests.support.models import network, save

#: What a terminal, an XML file or a reader must never get, as far as a protobuf string or a file name can hold it:
#: escape, bell, C1, bidi marks, ends of lines, and a line of a report.
NASTY_NAME = "\x1b[2J\x07\x9b31m\u202egnp.\u2066\u200f\nCOMPLIANT  1 passed\n\u2028end"
#: More characters than a file name may have bytes; what a name in a model has no limit for.
LONG = 60_000_000


@dataclasses.dataclass(frozen=True)
class Hostile:
    """One attack.

    Attributes
    ----------
    name
        Of the folder that it is built in.
    build
        Builds it in an empty folder and returns what is handed in.
    fails
        The rule that must fail for it, "" where no rule must but the verdict must not be COMPLIANT.
    posix
        Whether it needs a POSIX file system.
    """

    name: str
    build: Callable[[Path], Path]
    fails: str = "package"
    posix: bool = False


def model_bytes(seed: int = 0, dim: int = 64) -> bytes:
    """Return an honest model's bytes."""
    return bytes(network(seed=seed, dim=dim).SerializeToString())


def bad_model() -> bytes:
    """Return a model that breaks a rule that can be seen without running it: float16 weights."""
    return bytes(network(constants={"half": np.ones(64, np.float16)}).SerializeToString())


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = b""
    while True:
        out += bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
        value >>= 7
        if not value:
            return out


def _file(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content())
        return path

    return build


def model_with_archive_inside() -> bytes:
    """Return a valid model whose last, unknown field is a zip of another model."""
    return bad_model() + field(2_000, zip_bytes({"model.onnx": model_bytes()}))


def _folder(fill: Callable[[Path], None]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        entry = folder / "entry"
        entry.mkdir()
        fill(entry)
        return entry

    return build


def many_files(count: int, first: str = "a") -> Callable[[Path], None]:
    """Return a filler: the model, a second one that sorts last, and so many files that sort before both."""

    def fill(entry: Path) -> None:
        for number in range(count):
            (entry / f"{first}{number:06d}.txt").write_bytes(b"")
        (entry / "m.onnx").write_bytes(model_bytes())
        (entry / "z.onnx").write_bytes(bad_model())

    return fill


def one_file_beside(entry: Path) -> None:
    """Put a model and a text into a folder."""
    (entry / "model.onnx").write_bytes(model_bytes())
    (entry / "readme.txt").write_text("hello")


def deep_folder(entry: Path, depth: int = 1_100) -> None:
    """Put a model under more folders than a path can name and a recursion can follow."""
    (entry / "model.onnx").write_bytes(model_bytes())
    here = os.open(entry, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)


def pipe(folder: Path) -> Path:
    """Make a pipe that nobody writes to."""
    path = folder / "model.onnx"
    os.mkfifo(path)
    return path


def pipe_inside(entry: Path) -> None:
    """Put a pipe beside a model."""
    (entry / "model.onnx").write_bytes(model_bytes())
    os.mkfifo(entry / "other.onnx")


def socket_inside(entry: Path) -> None:
    """Put a socket beside a model."""
    (entry / "model.onnx").write_bytes(model_bytes())
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(entry)  # the name of a socket is short
        try:
            bound.bind("s")
        finally:
            os.chdir(here)


def link_inside(entry: Path) -> None:
    """Put a link to a file of the machine in the model's place."""
    (entry / "model.onnx").symlink_to("/etc/passwd")


def declaration_link(entry: Path) -> None:
    """Put a link to a file of the machine in the declaration's place."""
    (entry / "model.onnx").write_bytes(model_bytes())
    (entry / "declaration.toml").symlink_to("/etc/passwd")


def side_file_pipe(folder: Path) -> Path:
    """Return a model whose weights lie in a pipe."""
    path = folder / "model.onnx"
    onnx.save(network(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    (folder / "weights.bin").unlink()
    os.mkfifo(folder / "weights.bin")
    return path


def nasty_texts(name: str = NASTY_NAME) -> bytes:
    """Return a model that says ``name`` wherever a model has a text."""
    model = network()
    graph = model.graph
    model.producer_name = model.producer_version = model.doc_string = model.domain = graph.name = name
    for number, node in enumerate(graph.node):
        node.name = f"{name}{number}"
        node.doc_string = name
    for tensor in graph.initializer:
        old, tensor.name = tensor.name, f"{tensor.name}{name}"
        for node in graph.node:
            node.input[:] = [tensor.name if value == old else value for value in node.input]
    for value in (graph.input[0], graph.output[0]):
        old, value.name = value.name, f"{value.name}{name}"
        value.type.tensor_type.shape.dim[0].dim_param = name
        for node in graph.node:
            node.input[:] = [value.name if each == old else each for each in node.input]
            node.output[:] = [value.name if each == old else each for each in node.output]
    entry = model.metadata_props.add()
    entry.key, entry.value = name, name
    return bytes(model.SerializeToString())


def unknown_operator(name: str = NASTY_NAME) -> bytes:
    """Return a model with an operator that no runtime has; the runtime's error repeats its name."""
    tail = [helper.make_node(name, ["embedding"], ["row"], domain=name)]
    model = network(tail=tail, output="row")
    model.opset_import.append(helper.make_opsetid(name, 1))
    return bytes(model.SerializeToString())


def long_name(characters: int = LONG) -> bytes:
    """Return a model with a node whose name is very long."""
    model = network()
    model.graph.node[0].name = "x" * characters
    return bytes(model.SerializeToString())


def many_names(count: int = 20_000, length: int = 300) -> bytes:
    """Return a model with many inputs of long names."""
    model = network()
    for number in range(count):
        name = f"{number}{'n' * length}"
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))
    return bytes(model.SerializeToString())


def nested_graphs(depth: int = 3_000) -> bytes:
    """Return a model whose If nodes lie in each other, built from bytes: the library refuses to build it."""
    graph = b""
    for _ in range(depth):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    return b"\x08\x06" + field(7, graph) + field(8, b"\x10\x0b")


def nasty_file_name(folder: Path) -> Path:
    """Return a model under a name that prints a line of its own."""
    path = folder / f"{NASTY_NAME}.onnx"
    path.write_bytes(bad_model())
    return path


def bytes_name(folder: Path) -> Path:
    """Return a model under a name that is no UTF-8."""
    path = os.fsencode(folder) + b"/\xff\xfe model.onnx"
    Path(os.fsdecode(path)).write_bytes(bad_model())
    return Path(os.fsdecode(path))


def long_file_name(folder: Path) -> Path:
    """Return a model under the longest name that file systems allow."""
    path = folder / ("n" * 250 + ".onnx")
    path.write_bytes(bad_model())
    return path


def special_signs(folder: Path) -> Path:
    """Return a model under a name with the signs that pytest takes for its own."""
    path = folder / "a::b[c]@d.onnx"
    path.write_bytes(bad_model())
    return path


def names_inside(entry: Path) -> None:
    """Put a model under a name that is no UTF-8 into a folder, and texts with names of every kind beside it."""
    (entry / "model.onnx").write_bytes(model_bytes())
    for name in (b"\xff\xfe.txt", os.fsencode(NASTY_NAME), b"n" * 255):
        Path(os.fsdecode(os.fsencode(entry) + b"/" + name)).write_bytes(b"")


def steering_files(entry: Path) -> None:
    """Put files beside a model that pytest would read or run."""
    (entry / "model.onnx").write_bytes(model_bytes())
    harm = "raise SystemExit('COMPLIANT')\n"
    (entry / "pytest.ini").write_text("[pytest]\naddopts = -p steering_plugin\n")
    for name in ("conftest.py", "__init__.py", "steering_plugin.py", "sitecustomize.py", "onnx.py", "numpy.py"):
        (entry / name).write_text(harm)


def python_file(folder: Path) -> Path:
    """Return a Python file in a model's place."""
    path = folder / "test_model.py"
    path.write_text("raise SystemExit('COMPLIANT')\n")
    return path


def bomb(mebibytes: int = 160) -> bytes:
    """Return an archive of zeros that unpacks to a thousand times its size."""
    return zip_bytes({"model.onnx": bytes(mebibytes << 20)})


def deep_declaration(folder: Path) -> Path:
    """Return a model whose declaration nests values deeply."""
    path = folder / "model.onnx"
    path.write_bytes(model_bytes())
    (folder / "declaration.toml").write_text(
        "schema = 'facechallenge-declaration/1'\nx = " + "[" * 5_000 + "]" * 5_000 + "\n"
    )
    return path


HOSTILE: tuple[Hostile, ...] = (
    Hostile("model-and-archive", _file("model.onnx", model_with_archive_inside)),
    Hostile("archive-named-onnx", _file("model.onnx", lambda: zip_bytes({"model.onnx": model_bytes()}))),
    Hostile("archive-prefixed", _file("s.zip", lambda: prefixed(model_bytes()))),
    Hostile("archive-suffixed", _file("s.zip", lambda: suffixed(model_bytes()))),
    Hostile("archive-local-name", _file("s.zip", lambda: local_name_differs(model_bytes()))),
    Hostile("archive-local-size", _file("s.zip", lambda: local_size_differs(model_bytes()))),
    Hostile("archive-unicode-name", _file("s.zip", lambda: unicode_name_differs(model_bytes()))),
    Hostile("archive-nul-name", _file("s.zip", lambda: nul_in_name(model_bytes()))),
    Hostile("archive-gap", _file("s.zip", lambda: gap_between_entries(model_bytes()))),
    Hostile("archive-comment", _file("s.zip", lambda: comment_with_archive(model_bytes(), bad_model()))),
    Hostile("archive-deep", _file("s.zip", lambda: deep_zip(model_bytes()))),
    Hostile("archive-bomb", _file("s.zip", bomb)),
    Hostile("folder-of-1005-texts", _folder(many_files(1_005))),
    Hostile("folder-with-a-text", _folder(one_file_beside)),
    Hostile("folder-deep", _folder(deep_folder), posix=True),
    Hostile("folder-with-a-pipe", _folder(pipe_inside), posix=True),
    Hostile("folder-with-a-socket", _folder(socket_inside), posix=True),
    Hostile("folder-with-a-link", _folder(link_inside), posix=True),
    Hostile("folder-with-odd-names", _folder(names_inside), posix=True),
    Hostile("folder-that-steers", _folder(steering_files)),
    Hostile("declaration-link", _folder(declaration_link), posix=True),
    Hostile("declaration-deep", deep_declaration, ""),
    Hostile("pipe", pipe, posix=True),
    Hostile("side-file-pipe", side_file_pipe, posix=True),
    Hostile("nasty-file-name", nasty_file_name, "no-float16", posix=True),
    Hostile("bytes-name", bytes_name, "no-float16", posix=True),
    Hostile("long-file-name", long_file_name, "no-float16"),
    Hostile("special-signs", special_signs, "no-float16", posix=True),
    Hostile("python-file", python_file, "onnx-valid"),
    Hostile("nasty-texts", _file("model.onnx", nasty_texts), ""),
    Hostile("unknown-operator", _file("model.onnx", unknown_operator), "onnx-valid"),
    Hostile("long-name", _file("model.onnx", lambda: long_name(1_000_000)), ""),
    Hostile("nested-graphs", _file("model.onnx", nested_graphs), "onnx-valid"),
    Hostile("empty", _file("model.onnx", lambda: b""), "onnx-valid"),
    Hostile("half-a-model", _file("model.onnx", lambda: model_bytes()[:30_000]), "onnx-valid"),
)


def usable_here() -> tuple[Hostile, ...]:
    """Return the attacks that this system's file system can hold."""
    return tuple(each for each in HOSTILE if os.name == "posix" or not each.posix)


def build_all(folder: Path) -> dict[str, Path]:
    """Build every attack, each in a folder of its own; return what is handed in, by name."""
    found = {}
    for each in usable_here():
        place = folder / each.name
        place.mkdir(parents=True)
        found[each.name] = each.build(place)
    return found


def honest(folder: Path, count: int = 3) -> list[Path]:
    """Write models that keep every rule that is judged without images."""
    return [save(network(seed=seed), folder / f"honest-{seed}.onnx") for seed in range(1, count + 1)]


def feature_file(path: Path, rows: np.ndarray, header: tuple[int, int, int, int] | None = None) -> Path:
    """Write an LFR19 feature file, with a header that may say anything."""
    told = header or (rows.shape[0], rows.shape[1], 4 * rows.shape[1], 5)
    path.write_bytes(struct.pack("<4i", *told) + rows.astype("<f4").tobytes())
    return path
