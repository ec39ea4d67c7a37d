"""Embeddings of batches of different compositions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.batch_independence import compositions
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.core.facts.implicit_batch import BatchComposition
from tests.analyses.implicit_batch.nets import Net

IMAGES = np.random.default_rng(0).random((4, 3, 8, 8)).astype(np.float32)
EXTREMES = np.stack([np.zeros((3, 8, 8)), np.ones((3, 8, 8))]).astype(np.float32)


def test_rows_of_another_width_are_said_and_stop_nothing() -> None:
    def wider_for_three(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return batch.reshape(len(batch), -1)[:, : 16 if len(batch) == 3 else 8]

    found = compositions(wider_for_three, IMAGES, EXTREMES, 6)
    assert [entry.error for entry in found if entry.size == 3] == ["each of 3 images gives [16] values, and [8] alone"]
    assert {entry.change for entry in found if entry.size != 3} == {0.0}


def test_no_batch_is_run_where_the_graph_shows_that_images_never_meet(tmp_path: Path) -> None:
    net = Net()
    path = net.save(net.fc(net.pool(net.body(net.x, net.body_weights())), net.weights(16, 16)), tmp_path)
    kinds = [[type(seen) for seen in follow(path, apart=apart).observations] for apart in (True, False)]
    assert [BatchComposition in each for each in kinds] == [False, True]
