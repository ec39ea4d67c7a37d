import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pytest_facechallenge.testsets import TestsetError, read_testset


def write(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("as_array", [False, True])
def test_images_and_answers_of_every_protocol(tmp_path: Path, protocol: int, as_array: bool) -> None:
    blobs: list[Any] = [f"image {number} \xff".encode("latin-1") for number in range(40)]
    stored = [np.frombuffer(blob, dtype=np.uint8) for blob in blobs] if as_array else blobs
    same = [number % 2 == 0 for number in range(20)]
    testset = read_testset(write(tmp_path / "lfw.bin", (stored, same), protocol))
    assert testset.form == "InsightFace bin"
    assert [testset.images.read(number) for number in range(40)] == blobs
    assert testset.pairs is not None
    assert testset.pairs.same.tolist() == same
    assert testset.pairs.left.tolist() == list(range(0, 40, 2))
    assert testset.pairs.right.tolist() == list(range(1, 40, 2))
    assert testset.pairs.folds == 10


def test_answers_as_numpy_booleans(tmp_path: Path) -> None:
    same = np.array([True, False, True])
    testset = read_testset(write(tmp_path / "a.bin", [[b"x"] * 6, list(same)]))
    assert testset.pairs is not None
    assert testset.pairs.same.tolist() == [True, False, True]
    assert testset.pairs.folds == 0
    testset = read_testset(write(tmp_path / "b.bin", [[b"x"] * 6, same]))
    assert testset.pairs is not None
    assert testset.pairs.same.tolist() == [True, False, True]


class Malicious:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("where", ["whole", "image", "answer"])
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path: Path, where: str) -> None:
    target = tmp_path / "was-here"
    bomb = Malicious(os.mkdir, str(target))
    content: Any = {
        "whole": bomb,
        "image": ([b"x", bomb], [True]),
        "answer": ([b"x", b"y"], [bomb]),
    }[where]
    with pytest.raises(TestsetError, match=r"it asks for \w+\.mkdir, which no verification file needs"):
        read_testset(write(tmp_path / "evil.bin", content))
    assert not target.exists()


@pytest.mark.parametrize(
    "bomb",
    [
        Malicious(eval, "1"),
        Malicious(getattr, "x", "upper"),
        Malicious(np.load, "x"),
        Malicious(np.dot, 1, 1),
    ],
    ids=["eval", "getattr", "numpy.load", "numpy.dot"],
)
def test_other_callables_are_refused_as_well(tmp_path: Path, bomb: Malicious) -> None:
    with pytest.raises(TestsetError, match="it was not run"):
        read_testset(write(tmp_path / "evil.bin", bomb))


@pytest.mark.parametrize("name", ["numpy.core.multiarray\n_reconstruct", "_codecs\nencode"])
def test_the_reader_s_own_functions_cannot_be_changed(tmp_path: Path, name: str) -> None:
    """The opcode BUILD sets attributes of what has no __setstate__, and would do so for all later files."""
    build = b"\x80\x02c" + name.encode() + b"\nN}X\x0c\x00\x00\x00__defaults__)s\x86b."
    (tmp_path / "evil.bin").write_bytes(build)
    with pytest.raises(TestsetError, match="tries to change a function"):
        read_testset(tmp_path / "evil.bin")


def test_a_codec_other_than_latin1_is_refused(tmp_path: Path) -> None:
    import _codecs

    with pytest.raises(TestsetError, match="only allowed from text to latin1"):
        read_testset(write(tmp_path / "evil.bin", Malicious(_codecs.encode, "x", "zip")))


