"""Running a session on one image after another, and seeing that the timed runs really embedded them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pytest_facechallenge.inference.session import Session

#: Different images that take turns: one image alone could be recognised by the network.
IMAGES = 8
#: Stands for a difference that is no number.
UNLIKE = 1e9

Images = npt.NDArray[np.float32]


class InputCycle:
    """Runs a network on single images in turn.

    Parameters
    ----------
    session
        With one input.
    images
        float32 [N, 3, 112, 112], as the network is fed.
    """

    def __init__(self, session: Session, images: Images) -> None:
        self._run = session.ort_session.run
        self._outputs = list(session.outputs)
        self._feeds = [{session.inputs[0]: np.ascontiguousarray(images[i : i + 1])} for i in range(len(images))]
        self._batch = {session.inputs[0]: images}
        self._turn = 0
        #: The newest first output for each image.
        self.rows: list[npt.NDArray[Any] | None] = [None] * len(images)

    def __call__(self) -> None:
        """Run on the next image."""
        place = self._turn % len(self._feeds)
        self._turn += 1
        self.rows[place] = self._run(self._outputs, self._feeds[place])[0]

    def difference(self) -> float:
        """Run on all images as one batch, and return `row_difference`; -1 when the batch does not run."""
        try:
            batch = self._run(self._outputs, self._batch)[0]
        except MemoryError:  # the run's limit shows nothing about the model
            raise
        except Exception:  # the runtime has many types; that a batch fails is the rule on batches' business
            return -1.0
        return row_difference(self.rows, batch)


def row_difference(rows: Sequence[npt.NDArray[Any] | None], batch: npt.NDArray[Any]) -> float:
    """Return how far rows of single runs are from the rows of a batch.

    Parameters
    ----------
    rows
        Output of each single run, of any shape; None where there was none.
    batch
        Output for all of them, first axis the image.

    Returns
    -------
    float
        Largest absolute difference over the largest absolute value of the batch's row; `UNLIKE` where values are not
        finite; -1 when nothing can be compared.
    """
    worst = -1.0
    for place, row in enumerate(rows):
        if row is None or batch.ndim == 0 or batch.shape[0] != len(rows) or batch[place].size != row.size:
            continue
        whole, single = np.asarray(batch[place], np.float64).ravel(), np.asarray(row, np.float64).ravel()
        difference = float(np.max(np.abs(whole - single)) / max(float(np.max(np.abs(whole))), 1e-30))
        worst = max(worst, difference if np.isfinite(difference) else UNLIKE)
    return worst
