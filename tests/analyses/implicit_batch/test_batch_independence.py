"""Embeddings of batches of different compositions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.batch_independence import compositions, one_composition

IMAGES = np.random.default_rng(0).random((4, 3, 8, 8)).astype(np.float32)
EXTREMES = np.stack([np.zeros((3, 8, 8)), np.ones((3, 8, 8))]).astype(np.float32)


def test_rows_of_another_width_are_said_and_stop_nothing() -> None:
    def wider_for_three(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return batch.reshape(len(batch), -1)[:, : 16 if len(batch) == 3 else 8]

    found = compositions(wider_for_three, IMAGES, EXTREMES, 6)
    assert [entry.error for entry in found if entry.size == 3] == ["each of 3 images gives [16] values, and [8] alone"]
    assert {entry.change for entry in found if entry.size != 3} == {0.0}


def test_one_composition_shows_a_runtime_that_mixes_images() -> None:
    """Where the graph shows that images never meet, one batch is left to show that the runtime does what it says."""
    (found,) = one_composition(lambda batch: batch.reshape(len(batch), -1), IMAGES[:1], EXTREMES, "")
    assert (found.size, found.change) == (3, 0.0)
    (found,) = one_composition(lambda batch: (batch - batch.mean(0)).reshape(len(batch), -1), IMAGES[:1], EXTREMES, "")
    assert found.change is not None
    assert found.change > 0.1
