import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pytest_facechallenge.embedding.picture import PictureError, Preprocessing, decode, fill
from pytest_facechallenge.embedding.pooling import flip_sum, normalised, pool
from pytest_facechallenge.testset.model import Pooling
from tests.accuracy import world


def pixels() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, size=(112, 112, 3), dtype=np.uint8)


def test_lossless_pictures_come_back_as_rgb() -> None:
    original = pixels()
    assert np.array_equal(decode(world.encode(original)), original)
    assert np.array_equal(decode(world.encode(original, "BMP")), original)


def test_grey_and_transparent_pictures_become_rgb() -> None:
    grey = Image.fromarray(pixels()[:, :, 0])
    buffer = io.BytesIO()
    grey.save(buffer, "PNG")
    found = decode(buffer.getvalue())
    assert found.shape == (112, 112, 3)
    assert (found == found[:, :, :1]).all()


@pytest.mark.parametrize(("size", "words"), [((112, 111), "112x111"), ((224, 224), "224x224")])
def test_another_size_is_told_and_not_resampled(size: tuple[int, int], words: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    with pytest.raises(PictureError, match=f"{words} pixels, 112x112 is needed") as raised:
        decode(buffer.getvalue())
    assert raised.value.kind == "size"


@pytest.mark.parametrize("blob", [b"", b"not a picture", world.encode(pixels())[:3000], world.encode(pixels(), "GIF")])
def test_what_cannot_be_decoded_is_unreadable(blob: bytes) -> None:
    with pytest.raises(PictureError) as raised:
        decode(blob)
    assert raised.value.kind == "unreadable"


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_model_is_fed_what_the_server_feeds(colour: str, mirror: bool) -> None:
    original = pixels()
    how = Preprocessing(mean=127.5, std=128.0, colour="BGR" if colour == "BGR" else "RGB", mirror=mirror)
    slot = np.empty((3, 112, 112), dtype=np.float32)
    fill(slot, original, how)
    for channel in range(3):
        source = original[:, :, 2 - channel if colour == "BGR" else channel].astype(np.float64)
        expected = (source[:, ::-1] if mirror else source) - 127.5
        assert np.array_equal(slot[channel], (expected / 128).astype(np.float32))


def unit(row: list[float]) -> npt.NDArray[np.float64]:
    values = np.array(row, dtype=np.float64)
    unit_row: npt.NDArray[np.float64] = values / np.sqrt((values**2).sum())
    return unit_row


def test_flip_sum_adds_and_normalises() -> None:
    plain = np.array([[3, 0], [1, 1]], dtype=np.float32)
    mirrored = np.array([[0, 4], [-1, -1]], dtype=np.float32)
    assert np.allclose(flip_sum(plain, mirrored), np.array([[0.6, 0.8], [0, 0]]))


def test_a_video_is_the_sum_of_its_normalised_frames(tmp_path: Path) -> None:
    rows = np.array([[10, 0], [5, 5], [0, 2], [0, 9]], dtype=np.float32)
    pooling = Pooling(kind="video", entry=np.array([1, 0, 1, 0]), medium=np.zeros(4, np.int64))
    found = pool(rows, np.array([True, True, True, False]), pooling, 3, tmp_path)
    assert np.allclose(found[0], unit([5, 5]))
    assert np.allclose(found[1], unit([1, 1]))
    assert np.isnan(found[2]).all()


def test_a_template_sums_the_means_of_its_media(tmp_path: Path) -> None:
    rows = np.array([[2, 0], [4, 0], [0, 1]], dtype=np.float32)
    pooling = Pooling(kind="template", entry=np.array([0, 0, 0]), medium=np.array([7, 7, 8]))
    found = pool(rows, np.ones(3, dtype=bool), pooling, 1, tmp_path)
    assert np.allclose(found[0], unit([3, 1]))


def test_pooling_is_the_same_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 8)).astype(np.float32)
    pooling = Pooling(kind="template", entry=rng.integers(0, 40, 200), medium=rng.integers(0, 3, 200))
    usable = rng.random(200) < 0.9
    whole = pool(rows, usable, pooling, 41, tmp_path)
    monkeypatch.setattr("pytest_facechallenge.embedding.pooling._BLOCK", 7)
    monkeypatch.setattr("pytest_facechallenge.embedding.matrix.MEMORY_BYTES", 0)
    pieces = pool(rows, usable, pooling, 41, tmp_path)
    assert isinstance(pieces, np.memmap)
    assert np.array_equal(whole, pieces, equal_nan=True)


def test_rows_of_zeros_stay_zeros() -> None:
    assert np.array_equal(normalised(np.zeros((1, 4), np.float32)), np.zeros((1, 4)))
