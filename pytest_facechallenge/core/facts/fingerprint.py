"""Facts of the steps ``weight_fingerprint`` and ``fingerprint``: what tells a network from every other one.

Both survive what a copy is changed by: other names, orders, layouts and operator sets, BatchNormalization folded or
unfolded, channels permuted and rescaled, a little noise. They say nothing about one network alone; two are compared
(`pytest_facechallenge.fingerprints`).
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class LayerSpectrum(msgspec.Struct, frozen=True, array_like=True):
    """The singular values of one layer's weights, after its channels were balanced.

    Attributes
    ----------
    node
        Label of the node.
    shape
        The smaller and the larger of output and input channels that are used, and weights of one input channel.
    levels
        How many singular values there are.
    values
        float32, little-endian: the singular values, largest first, with a mean square of 1; of more than 24 those at 24
        places evenly apart.
    """

    node: str
    shape: tuple[int, int, int]
    levels: int
    values: bytes


class WeightFingerprintFacts(StepFacts, frozen=True, kw_only=True):
    """What tells the weights from others, layer by layer.

    Attributes
    ----------
    layers
        Of each distinct stored matrix and kernel that is large enough to tell something, in graph order.
    left_out
        Layers beyond the limit, or with weights that cannot be read or are not finite.
    """

    step: ClassVar[str] = "weight_fingerprint"

    layers: tuple[LayerSpectrum, ...] = ()
    left_out: int = 0


class FingerprintFacts(StepFacts, frozen=True, kw_only=True):
    """What tells the behaviour from others: how alike the embeddings of fixed generated images are.

    Attributes
    ----------
    images
        Name of the set of images; fingerprints of other images are not comparable.
    width
        Values of one embedding.
    dimensions
        In how many directions the embeddings spread: (sum of variances)^2 / sum of squared variances along the
        principal axes.
    products
        int16, little-endian: for each pair of different images, row by row of the upper triangle, the inner product of
        their normalised embeddings, U-centred, in units of the largest over 32,767. Empty where there is none.
    trouble
        Why there is no fingerprint; "" where there is one.
    """

    step: ClassVar[str] = "fingerprint"

    images: str
    width: int = 0
    dimensions: float = 0.0
    products: bytes = b""
    trouble: str = ""
