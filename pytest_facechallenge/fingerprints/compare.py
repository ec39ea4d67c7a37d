"""Comparing many fingerprints at once: all pairs in one product of matrices, and one search for layers. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts, LayerSpectrum, WeightFingerprintFacts
from pytest_facechallenge.fingerprints.relation import (
    ALIKE_BEHAVIOUR,
    FEWEST_LAYERS,
    LEAST_DIMENSIONS,
    Relation,
    relation,
)

#: How far two spectra may lie apart (root mean square) and be of the same weights, in units of the mean distance of two
#: neighbouring singular values. Noise of 1 % moves them by 0.02 to 0.1, other weights by 0.4 and more.
SAME_SPECTRUM = 0.2
#: Layers of one network that are compared; the analysis gives fewer.
MOST_LAYERS = 1_000


@dataclass(frozen=True)
class Subject:
    """A network to compare: its fingerprints, each None where it has none."""

    weights: WeightFingerprintFacts | None
    behaviour: FingerprintFacts | None

    @property
    def telling(self) -> FingerprintFacts | None:
        """The fingerprint of behaviour, where it tells anything."""
        found = self.behaviour
        if found is None or not found.products or len(found.products) % 2:
            return None
        return found if found.dimensions >= LEAST_DIMENSIONS else None


@dataclass(frozen=True)
class Pair:
    """Two related networks, by their places; ``layers`` is the number of distinct ones of the smaller network."""

    one: int
    other: int
    likeness: float | None
    same_layers: int
    layers: int

    @property
    def relation(self) -> Relation:
        """What the numbers say."""
        return relation(self.likeness, self.same_layers, self.layers)


def related(subjects: Sequence[Subject]) -> list[Pair]:
    """Return every pair of networks of which there is something to say, most alike first."""
    likeness = likenesses([subject.telling for subject in subjects])
    same = shared_layers([subject.weights for subject in subjects])
    with np.errstate(invalid="ignore"):
        telling = np.triu((likeness >= ALIKE_BEHAVIOUR) | (same >= FEWEST_LAYERS), 1)
    found = []
    for one, other in zip(*map(list, np.nonzero(telling)), strict=True):
        alike = None if np.isnan(likeness[one, other]) else float(likeness[one, other])
        layers = int(min(same[one, one], same[other, other]))
        pair = Pair(int(one), int(other), alike, int(same[one, other]), layers)
        if pair.relation is not Relation.INDEPENDENT:
            found.append(pair)
    return sorted(found, key=lambda pair: (-strength(pair), pair.one, pair.other))


def strength(pair: Pair) -> float:
    """Return how closely two are related, for ordering: the larger of likeness and share of layers."""
    share = pair.same_layers / pair.layers if pair.layers else 0.0
    return max(share, pair.likeness or 0.0) + (1.0 if pair.relation is Relation.COPY else 0.0)


def likenesses(fingerprints: Sequence[FingerprintFacts | None]) -> npt.NDArray[np.float32]:
    """Return the likeness of behaviour of every two: float32 [N, N], NaN where one has no fingerprint.

    It is the debiased linear CKA (Kornblith et al., 2019, with the unbiased estimator of Song et al., 2012) of the
    embeddings of fixed images: 1 for embeddings that differ by an orthogonal map, 0 on average for unrelated ones.
    """
    count = len(fingerprints)
    result = np.full((count, count), np.nan, np.float32)
    by_images: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for place, each in enumerate(fingerprints):
        if each is not None:
            by_images[each.images, len(each.products)].append(place)
    for places in by_images.values():
        rows = np.stack([_unit(fingerprints[place]) for place in places])
        result[np.ix_(places, places)] = rows @ rows.T
    return result


def _unit(fingerprint: FingerprintFacts | None) -> npt.NDArray[np.float32]:
    assert fingerprint is not None  # noqa: S101 - by construction: only those that are there have a place
    values = np.frombuffer(fingerprint.products, "<i2").astype(np.float32)
    length = float(np.linalg.norm(values))
    return values / np.float32(length or 1.0)


def shared_layers(weights: Sequence[WeightFingerprintFacts | None]) -> npt.NDArray[np.int32]:
    """Return how many distinct layers every two networks share: int32 [N, N]; on the diagonal how many each has.

    Layers with the same spectrum are one: each joins the first that it is as close to as `SAME_SPECTRUM`, so that time
    and memory grow with the number of layers and not with that of pairs.
    """
    groups: defaultdict[tuple[tuple[int, int, int], int, int], list[tuple[int, bytes]]] = defaultdict(list)
    for place, each in enumerate(weights):
        for layer in _usable(each):
            groups[layer.shape, layer.levels, len(layer.values)].append((place, layer.values))
    shared = np.zeros((len(weights), len(weights)), np.int32)
    for (_, levels, _), group in groups.items():
        spectra = np.stack([np.frombuffer(values, "<f4") for _, values in group]).astype(np.float64)
        kinds = _kinds(spectra, levels)
        have = np.zeros((len(weights), int(kinds.max(initial=-1)) + 1), np.float32)
        owners = np.array([place for place, _ in group])
        have[owners[kinds >= 0], kinds[kinds >= 0]] = 1
        shared += (have @ have.T).astype(np.int32)
    return shared


def _usable(weights: WeightFingerprintFacts | None) -> Iterator[LayerSpectrum]:
    """Yield the layers that can be compared: facts of a report may hold anything."""
    for layer in weights.layers[:MOST_LAYERS] if weights is not None else ():
        if layer.levels > 0 and layer.values and len(layer.values) % 4 == 0:
            yield layer


def _kinds(spectra: npt.NDArray[np.float64], levels: int) -> npt.NDArray[np.intp]:
    """Return a number for each spectrum [N, K]: the same for those of the same weights, -1 for one that is not finite.

    Sorted by their largest value, a spectrum has to be compared with few others only.
    """
    kinds = np.full(len(spectra), -1, np.intp)
    usable = np.flatnonzero(np.isfinite(spectra).all(axis=1))
    spectra = np.nan_to_num(spectra, nan=0.0, posinf=0.0, neginf=0.0)
    reach = SAME_SPECTRUM * (spectra[:, 0] - spectra[:, -1]) / levels * np.sqrt(spectra.shape[1])
    # What is compared first: the largest value, by which they are sorted, one in the middle, and the sum. None of these
    # can lie further apart than the spectra themselves do.
    middle = spectra[:, spectra.shape[1] // 2]
    total = spectra.sum(axis=1) / np.sqrt(spectra.shape[1])
    first, heads, middles, totals = np.empty((4, len(spectra)))
    count = 0
    for place in usable[np.argsort(spectra[usable, 0], kind="stable")]:
        start = int(np.searchsorted(heads[:count], spectra[place, 0] - reach[place]))
        near = np.abs(middles[start:count] - middle[place]) <= reach[place]
        near &= np.abs(totals[start:count] - total[place]) <= reach[place]
        close = start + np.flatnonzero(near)
        apart = np.linalg.norm(spectra[first[close].astype(np.intp)] - spectra[place], axis=1)
        if len(close) and apart.min() <= reach[place]:
            kinds[place] = close[apart.argmin()]
            continue
        first[count], heads[count] = place, spectra[place, 0]
        middles[count], totals[count] = middle[place], total[place]
        kinds[place] = count
        count += 1
    return kinds
