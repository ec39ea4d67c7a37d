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
import numpy.typing as npt

from pytest_facechallenge.core.files import open_regular
from pytest_facechallenge.core.text import clean_name
from pytest_facechallenge.testsets.model import IMAGE_SUFFIXES, ImageBlobs, ListedPairs, Testset, TestsetError

#: LFW's protocol, which these files follow: 10 folds.
FOLDS = 10
#: Files above this are refused before they are read: the largest published one is below 100 MB.
MAX_BYTES = 4 * 1024**3
#: How the images begin that are stored as pixels, after they were made PPM files.
_PIXELS = b"P6"
#: Bytes of the longest path that is told from an image.
_LONGEST_PATH = 1024


class _DType:
    """Stands for ``numpy.dtype``: remembers the type's name and refuses to become anything else."""

    def __init__(self, name: Any = "", *_flags: Any) -> None:
        self.name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like: single bytes and booleans have none."""


class _Array:
    """Stands for ``numpy.ndarray``: keeps the raw bytes of a uint8 or bool array, and its shape."""

    def __init__(self) -> None:
        self.data = b""
        self.kind = ""
        self.shape: tuple[int, ...] = ()

    def __setstate__(self, state: Any) -> None:
        """Take (version, shape, dtype, is_fortran, bytes) as numpy writes it."""
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], _DType)):
            raise pickle.UnpicklingError("an array in it is not stored in numpy's usual way")
        data = state[4].encode("latin-1") if isinstance(state[4], str) else state[4]
        if state[2].name not in ("u1", "b1") or not isinstance(data, bytes):
            raise pickle.UnpicklingError(
                f"an array in it has the type {state[2].name!r}, only u1 and b1 are expected: images as encoded files "
                "(JPEG or PNG) or as pixels of 0..255 in uint8"
            )
        shape = state[1] if isinstance(state[1], tuple) and all(type(axis) is int for axis in state[1]) else ()
        if state[3] and len(shape) > 1:
            raise pickle.UnpicklingError("an array in it is stored by columns (Fortran's order), by rows is expected")
        self.data, self.kind, self.shape = data, state[2].name, shape


def _reconstruct(*_arguments: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any = b"", dtype: Any = None, shape: Any = (), order: Any = "C") -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order != "C", bytes(data) if isinstance(data, bytearray) else data))
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
    decoded = sum(blob.startswith(_PIXELS) for blob in blobs)
    same = np.array(
        [_answer(path, item, at) for at, item in enumerate(_items(path, content[1], "answers"))], dtype=bool
    )
    if len(blobs) != 2 * len(same) or not len(same):
        hint = "; an image is missing or too many" if len(blobs) % 2 else ""
        if len(blobs) == len(same):
            hint = "; there is one for each image, and one for each pair is expected: answers[::2]"
        raise TestsetError(
            f"{path}: expected two images for each answer, found {len(blobs)} images and {len(same)} answers{hint}"
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
        findings=(
            f"{decoded:,} of {len(blobs):,} images are stored as pixels and were read as RGB; pixels from cv2 are BGR, "
            "so reverse them before they are stored, or store encoded files (JPEG or PNG)",
        )
        if decoded
        else (),
    )


def _items(path: Path, value: Any, what: str) -> list[Any]:
    if isinstance(value, _Array) and len(value.shape) == 4:
        return _images_of(value)
    if isinstance(value, _Array):
        return list(value.data)
    if isinstance(value, (list, tuple)):
        return list(value)
    raise TestsetError(f"{path}: expected a list of {what}, found {type(value).__name__}")


def _images_of(stack: _Array) -> list[_Array]:
    """Take a stack of images [N,H,W,C] apart."""
    size = len(stack.data) // stack.shape[0] if stack.shape[0] > 0 else 0
    found = []
    for number in range(stack.shape[0] if size else 0):
        image = _Array()
        image.data, image.kind, image.shape = stack.data[number * size : (number + 1) * size], "u1", stack.shape[1:]
        found.append(image)
    return found


def _blob(path: Path, item: Any, at: int) -> bytes:
    if isinstance(item, _Array):
        return _pixels(path, item, at) if len(item.shape) > 1 else item.data
    if isinstance(item, (bytes, bytearray)) and not _is_path(item):
        return bytes(item)
    if isinstance(item, (str, bytes, bytearray)):
        text = item if isinstance(item, str) else bytes(item).decode("ascii", "replace")
        where = "the path" if _is_path(item) else "the text"
        raise TestsetError(
            f"{path}: expected image {at} as bytes of a JPEG or PNG file, found {type(item).__name__}, "
            f"{where} {clean_name(text)!r}; a .bin holds the images themselves (for paths write a list: 'path path 1')"
        )
    raise TestsetError(f"{path}: expected image {at} as bytes, found {type(item).__name__}")


def _is_path(item: str | bytes | bytearray) -> bool:
    """Whether it is the name of an image file and no image: an encoded image has bytes that no name has."""
    text = item if isinstance(item, str) else bytes(item[:_LONGEST_PATH]).decode("utf-8", "replace")
    return len(item) < _LONGEST_PATH and text.isprintable() and Path(text).suffix.lower() in IMAGE_SUFFIXES


def _pixels(path: Path, array: _Array, at: int) -> bytes:
    """Return decoded pixels, [H,W,3] or [3,H,W] of uint8, as a PPM file: 15 bytes more, and nothing is lost."""
    height, width, channels = array.shape if len(array.shape) == 3 else (0, 0, 0)
    planar = channels != 3 and height == 3
    if planar:
        channels, height, width = array.shape
    if channels != 3 or min(height, width) < 1 or array.kind != "u1" or height * width * 3 != len(array.data):
        raise TestsetError(
            f"{path}: expected image {at} as bytes of a JPEG or PNG file or as pixels [112,112,3] of uint8, found an "
            f"array {list(array.shape)} of {array.kind}"
        )
    pixels: npt.NDArray[np.uint8] = np.frombuffer(array.data, np.uint8)
    if planar:
        pixels = pixels.reshape(3, height, width).transpose(1, 2, 0)
    return _PIXELS + b" %d %d 255\n" % (width, height) + pixels.tobytes()


def _answer(path: Path, item: Any, at: int) -> bool:
    if isinstance(item, (bool, int)):
        return bool(item)
    raise TestsetError(f"{path}: expected answer {at} to be true or false, found {type(item).__name__}")