def test_an_object_array_is_refused(tmp_path: Path) -> None:
    content = ([np.array([b"x"], dtype=object)] * 2, [True])
    with pytest.raises(TestsetError, match="the type 'O8', only u1 and b1"):
        read_testset(write(tmp_path / "odd.bin", content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": 1}, r"expected a pair \(images, answers\)"),
        (([b"x"] * 3, [True]), "two images for each answer, found 3 images and 1 answers"),
        (([b"x", "text"], [True]), "expected image 1 as bytes of a JPEG or PNG file, found str, the text 'text'"),
        (([b"x", b"y"], ["yes"]), "expected answer 0 to be true or false, found str"),
        (([], []), "found 0 images"),
        ((b"xy", [True]), "expected a list of images, found bytes"),
    ],
)
def test_a_pickle_of_something_else_is_explained(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(TestsetError, match=words):
        read_testset(write(tmp_path / "odd.bin", content))


def test_a_cut_off_file_is_explained(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.bin", ([b"x" * 100] * 2, [True]))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(TestsetError, match="not a usable InsightFace verification file"):
        read_testset(path)


def test_a_feature_file_is_recognised_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "features.bin"
    path.write_bytes(np.array([1, 4, 16, 5], dtype="<i4").tobytes() + bytes(16))
    with pytest.raises(TestsetError, match="--facechallenge-features"):
        read_testset(path)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_decoded_pixels_are_read_as_rgb_and_that_is_said(
    tmp_path: Path, planar: bool, stacked: bool, protocol: int
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
    stored = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)) if planar else pixels
    testset = read_testset(write(tmp_path / "a.bin", (stored if stacked else list(stored), [True, False]), protocol))
    for number in range(4):
        with Image.open(io.BytesIO(testset.images.read(number))) as image:
            assert np.array_equal(np.asarray(image), pixels[number])
    assert "4 of 4 images are stored as pixels and were read as RGB" in testset.findings[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ((["a/1.jpg"] * 8, [True] * 4), "found str, the path 'a/1.jpg'; a .bin holds the images themselves"),
        (([b"a/1.jpg"] * 8, [True] * 4), "found bytes, the path 'a/1.jpg'; a .bin holds the images themselves"),
        (([b"x"] * 119, [True] * 60), "found 119 images and 60 answers; an image is missing or too many"),
        (([b"x"] * 8, [True] * 8), "one for each image, and one for each pair is expected"),
        (
            ([np.zeros((112, 112), np.uint8)] * 2, [True]),
            r"as pixels \[112,112,3\] of uint8, found an array \[112, 112\]",
        ),
        (([np.zeros((112, 112, 3), np.float32)] * 2, [True]), "the type 'f4', only u1 and b1 are expected: images as"),
    ],
)
def test_other_contents_say_what_is_expected(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(TestsetError, match=words):
        read_testset(write(tmp_path / "odd.bin", content))


class Claims:
    """Pickles as an array that claims to have a shape which its bytes do not fit."""

    def __init__(self, shape: Any, data: bytes = b"x" * 12) -> None:
        self.shape, self.data = shape, data

    def __reduce__(self) -> Any:
        return Claims._make(), (self.data, np.dtype("u1"), self.shape, "C")

    @staticmethod
    def _make() -> Any:
        return np.array([1], dtype=np.uint8).__reduce_ex__(5)[0]


@pytest.mark.parametrize(
    "shape",
    [(-2, -2, 3), (3, -2, -2), (2, 2, 3.0), (10**30, 2, 3), "abc", (2, 3), (0, 0, 3), (2**40, 1, 1, 3), (1, 2, 2, 3)],
)
@pytest.mark.parametrize("whole", [False, True])
def test_shapes_that_lie_harm_nobody(tmp_path: Path, shape: Any, whole: bool) -> None:
    content = (Claims(shape), [True]) if whole else ([Claims(shape)] * 2, [True])
    try:
        testset = read_testset(write(tmp_path / "odd.bin", content, 5))
    except TestsetError:
        return
    assert len(testset) == 2


def test_pixels_by_columns_are_refused(tmp_path: Path) -> None:
    stored = [np.asfortranarray(np.zeros((112, 112, 3), np.uint8))] * 2
    with pytest.raises(TestsetError, match="stored by columns"):
        read_testset(write(tmp_path / "odd.bin", (stored, [True]), 4))
