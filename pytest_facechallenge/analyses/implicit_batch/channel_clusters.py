"""Two groups of channels that a layer hardly connects, whatever their order and scale, read from its weights.

The energy of the weights between each output and each input, divided by the roots of their totals, has 1 as its
largest singular value. The second is near 1 exactly where the channels fall into groups with little between them
(spectral co-clustering of a bipartite graph: Dhillon, KDD 2001); its vectors tell the groups apart. Neither an order
of the channels nor a scale of each changes that, and a weak coupling changes it by about its energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """Two groups of a layer's channels.

    Attributes
    ----------
    outputs, inputs
        bool [outputs], bool [inputs]: whether a channel belongs to the first group.
    coupling
        Share of the weights' energy between the groups, 0..1.
    """

    outputs: Array
    inputs: Array
    coupling: float

    @property
    def both(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Outputs and inputs of the first group, and of the second: bool [outputs], bool [inputs]."""
        return (self.outputs, self.inputs), (~self.outputs, ~self.inputs)


def two_groups(energy: Array, limits: Thresholds) -> TwoGroups | None:
    """Return the two groups that a layer's channels fall into; None when it connects them all.

    Parameters
    ----------
    energy
        float [outputs, inputs], not negative: sums of squared weights.
    """
    wanted = limits.clusters
    if min(energy.shape) < wanted.smallest or energy.size > wanted.largest:
        return None
    rows, columns = energy.sum(1, dtype=np.float64), energy.sum(0, dtype=np.float64)
    if rows.min() <= 0 or columns.min() <= 0:
        return None
    scaled = (energy / np.sqrt(rows)[:, None] / np.sqrt(columns)[None, :]).astype(np.float32)
    first = np.sqrt(columns / columns.sum())
    vector = np.random.default_rng(3).standard_normal(len(columns))
    value = 0.0
    for done in range(wanted.rounds):
        if done == wanted.glance and np.sqrt(value) < wanted.promising:
            return None
        vector -= first * (first @ vector)
        vector = scaled.T @ (scaled @ vector)
        value = float(np.linalg.norm(vector))
        if value <= 0:
            return None
        vector /= value
    if np.sqrt(value) < wanted.separate:
        return None
    inputs = vector / np.sqrt(columns) > 0
    outputs = (scaled @ vector) / np.sqrt(rows) > 0
    within = energy[np.ix_(outputs, inputs)].sum() + energy[np.ix_(~outputs, ~inputs)].sum()
    coupling = 1 - float(within) / float(energy.sum())
    balanced = all(wanted.balance <= mask.mean() <= 1 - wanted.balance for mask in (outputs, inputs))
    return TwoGroups(outputs, inputs, coupling) if balanced and coupling <= wanted.coupling else None
