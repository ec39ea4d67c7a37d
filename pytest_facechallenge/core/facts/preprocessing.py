"""Facts of the step ``preprocessing``: what the server does to the pixels, and what the graph does."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


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
    """

    step: ClassVar[str] = "preprocessing"

    first_names: tuple[str, ...]
    server_mean: float
    server_std: float
    server_because: tuple[str, ...] = ()
    layers: tuple[FirstLayer, ...] = ()
    normalises: bool = False
    obstacle: str = ""
