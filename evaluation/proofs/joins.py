"""How proofs put a result together: views of an image, one ordinary network on each, and the join of the embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx

from evaluation.builder import Array
from evaluation.images import Images, smooth_and_noise
from evaluation.proof import Compute, Proof
from evaluation.runtime import Network

Build: TypeAlias = Callable[[], onnx.ModelProto]
Views: TypeAlias = Callable[[Array], list[Array]]
Join: TypeAlias = Callable[..., Array]


# ---- views and networks


def same(x: Array) -> Array:
    return x


def mirrored(x: Array) -> Array:
    return x[..., ::-1]


def flip(x: Array) -> list[Array]:
    """Return the images and their mirror images."""
    return [x, mirrored(x)]


def each(build: Build, views: Views = flip) -> Views:
    """Run one ordinary network on every view."""
    network = Network(build)
    return lambda x: [network(view) for view in views(x)]


def one_each(*parts: tuple[Build, Compute]) -> Views:
    """Run an ordinary network of its own on each view."""
    networks = [(Network(build), view) for build, view in parts]
    return lambda x: [network(view(x)) for network, view in networks]


# ---- joins


def mean(*e: Array) -> Array:
    return np.asarray(np.mean(e, axis=0))


def maximum(*e: Array) -> Array:
    return np.asarray(np.max(e, axis=0))


def joined(*e: Array) -> Array:
    return np.concatenate(e, axis=1)


def shares(*parts: float) -> Join:
    """Return a weighted sum."""
    return lambda *e: np.tensordot(parts, np.stack(e), 1)


# ---- proofs


def views_of(embeddings: Views, join: Join = mean, images: Images = smooth_and_noise) -> Proof:
    """Prove that a network joins the embeddings of several views, none of which alone is its embedding."""
    return Proof(computes=lambda x: join(*embeddings(x)), others=embeddings, images=images)


def aligned(build: Build, warp: Compute, images: Images = smooth_and_noise) -> Proof:
    """Prove that a network sees warped images."""
    plain = Network(build)
    return Proof(computes=lambda x: plain(warp(x)), others=lambda x: [plain(x)], apart=0.1, images=images)


def of_batch(computes: Compute | None, images: Images = smooth_and_noise, apart: float = 0.02) -> Proof:
    """Prove that the embeddings of a batch are those of images that know of each other."""
    return Proof(computes=computes, together=True, sizes=(2, 5), images=images, apart=apart)
