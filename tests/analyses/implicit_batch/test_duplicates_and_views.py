"""Signatures, duplicates, views and batches on arrays whose truth is known."""

import numpy as np
import pytest

from pytest_facechallenge.analyses.implicit_batch import exact_pixels, tensor_duplicates
from pytest_facechallenge.analyses.implicit_batch.batch_independence import compositions
from pytest_facechallenge.analyses.implicit_batch.signatures import signatures
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS

NOISE = np.random.default_rng(0).random((16, 3, 24, 24)).astype(np.float32)


def test_signature_ignores_gain_and_offset_and_constants() -> None:
    marks, live = signatures(
        np.stack([NOISE[:, 0, 0, 0], 3 * NOISE[:, 0, 0, 0] - 1, NOISE[:, 0, 0, 1], 0 * NOISE[:, 0, 0, 0]], 1), DEFAULTS
    )
    assert live.tolist() == [True, True, True, False]
    assert marks[0] @ marks[1] > 0.999
    assert abs(marks[0] @ marks[2]) < 0.9


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x: x[..., ::-1], "mirrored"),
        (lambda x: x[..., ::-1, :], "upside down"),
        (lambda x: x[..., ::-1, ::-1], "rotated"),
        (lambda x: np.swapaxes(x, -1, -2), "rotated"),
        (lambda x: np.roll(x, 3, -1), "shifted"),
        (lambda x: 1.3 * x + 0.1, "rescaled"),
        (lambda x: x, "identical"),
    ],
    ids=["columns", "rows", "both", "transposed", "rolled", "brighter", "repeated"],
)
def test_stack_on_the_batch_is_seen_and_named(change, kind) -> None:  # type: ignore[no-untyped-def]
    stacked = np.stack([NOISE, change(NOISE)], axis=1)
    found = tensor_duplicates.duplicate_blocks(stacked, 1, [0, 2, 3], DEFAULTS, same_index=True)
    assert found
    assert found[0].axis == 0
    assert found[0].difference.relation == kind


def test_windows_are_no_stack() -> None:
    windows = NOISE.reshape(16, 3, 2, 12, 2, 12).transpose(0, 2, 4, 1, 3, 5).reshape(16, 4, 3, 12, 12)
    assert tensor_duplicates.duplicate_blocks(windows, 1, [0, 2, 3], DEFAULTS, same_index=True) == []


def test_exact_view_tells_a_crop_from_the_whole() -> None:
    whole = exact_pixels.exact_view(NOISE, NOISE[:, None] * 2 - 1, DEFAULTS)
    crop = exact_pixels.exact_view(NOISE, NOISE[:, None, :, 2:-2, 2:-2], DEFAULTS)
    blurred = (NOISE + np.roll(NOISE, 1, -1))[:, None]
    assert whole is not None
    assert whole.coverage == 1
    assert crop is not None
    assert crop.coverage == pytest.approx((20 / 24) ** 2)
    assert crop.box == (2, 21, 2, 21)
    assert exact_pixels.exact_view(NOISE, blurred, DEFAULTS) is None


def test_mosaic_tells_a_curve_on_pixels_from_a_blur() -> None:
    def curve(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(4 * x - 2) * x.mean(1, keepdims=True))

    def blur(x: np.ndarray) -> np.ndarray:
        return np.asarray(x + np.roll(x, 1, -1))

    mixed = exact_pixels.mosaics(NOISE[:6])
    assert exact_pixels.pixel_by_pixel(curve(NOISE), curve(mixed), DEFAULTS)
    assert not exact_pixels.pixel_by_pixel(blur(NOISE), blur(mixed), DEFAULTS)


def test_batches_show_a_mean_over_rows_a_lost_row_and_an_overflow() -> None:
    def alone(batch: np.ndarray) -> np.ndarray:
        return np.asarray(batch.reshape(len(batch), -1)[:, :64] + 1)

    extremes = np.stack([np.zeros_like(NOISE[0]), np.ones_like(NOISE[0])])
    assert all(found.change == 0 for found in compositions(alone, NOISE[:4], extremes, 32))
    centred = compositions(lambda batch: alone(batch) - alone(batch).mean(0), NOISE[:4], extremes, 32)
    assert max(found.change or 0 for found in centred) > 0.01
    lost = compositions(lambda batch: alone(batch)[:1], NOISE[:4], extremes, 32)
    assert all(found.change is None and "images give a result of shape" in found.error for found in lost)
    full = compositions(lambda batch: alone(batch) * (np.inf if len(batch) > 1 else 1), NOISE[:4], extremes, 32)
    assert all(not found.finite and found.change is None and not found.error for found in full)
