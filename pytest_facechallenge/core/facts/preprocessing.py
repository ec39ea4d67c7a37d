"""Facts of the step ``preprocessing``: what the server does to the pixels, and what the graph does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts

#: The largest pixel.
WHITE = 255

#: How far black and white may lie apart at the first layer, unless the rulebook says otherwise. Usual networks: [0, 1]
#: has 1, [-1, 1] has 2, ImageNet's mean and std give 4.4. Normalised twice: 0.016. Not at all: 255.
LEAST_SPREAD, MOST_SPREAD = 0.5, 16.0

#: How far from zero the middle of black and white may lie at the first layer, as a multiple of how far they lie
#: apart, unless the rulebook says otherwise. [0, 1] has 0.5, ImageNet's mean and std 0.1; a mean of 127.5 taken away
#: twice gives 64.
MOST_OFFSET = 4.0

#: First layers that scale each image by its own statistics: they do not notice how it was normalised.
SELF_SCALING = frozenset({"InstanceNormalization", "LayerNormalization", "GroupNormalization"})


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as the first layer sees it: ``gain * input[source] + offset``."""

    source: int
    gain: float
    offset: float


class FirstLayer(msgspec.Struct, frozen=True, kw_only=True):
    """The node where the image stops being pixels, and what it sees.

    Attributes
    ----------
    node, op
        Its label and operator.
    channels
        What the nodes before it make of the input's channels, in the order in which it sees them.
    through
        Labels of those nodes.
    """

    node: str
    op: str
    channels: tuple[Channel, ...]
    through: tuple[str, ...] = ()

    def spread(self, std: float) -> tuple[float, float]:
        """Return how far black and white lie apart, fed (pixel - mean) / std: least and most of the channels."""
        spreads = [abs(channel.gain) * WHITE / std for channel in self.channels]
        return min(spreads), max(spreads)

    def offset(self, mean: float, std: float) -> float:
        """Return how far the middle of black and white lies from zero, over how far they lie apart: the most."""
        middles = [abs(channel.gain * (WHITE / 2 - mean) / std + channel.offset) for channel in self.channels]
        spreads = [abs(channel.gain) * WHITE / std for channel in self.channels]
        return max(middle / max(spread, 1e-30) for middle, spread in zip(middles, spreads, strict=True))


class PreprocessingFacts(StepFacts, frozen=True, kw_only=True):
    """What happens to the pixels.

    Attributes
    ----------
    first_names
        Names, as stored in the file, of the first eight nodes: they decide what the organisers' server feeds.
    server_mean, server_std
        The server feeds (pixel - server_mean) / server_std, pixel in 0..255, RGB. Either (0, 1), because it believes
        that the model normalises by itself, or (127.5, 127.5).
    server_because
        The names that made it believe so; empty when none did.
    layers
        Every node that takes pixels in, in the order of the file. Usually one.
    normalises
        Whether the nodes before the first layer change the scale of the pixels at all.
    obstacle
        Why the pixels could not be followed to a layer; empty when they could.
    not_affine
        Whether that is because a node is no affine map of each channel by itself: then running the model tells more.
    unsure
        Which of ``layers`` has no weights, so that what it sees need not be what a layer sees; empty where all have.
    """

    step: ClassVar[str] = "preprocessing"

    first_names: tuple[str, ...]
    server_mean: float
    server_std: float
    server_because: tuple[str, ...] = ()
    layers: tuple[FirstLayer, ...] = ()
    normalises: bool = False
    obstacle: str = ""
    not_affine: bool = False
    unsure: str = ""

    @property
    def by_running(self) -> bool:
        """Whether what the first layers with weights get is to be looked at in the running model."""
        return self.not_affine or bool(self.unsure)


def fits(layers: Iterable[FirstLayer], mean: float, std: float) -> bool:
    """Return whether (pixel - mean) / std reaches every first layer normalised once, by the usual limits."""
    seen = [layer for layer in layers if layer.op not in SELF_SCALING]
    return all(
        layer.spread(std)[0] >= LEAST_SPREAD
        and layer.spread(std)[1] <= MOST_SPREAD
        and layer.offset(mean, std) <= MOST_OFFSET
        for layer in seen
    )


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """What the first layers with weights work on, over natural images, a black and a white one.

    Attributes
    ----------
    spread
        Distance of the smallest and the largest value of the channel where it is largest, but for a few of them.
    middle
        Distance of the middle between the two from zero.
    finite
        Whether all values are finite.
    pixels_lost
        Share of the pixels of an image that change nothing when they alone change, 0..1.
    """

    spread: float = 0.0
    middle: float = 0.0
    finite: bool = True
    pixels_lost: float = 0.0


class FirstStageFacts(StepFacts, frozen=True, kw_only=True):
    """What a first stage that is not affine makes of images: with the server's normalisation and with the other one.

    Attributes
    ----------
    layers
        Labels of the first layers with weights; empty where the structure of the graph says enough.
    served, other
        As the server feeds the images, and as it would feed them if it believed the opposite of the normalisation.
    other_mean, other_std
        Of that other feed, (pixel - mean) / std.
    change
        Largest 1 - cos between the embeddings of one image with the two, 0..2.
    apart
        Median 1 - cos between the embeddings of two different images, as the server feeds them, 0..2.
    colours_change
        As ``change``, between an image and itself with red and blue exchanged, as the server feeds them.
    images
        Natural images shown.
    """

    step: ClassVar[str] = "first_stage"

    layers: tuple[str, ...] = ()
    served: StageView = StageView()
    other: StageView = StageView()
    other_mean: float = 0.0
    other_std: float = 1.0
    change: float = 2.0
    apart: float = 0.0
    colours_change: float = 2.0
    images: int = 0
