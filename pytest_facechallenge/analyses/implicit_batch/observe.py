"""Ask every observer about one variant of the model."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch import branch_comparison
from pytest_facechallenge.analyses.implicit_batch.channel_groups import independent_parts, mixing, repeats
from pytest_facechallenge.analyses.implicit_batch.equivariant_features import echoes
from pytest_facechallenge.analyses.implicit_batch.input_views import views
from pytest_facechallenge.analyses.implicit_batch.layer_index import CONVOLUTIONS
from pytest_facechallenge.analyses.implicit_batch.pixel_recovery import unmask
from pytest_facechallenge.analyses.implicit_batch.runner import LARGEST, RunError
from pytest_facechallenge.analyses.implicit_batch.shared_weights import second_visits, twins
from pytest_facechallenge.analyses.implicit_batch.stacked_copies import folds, stacks
from pytest_facechallenge.analyses.implicit_batch.tied_rnn_directions import tied_directions
from pytest_facechallenge.analyses.implicit_batch.trace import NAMED, Probe
from pytest_facechallenge.core.facts.implicit_batch import TowerFact

Array = npt.NDArray[Any]


def observe(probe: Probe) -> dict[str, list[Any]]:
    """Return the lists of `ImplicitBatchFacts` by field name, gaps included."""
    unmask(probe)
    probe.prepare()
    found: dict[str, list[Any]] = {"repeats": list(repeats(probe.structure, probe.branch))}
    probe.run()
    found["views"] = list(views(probe))
    found["stacks"] = list(stacks(probe))
    found["twins"] = [*twins(probe), *second_visits(probe)]
    found["folds"] = list(folds(probe))
    try:
        found["towers"] = list(late_parts(probe))
    except RunError as error:
        found["towers"] = []
        probe.gaps.append(f"parts of the network could not be run alone and compared: {error}")
    found["echoes"] = [*echoes(probe), *tied_directions(probe)]
    if probe.wild:
        some = ", ".join(repr(name) for name in probe.wild[:NAMED])
        probe.gaps.append(
            f"{len(probe.wild)} values are not finite or beyond {LARGEST:.0e} for probe images ({some}): "
            "what they hold was not seen"
        )
    found["gaps"] = probe.gaps
    return found


def late_parts(probe: Probe) -> list[TowerFact]:
    """Compare parts of the network that meet late, and independent halves of layers."""
    found = branch_comparison.compare_parts(probe)
    if not any(tower.turn or tower.inputs not in ("", "identical", "rescaled") for tower in found):
        found += branch_comparison.compare_parallel(probe)
    halved = []
    for layer in probe.structure.layers:
        weights, matrix = probe.structure.constant(layer.weight), mixing(probe.structure, layer)
        if weights is None or matrix is None or layer.node.op not in CONVOLUTIONS:
            continue
        if min(matrix.shape) >= 8 and independent_parts(layer, weights, matrix, 2) is not None:
            halved.append((layer, 2))
    if sum(layer.macs for layer, _ in halved) >= 0.3 * probe.structure.total_macs:
        found += branch_comparison.compare_halves(probe, halved)
    return found
