"""Published networks by their fingerprints: the file that holds them, and which of them a network is alike to."""

from __future__ import annotations

import base64
import binascii
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts, LayerSpectrum, WeightFingerprintFacts
from pytest_facechallenge.core.files import read_text
from pytest_facechallenge.core.known_networks import SCHEMA as SCHEMA
from pytest_facechallenge.core.known_networks import KnownNetworks, KnownNetworkTable
from pytest_facechallenge.core.rulebook_file import KNOWN_NETWORKS, builtin_folder
from pytest_facechallenge.core.validation import convert
from pytest_facechallenge.fingerprints.compare import Pair, Subject, related
from pytest_facechallenge.fingerprints.relation import how

#: Bytes of a file that are read: a network has about 20 KB.
MOST_BYTES = 64 << 20
_LINE = 110


class KnownNetworksError(ValueError):
    """A file of known networks cannot be used; the message says which, where, what is expected and what was found."""


@dataclass(frozen=True)
class KnownNetwork:
    """A published network.

    Attributes
    ----------
    name, about, source
        Its name; what it is and was trained on; where the file was had.
    sha256
        Of the file whose fingerprint this is.
    """

    name: str
    about: str
    source: str
    sha256: str
    subject: Subject


@dataclass(frozen=True)
class Match:
    """A published network that another one is alike to."""

    network: KnownNetwork
    pair: Pair

    @property
    def how(self) -> str:
        """How they are related, in words."""
        return how(self.pair.likeness, self.pair.same_layers, self.pair.layers)


def matches(subject: Subject, networks: Sequence[KnownNetwork]) -> list[Match]:
    """Return the published networks that a network is related to, the closest first."""
    pairs = related([subject, *(each.subject for each in networks)]) if networks else []
    return [Match(networks[pair.other - 1], pair) for pair in pairs if pair.one == 0]


@cache
def builtin_networks() -> tuple[KnownNetwork, ...]:
    """Return the networks that come with the package."""
    return read(builtin_folder() / KNOWN_NETWORKS)


def read(path: Path) -> tuple[KnownNetwork, ...]:
    """Read a file of known networks.

    Raises
    ------
    KnownNetworksError
        It cannot be read, or does not fit.
    """
    try:
        found = convert(tomllib.loads(read_text(path, MOST_BYTES)), KnownNetworks)
        return tuple(_network(table) for table in found.networks)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise KnownNetworksError(f"{path} cannot be used: {reason}") from error


def _network(table: KnownNetworkTable) -> KnownNetwork:
    def decoded(text: str, what: str) -> bytes:
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except binascii.Error as error:
            raise ValueError(f"{what} of {table.name!r} must be base64: {error}") from error

    behaviour = FingerprintFacts(
        images=table.images,
        width=table.width,
        dimensions=table.dimensions,
        products=decoded(table.products, "products"),
    )
    layers = tuple(
        LayerSpectrum(node, (low, high, inner), levels, decoded(values, f"the layer {node!r}"))
        for node, low, high, inner, levels, values in table.layers
    )
    if len(behaviour.products) % 2 or any(len(layer.values) % 4 for layer in layers):
        raise ValueError(f"the numbers of {table.name!r} are not whole: a part of them is missing")
    return KnownNetwork(
        table.name,
        table.about,
        table.source,
        table.sha256,
        Subject(WeightFingerprintFacts(layers=layers), behaviour),
    )


def entry(network: KnownNetwork) -> str:
    """Return a network as a table of the file."""
    behaviour, weights = network.subject.behaviour, network.subject.weights
    shown = base64.b64encode(behaviour.products if behaviour is not None else b"").decode()
    lines = [
        "[[networks]]",
        *(f"{key} = {json.dumps(getattr(network, key))}" for key in ("name", "about", "source", "sha256")),
        f"images = {json.dumps(behaviour.images if behaviour is not None else '')}",
        f"width = {behaviour.width if behaviour is not None else 0}",
        f"dimensions = {behaviour.dimensions if behaviour is not None else 0.0!r}",
        'products = """',
        *(shown[at : at + _LINE] for at in range(0, len(shown), _LINE)),
        '"""',
        "layers = [",
        *(_layer(layer) for layer in (weights.layers if weights is not None else ())),
        "]",
    ]
    return "\n".join(lines) + "\n"


def _layer(layer: LayerSpectrum) -> str:
    values = base64.b64encode(layer.values).decode()
    low, high, inner = layer.shape
    return f"  [{json.dumps(layer.node)}, {low}, {high}, {inner}, {layer.levels}, {json.dumps(values)}],"
