"""Signatures, copies and views on arrays whose truth is known."""

import numpy as np
import pytest

from pytest_facechallenge.analyses.implicit_batch import input_geometry, tensor_duplicates
from pytest_facechallenge.analyses.implicit_batch.batch_independence import company
from pytest_facechallenge.analyses.implicit_batch.signatures import signatures

NOISE = np.random.default_rng(0).random((16, 3, 24, 24)).astype(np.float32)


def test_signature_ignores_gain_and_offset_and_constants() -> None:
    marks, live = signatures(
        np.stack([NOISE[:, 0, 0, 0], 3 * NOISE[:, 0, 0, 0] - 1, NOISE[:, 0, 0, 1], 0 * NOISE[:, 0, 0, 0]], 1)
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
    found = tensor_duplicates.stacks(stacked, 1, [0, 2, 3], same_index=True)
    assert found
    assert found[0].axis == 0
    assert found[0].relation.kind == kind


def test_windows_are_no_stack() -> None:
    windows = NOISE.reshape(16, 3, 2, 12, 2, 12).transpose(0, 2, 4, 1, 3, 5).reshape(16, 4, 3, 12, 12)
    assert tensor_duplicates.stacks(windows, 1, [0, 2, 3], same_index=True) == []


def test_exact_view_tells_a_crop_from_the_whole() -> None:
    whole = input_geometry.exact_view(NOISE, NOISE[:, None] * 2 - 1)
    crop = input_geometry.exact_view(NOISE, NOISE[:, None, :, 2:-2, 2:-2])
    blurred = (NOISE + np.roll(NOISE, 1, -1))[:, None]
    assert whole is not None
    assert whole.coverage == 1
    assert crop is not None
    assert crop.coverage == pytest.approx((20 / 24) ** 2)
    assert "rows 2..21" in crop.words
    assert input_geometry.exact_view(NOISE, blurred) is None


def test_mosaic_tells_a_curve_on_pixels_from_a_blur() -> None:
    def curve(x: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(4 * x - 2) * x.mean(1, keepdims=True))

    def blur(x: np.ndarray) -> np.ndarray:
        return np.asarray(x + np.roll(x, 1, -1))

    mixed = input_geometry.mosaics(NOISE[:6])
    assert input_geometry.pixel_by_pixel(curve(NOISE), curve(mixed))
    assert not input_geometry.pixel_by_pixel(blur(NOISE), blur(mixed))


def test_company_sees_a_mean_over_rows_and_a_lost_row() -> None:
    def alone(batch: np.ndarray) -> np.ndarray:
        return np.asarray(batch.reshape(len(batch), -1)[:, :64] + 1)

    extremes = np.stack([np.zeros_like(NOISE[0]), np.ones_like(NOISE[0])])
    assert max(c.change for c in company(alone, NOISE[:4], extremes)) == 0
    assert max(c.change for c in company(lambda b: alone(b) - alone(b).mean(0), NOISE[:4], extremes)) > 0.01
    lost = company(lambda b: alone(b)[:1], NOISE[:4], extremes)
    assert all(c.change == -1 and "images give a result of shape" in c.error for c in lost)
