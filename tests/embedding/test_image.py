import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pytest_facechallenge.embedding.image import ImageError, Preprocessing, decode, fill
from pytest_facechallenge.embedding.pooling import flip_sum, normalised, pool
from pytest_facechallenge.testsets.model import Pooling
from tests.analyses.accuracy import world


def pixels() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, size=(112, 112, 3), dtype=np.uint8)


def test_lossless_images_come_back_as_rgb() -> None:
    original = pixels()
    assert np.array_equal(decode(world.encode(original)), original)
    assert np.array_equal(decode(world.encode(original, "BMP")), original)


def test_grey_and_transparent_images_become_rgb() -> None:
    grey = Image.fromarray(pixels()[:, :, 0])
    buffer = io.BytesIO()
    grey.save(buffer, "PNG")
    found = decode(buffer.getvalue())
    assert found.shape == (112, 112, 3)
    assert (found == found[:, :, :1]).all()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "PPM"])
def test_of_sixteen_bits_the_upper_eight_are_taken(kind: str) -> None:
    """Pillow's own conversion cuts off at 255: an image that is white nearly everywhere."""
    grey = pixels()[:, :, 0]
    found = decode(encoded(Image.fromarray(grey.astype(np.uint16) * 256 + 77), kind))
    assert np.array_equal(found, np.repeat(grey[:, :, None], 3, axis=2))


def test_a_image_is_turned_as_it_says() -> None:
    """As OpenCV's reader and every viewer do it: orientation 6 is turned by a quarter to the right."""
    exif = Image.Exif()
    exif[0x0112] = 6
    original = pixels()
    assert np.array_equal(decode(encoded(Image.fromarray(original), exif=exif)), np.rot90(original, -1))
    exif[0x0112] = 1
    assert np.array_equal(decode(encoded(Image.fromarray(original), exif=exif)), original)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    converted = Image.fromarray(pixels()).convert(mode)
    options: dict[str, object] = {"transparency": bytes(range(256))} if mode == "P" else {}
    kind = "JPEG" if mode == "CMYK" else "PNG"
    found = decode(encoded(converted, kind, **options))
    expected = np.asarray(converted.convert("RGBA" if mode == "P" else "RGB").convert("RGB"), dtype=np.int16)
    assert np.abs(found - expected).mean() < (40 if mode == "CMYK" else 0.01)


def test_floating_point_images_are_refused() -> None:
    blob = b"Pf\n112 112\n-1.0\n" + np.ones((112, 112), "<f4").tobytes()
    with pytest.raises(ImageError, match="floating-point"):
        decode(blob)


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_huge_image_is_refused_by_its_size_and_never_unpacked(side: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    blob = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="112x112 is needed") as raised:
        decode(blob)
    assert raised.value.kind == "size"


@pytest.mark.parametrize(("size", "words"), [((112, 111), "112x111"), ((224, 224), "224x224")])
def test_another_size_is_told_and_not_resampled(size: tuple[int, int], words: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    with pytest.raises(ImageError, match=f"{words} pixels, 112x112 is needed") as raised:
        decode(buffer.getvalue())
    assert raised.value.kind == "size"


@pytest.mark.parametrize("blob", [b"", b"not an image", world.encode(pixels())[:3000], world.encode(pixels(), "GIF")])
def test_what_cannot_be_decoded_is_unreadable(blob: bytes) -> None:
    with pytest.raises(ImageError) as raised:
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
