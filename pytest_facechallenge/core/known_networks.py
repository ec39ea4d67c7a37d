"""The file of known networks: fingerprints of published networks that entries are compared with."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA: Literal["facechallenge-known-networks/1"] = "facechallenge-known-networks/1"

#: Node, smaller and larger number of channels, weights of one input channel, number of singular values, and these.
LayerTable = tuple[str, int, int, int, int, str]


class KnownNetworkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published network: what it is, and its two fingerprints.

    Attributes
    ----------
    name
        Its name, of this network alone in the file.
    about
        What it is and what it was trained on.
    source
        Where the file was had, and its licence.
    sha256
        Of the file that was fingerprinted, in hexadecimal.
    images
        The set of generated images that it embedded ("noise-96/1"); fingerprints of other sets are not comparable.
    width
        Values of an embedding.
    dimensions
        In how many directions the embeddings of the images spread.
    products
        The likeness of the embeddings of every two images, U-centred: int16, little-endian, Base64; line breaks count
        for nothing.
    layers
        Of each layer: the name of its node, the smaller and the larger number of channels, weights of one input
        channel, how many singular values it has, and the largest of these, at most 24, after balancing (float32,
        little-endian, Base64).
    """

    name: str
    about: str
    source: str
    sha256: str
    images: str
    width: int
    dimensions: float
    products: str
    layers: list[LayerTable]


class KnownNetworks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of known networks, such as rules/known-networks.toml, or one of your own for `fingerprint --known`.

    Attributes
    ----------
    schema
        Of this version of the format.
    networks
        The networks; ``facechallenge fingerprint MODEL --name NAME --about TEXT --source TEXT --add FILE`` adds one.
    """

    schema: Literal["facechallenge-known-networks/1"]
    networks: list[KnownNetworkTable] = []
