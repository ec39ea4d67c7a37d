"""The table of observers. A new one is a file with ``observe``, a row here, and a weigher in the checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_facechallenge.analyses.implicit_batch import (
    batch_folds,
    batch_independence,
    branch_comparison,
    coupled_groups,
    early_grids,
    equivariant_features,
    grouped_recurrences,
    groups_between_activations,
    input_views,
    repeated_kernels,
    sample_positions,
    shared_weights,
    stacked_copies,
    steered_places,
    tied_rnn_directions,
)
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import Observation


class Needs(StrEnum):
    """What of a traced model an observer works with."""

    WEIGHTS = "the layers and their weights"
    VALUES = "values for 16 noise images"
    RUNS = "parts of the model, run on more images"


class Cost(StrEnum):
    """What an observer takes, against running the model on 16 images (which tracing does once)."""

    LITTLE = "next to nothing"
    ONCE = "about as much"
    SEVERAL = "several times as much"


@dataclass(frozen=True)
class Observer:
    """One row of the table.

    Attributes
    ----------
    name
        The module's.
    observe
        (traced model, thresholds) -> what was seen, as a hypothesis where it may be a second look; it changes neither.
    cost, needs
        See there.
    doc
        The question that it answers and how, for docs/second-looks.md.
    """

    name: str
    observe: Callable[[TracedModel, Thresholds], Sequence[Hypothesis | Observation]]
    cost: Cost
    needs: Needs
    doc: str


OBSERVERS = (
    Observer(
        "repeated_kernels", repeated_kernels.observe, Cost.LITTLE, Needs.WEIGHTS,
        "Do the kernels of layers fall into equal, independent parts? Which inputs reach which outputs is read from "
        "the weights; the parts are compared up to mirror, rotation, scale and noise.",
    ),
    Observer(
        "coupled_groups", coupled_groups.observe, Cost.LITTLE, Needs.RUNS,
        "Are two networks in one, their channels in any order and scale, with weak weights between them? Channels are "
        "clustered by what connects them, layer after layer; the groups are compared with these weights taken out.",
    ),
    Observer(
        "groups_between_activations", groups_between_activations.observe, Cost.LITTLE, Needs.RUNS,
        "Are two networks in one whose channels are turned together, or whose kernels are sums? The linear map from "
        "one activation to the next, through all layers between, is worked out from the weights; its channels are "
        "clustered and compared as those of single layers are.",
    ),
    Observer(
        "grouped_recurrences", grouped_recurrences.observe, Cost.LITTLE, Needs.WEIGHTS,
        "Are two recurrences in one? Hidden units are clustered by whose states they read, in any order; the groups "
        "are compared by these weights.",
    ),
    Observer(
        "input_views", input_views.observe, Cost.ONCE, Needs.RUNS,
        "What does each first layer see of the image? Noise images tell which pixels are there; ramps, natural images "
        "and smooth fields tell where each value was taken; a fit tells whether the colours at a place explain it.",
    ),
    Observer(
        "sample_positions", sample_positions.observe, Cost.LITTLE, Needs.RUNS,
        "Does the image decide where a node samples its early features? Values are followed from the image into the "
        "inputs that say where; how far the positions of two images differ is measured.",
    ),
    Observer(
        "steered_places", steered_places.observe, Cost.SEVERAL, Needs.RUNS,
        "Do early features stand where the image decides, by whatever operators? Each way from the image to a product "
        "is fed from another image: where all channels are then displaced by one field of steps, or turned, they do.",
    ),
    Observer(
        "early_grids", early_grids.observe, Cost.LITTLE, Needs.RUNS,
        "Do features behind a first layer stand on a grid that no layer gives? Dots put on an image are found again in "
        "the map.",
    ),
    Observer(
        "stacked_copies", stacked_copies.observe, Cost.LITTLE, Needs.VALUES,
        "Are two versions of one thing inside one tensor? Every element has a signature, its values over 16 noise "
        "images; equal signatures at other places are copies.",
    ),
    Observer(
        "shared_weights", shared_weights.observe, Cost.LITTLE, Needs.RUNS,
        "Do related weights run side by side, or on the image again after a first time? On what? Weights are compared "
        "up to mirror, rotation, scale and noise; inputs by signatures.",
    ),
    Observer(
        "batch_folds", batch_folds.observe, Cost.LITTLE, Needs.RUNS,
        "Are there more rows than images, and more data in them than they were made from? "
        "Two images are run beside one.",
    ),
    Observer(
        "branch_comparison", branch_comparison.observe, Cost.SEVERAL, Needs.RUNS,
        "Is one branch of the network the other one on a turned source? Features are compared on turned sources, "
        "whatever the weights.",
    ),
    Observer(
        "equivariant_features", equivariant_features.observe, Cost.SEVERAL, Needs.RUNS,
        "Is some feature of the image another feature of a changed image, and do the two never mix? Each channel (row, "
        "half of an axis) is summed up for images and for changed ones; changes are turns, zooms, and what the first "
        "kernels suggest (moved, filtered, coarse or recoloured banks).",
    ),
    Observer(
        "tied_rnn_directions", tied_rnn_directions.observe, Cost.LITTLE, Needs.WEIGHTS,
        "Has a recurrence the same weights both ways? Hidden units are matched.",
    ),
    Observer(
        "batch_independence", batch_independence.observe, Cost.SEVERAL, Needs.RUNS,
        "Does an embedding depend on the other images of the batch? Images are embedded alone and in batches of six "
        "compositions (one where the graph shows that images never meet), by the submitted model and on every way "
        "through its conditions.",
    ),
)  # fmt: skip
