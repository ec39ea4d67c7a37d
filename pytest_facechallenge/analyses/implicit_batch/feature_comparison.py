"""Channel statistics of some layers for images and for the same images changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.channel_partition import Cut, Statistics
from pytest_facechallenge.analyses.implicit_batch.image_transforms import Candidate
from pytest_facechallenge.analyses.implicit_batch.layer_index import Layer
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part
from pytest_facechallenge.analyses.implicit_batch.runner import Runner
from pytest_facechallenge.analyses.implicit_batch.strips_seen import StripsSeen
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import EquivariantFeatures
from pytest_facechallenge.core.facts.implicit_batch_kinds import FeatureHome

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What some layers make of images, and of the same images changed.

    Attributes
    ----------
    model, layers, runner
        The layers asked, and a session that gives their results.
    candidate
        The change.
    base, changed
        The images, and the images changed, float32 [images, C, H, W].
    plain, turned
        For each layer: the statistics of its result, by the way it is parted, for ``base`` and for ``changed``.
    strips
        Which strips of the image reach each layer.
    """

    model: TracedModel
    layers: list[Layer]
    runner: Runner
    candidate: Candidate
    base: Array
    changed: Array
    plain: list[dict[Cut, Statistics]]
    turned: list[dict[Cut, Statistics]]
    strips: StripsSeen

    def found(
        self, home: FeatureHome, layers: tuple[Layer, ...], share: float, where: tuple[Part, Part], **data: Any
    ) -> Hypothesis:
        """Return an observation; ``share`` is that of the multiply-adds beyond one view of the image."""
        features = EquivariantFeatures(
            home=home,
            layers=tuple(layer.node.label for layer in layers),
            transform=self.candidate.transform,
            colours=self.candidate.colours,
            turn=self.candidate.turn,
            taps=self.candidate.taps,
            share=share,
            branch=self.model.branch,
            **data,
        )
        return Hypothesis(features, where)


def asked_channels(channels: int, limits: Thresholds) -> Array:
    """Return the channels to ask for: all, or a sample of very many (all pairs of them would take gigabytes)."""
    wanted = limits.equivariance
    if channels <= wanted.many:
        return np.arange(channels)
    return np.sort(np.random.default_rng(8).choice(channels, wanted.sample, replace=False))
