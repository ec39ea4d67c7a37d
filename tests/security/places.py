"""Files and folders of somebody who means harm: what lies beside a model, names, what is no file."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.package.limits import MAX_BYTES, MAX_JUNK_BYTES
from tests.security.contents import NASTY_NAME, bad_model, model_bytes
from tests.support.models import network


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


def deep_declaration(folder: Path) -> Path:
    """Return a model whose declaration nests values deeply."""
    path = folder / "model.onnx"
    path.write_bytes(model_bytes())
    (folder / "declaration.toml").write_text(
        "schema = 'facechallenge-declaration/1'\nx = " + "[" * 5_000 + "]" * 5_000 + "\n"
    )
    return path


def feature_file(path: Path, rows: npt.NDArray[np.float32], header: tuple[int, int, int, int] | None = None) -> Path:
    """Write an LFR19 feature file, with a header that may say anything."""
    told = header or (rows.shape[0], rows.shape[1], 4 * rows.shape[1], 5)
    path.write_bytes(struct.pack("<4i", *told) + rows.astype("<f4").tobytes())
    return path


def declaration_pipe(entry: Path) -> None:
    """Put a pipe in the declaration's place."""
    (entry / "model.onnx").write_bytes(model_bytes())
    os.mkfifo(entry / "declaration.toml")


def declaration_number(folder: Path) -> Path:
    """Return a model whose declaration holds a number of very many digits."""
    path = folder / "model.onnx"
    path.write_bytes(model_bytes())
    (folder / "declaration.toml").write_text(f"schema = 'facechallenge-declaration/1'\nx = {'1' * 100_000}\n")
    return path


def model_below(entry: Path) -> None:
    """Put a model into a folder of the folder."""
    (entry / "sub").mkdir()
    (entry / "sub" / "model.onnx").write_bytes(model_bytes())


def large_junk(entry: Path) -> None:
    """Put a large file under the name of one that systems leave behind beside a model; it takes no space."""
    (entry / "model.onnx").write_bytes(model_bytes())
    with (entry / ".DS_Store").open("wb") as file:
        file.truncate(MAX_JUNK_BYTES + 1)


def model_like_junk(entry: Path) -> None:
    """Put a second model beside the first, under a name that systems leave behind."""
    (entry / "model.onnx").write_bytes(model_bytes())
    (entry / "._z.onnx").write_bytes(bad_model())


def too_large(folder: Path) -> Path:
    """Return a file that is larger than any that is copied; it takes no space."""
    path = folder / "model.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    return path


def data_of_the_host(location: str) -> Callable[[Path], Path]:
    """Return a builder of a model whose weights are said to lie in a file of the machine."""

    def build(folder: Path) -> Path:
        path = folder / "model.onnx"
        onnx.save(network(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
        model = onnx.load(str(path), load_external_data=False)
        for tensor in model.graph.initializer:
            tensor.external_data[0].value = location
        path.write_bytes(model.SerializeToString())
        (folder / "w.bin").unlink()
        return path

    return build


def link_to(target: str) -> Callable[[Path], Path]:
    """Return a builder of a link in the place of a submission."""

    def build(folder: Path) -> Path:
        (folder / "model.onnx").symlink_to(target)
        return folder / "model.onnx"

    return build


def link_to_a_folder(folder: Path) -> Path:
    """Return a link to a folder that nobody handed in."""
    (folder / "outside").mkdir()
    (folder / "outside" / "model.onnx").write_bytes(model_bytes())
    (folder / "entry").symlink_to(folder / "outside")
    return folder / "entry"


def unreadable(folder: Path) -> Path:
    """Return a model that its owner alone could read, and does not let itself."""
    path = folder / "model.onnx"
    path.write_bytes(model_bytes())
    path.chmod(0)
    return path
