"""Two recurrences in one: hidden units that hardly read each other's states, with weights of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_clusters import TwoGroups, two_groups
from pytest_facechallenge.analyses.implicit_batch.layer_index import RECURRENT, Layer
from pytest_facechallenge.analyses.implicit_batch.reordered_weights import reordered
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import CoupledGroups
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]


def observe(model: TracedModel, limits: Thresholds) -> list[CoupledGroups]:
    """Return each recurrent layer whose units fall into two groups, with the share of units that occur in both.

    What a unit reads of other units' states is independent of the order of the inputs, so it is there that one group
    is compared with the other.
    """
    found = []
    for layer in model.structure.layers:
        share = model.share(layer.macs)
        if layer.node.op not in RECURRENT or share < limits.clusters.share:
            continue
        states = _states(model, layer)
        groups = _groups(states, limits) if states is not None else None
        if groups is None or states is None:
            continue
        one, other = (states[np.ix_(mask, mask)] for mask in (groups.outputs, ~groups.outputs))
        found.append(
            CoupledGroups(
                layers=(layer.node.label,),
                count=1,
                share=share,
                coupling=round(groups.coupling, 5),
                reordered=round(reordered(one, other, limits), 3),
                alike=0.0,
                alike_unchanged=0.0,
                transform=Transform.NONE,
                branch=model.branch,
            )
        )
    return found


def _states(model: TracedModel, layer: Layer) -> Array | None:
    """Return what each unit reads of each unit's state, float [units, units, gates]; None where it is not known."""
    weights = model.structure.constant(layer.node.inputs[2]) if len(layer.node.inputs) > 2 else None
    hidden = int(layer.node.attributes.get("hidden_size", 0))
    if weights is None or weights.ndim != 3 or len(weights) != 1 or hidden < 1 or weights.shape[1] % hidden:
        return None  # two directions: what reads a sequence both ways is looked at elsewhere
    states: Array = np.moveaxis(weights[0].astype(np.float64).reshape(-1, hidden, hidden), 0, 2)
    return states


def _groups(states: Array, limits: Thresholds) -> TwoGroups | None:
    """Return the two groups; None where what they read and what they are differ."""
    groups = two_groups((states**2).sum(2), limits)
    return groups if groups is not None and bool((groups.outputs == groups.inputs).all()) else None
