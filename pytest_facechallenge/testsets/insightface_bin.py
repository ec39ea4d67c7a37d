"""Reader for InsightFace's verification files (lfw.bin, cfp_fp.bin, agedb_30.bin): a pickle of images and answers.

A pickle is a program. The Unpickler here knows the few names that such files need, and none of them runs code of the
file: arrays are taken apart by a class of ours, not by numpy's own reconstruction.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pytest_facechallenge.core.files import open_regular
from pytest_facechallenge.testsets.model import ImageBlobs, ListedPairs, Testset, TestsetError

#: LFW's protocol, which these files follow: 10 folds.
FOLDS = 10
#: Files above this are refused before they are read: the largest published one is below 100 MB.
MAX_BYTES = 4 * 1024**3


class _DType:
    """Stands for ``numpy.dtype``: remembers the type's name and refuses to become anything else."""

    def __init__(self, name: Any = "", *_flags: Any) -> None:
        self.name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like: single bytes and booleans have none."""


class _Array:
    """Stands for ``numpy.ndarray``: keeps the raw bytes of a uint8 or bool array."""

    def __init__(self) -> None:
        self.data = b""
        self.kind = ""

    def __setstate__(self, state: Any) -> None:
        """Take (version, shape, dtype, is_fortran, bytes) as numpy writes it."""
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], _DType)):
            raise pickle.UnpicklingError("an array in it is not stored in numpy's usual way")
        data = state[4].encode("latin-1") if isinstance(state[4], str) else state[4]
        if state[2].name not in ("u1", "b1") or not isinstance(data, bytes):
            raise pickle.UnpicklingError(f"an array in it has the type {state[2].name!r}, only u1 and b1 are expected")
        self.data, self.kind = data, state[2].name


def _reconstruct(*_arguments: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any = b"", dtype: Any = None, *_shape_and_order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, (), dtype, False, bytes(data) if isinstance(data, bytearray) else data))
    return array


def _scalar(_dtype: Any, data: Any = b"") -> bool:
    raw = data.encode("latin-1") if isinstance(data, str) else data
    return bool(isinstance(raw, bytes) and raw != b"\0" * len(raw))


def _latin1(text: Any, encoding: Any = "") -> bytes:
    # Python 2's bytes are written by Python 3 (protocol 2) as _codecs.encode(text, "latin1"); nothing else is allowed.
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"_codecs.encode is only allowed from text to latin1, found {encoding!r}")
    return text.encode("latin-1")


class _Function:
    """A function that a pickle can call and not change: of a plain one it could set attributes (opcode BUILD)."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Refuse to be changed."""
        raise pickle.UnpicklingError("it tries to change a function of this reader")


class _Unpickler(pickle.Unpickler):
    _ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("_codecs", "encode"): _Function(_latin1),
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _DType,
        **{(f"numpy.{core}.numeric", "_frombuffer"): _Function(_frombuffer) for core in ("core", "_core")},
        **{
            (f"numpy.{core}.multiarray", name): _Function(stand_in)
            for core in ("core", "_core")
            for name, stand_in in (("_reconstruct", _reconstruct), ("scalar", _scalar))
        },
    }

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for an allowed name.

        Raises
        ------
        pickle.UnpicklingError
            For every other name: nothing of the file's choosing is imported or called.
        """
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no verification file needs; it was not run"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to things outside of the file."""
        raise pickle.UnpicklingError(f"it refers to something outside of the file ({pid!r})")


def read_insightface_bin(path: Path, name: str) -> Testset:
    """Read a verification ``.bin``: a pickled pair (2 P encoded images, P answers).

    Images 2 p and 2 p + 1 are pair p; answer p says whether they show one person.

    Raises
    ------
    TestsetError
        It is no such file; also when it asks for anything beyond bytes, lists and arrays, as a malicious pickle does.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise TestsetError(f"{path}: expected at most {MAX_BYTES:,} bytes, found {size:,}")
            content = _Unpickler(file, encoding="bytes").load()
    except TestsetError:
        raise
    except Exception as error:  # a hostile pickle can raise anything from within the loader
        raise TestsetError(f"{path}: not a usable InsightFace verification file: {error}") from error
    if not (isinstance(content, (tuple, list)) and len(content) == 2):
        raise TestsetError(
            f"{path}: expected a pair (images, answers) as in lfw.bin, found {type(content).__name__}"
            + (f" of {len(content)}" if isinstance(content, (tuple, list)) else "")
        )
    blobs = [_blob(path, item, at) for at, item in enumerate(_items(path, content[0], "images"))]
    same = np.array(
        [_answer(path, item, at) for at, item in enumerate(_items(path, content[1], "answers"))], dtype=bool
    )
    if len(blobs) != 2 * len(same) or not len(same):
        raise TestsetError(
            f"{path}: expected two images for each answer, found {len(blobs)} images and {len(same)} answers"
        )
    images = ImageBlobs(blobs)
    left = np.arange(0, len(blobs), 2, dtype=np.int64)
    return Testset(
        name=name,
        path=path,
        form="InsightFace bin",
        images=images,
        entry_names=[images.name(index) for index in range(len(blobs))],
        pairs=ListedPairs(left=left, right=left + 1, same=same, folds=FOLDS if len(same) % FOLDS == 0 else 0),
    )


def _items(path: Path, value: Any, what: str) -> list[Any]:
    if isinstance(value, _Array):
        return list(value.data)
    if isinstance(value, (list, tuple)):
        return list(value)
    raise TestsetError(f"{path}: expected a list of {what}, found {type(value).__name__}")


def _blob(path: Path, item: Any, at: int) -> bytes:
    if isinstance(item, _Array):
        return item.data
    if isinstance(item, (bytes, bytearray)):
        return bytes(item)
    raise TestsetError(f"{path}: expected image {at} as bytes, found {type(item).__name__}")


def _answer(path: Path, item: Any, at: int) -> bool:
    if isinstance(item, (bool, int)):
        return bool(item)
    raise TestsetError(f"{path}: expected answer {at} to be true or false, found {type(item).__name__}")
