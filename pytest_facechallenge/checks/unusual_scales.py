"""Scales of the pixels at the first layer that no known mistake gives, or that a graph brings back on purpose."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_facechallenge.checks.first_stage import StageLimits
from pytest_facechallenge.core.facts.preprocessing import WHITE, FirstLayer
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided

#: By how much the factor may differ that undoes the server's normalisation, such as 128 for 127.5, or deviations of
#: single colours.
UNDONE = 0.1
#: How far from zero the middle of black and white may lie there, in spans of these two: 0 to 255 has it at 0.5.
MIDDLE = 1.0


def widened(
    layers: Sequence[FirstLayer],
    feed: tuple[float, float],
    limits: StageLimits,
    words: str,
    evidence: tuple[Evidence, ...],
) -> Outcome:
    """Judge a graph that makes what the server normalised wide again, as networks trained on pixels of 0..255 need.

    Parameters
    ----------
    layers
        Those that get wide values.
    feed, words
        Mean and deviation of what the server feeds; the sentence that tells it.
    """
    mean, std = feed
    spreads = [each for layer in layers for each in layer.spread(std)]
    low, high = min(spreads), max(spreads)
    measured = f"{low:.4g} apart" if low == high else f"{low:.4g} to {high:.4g} apart"
    limit = f"black and white {limits.least:g} to {limits.most:g} apart"
    centred = all(layer.offset(mean, std) <= MIDDLE for layer in layers)
    if centred and all(abs(each / WHITE - 1) <= UNDONE for each in spreads):
        return passed(
            f"The graph undoes the server's normalisation, as a network trained on pixels of 0 to 255 needs. {words}",
            measured=measured,
            limit=f"{limit}, or {WHITE:g} where the graph undoes the server's normalisation",
            evidence=evidence,
        )
    if centred and all(abs(each / (2 * WHITE) - 1) <= UNDONE for each in spreads):
        return failed(
            f"The graph multiplies by 255, as for pixels of 0 to 1: black and white lie {measured} at node "
            f"{layers[0].node!r}. {words}",
            measured=measured,
            limit=limit,
            evidence=evidence,
            remedy="In the graph, multiply by 127.5 and add 127.5 instead; or put the whole normalisation in, with "
            "names that the server recognises.",
        )
    return unusual([(layer, *layer.spread(std)) for layer in layers], [], limits, words, evidence)


def unusual(
    wrong: Sequence[tuple[FirstLayer, float, float]],
    far_off: Sequence[tuple[FirstLayer, float]],
    limits: StageLimits,
    feed: str,
    evidence: tuple[Evidence, ...],
) -> Outcome:
    """Leave a scale undecided that misses a limit by less than the known mistakes do."""
    if wrong:
        layer, low, high = wrong[0]
        measured = f"{low:.4g} apart" if low == high else f"{low:.4g} to {high:.4g} apart"
        seen = f"black and white lie {measured}"
        limit = f"black and white {limits.least:g} to {limits.most:g} apart"
        remedy = "multiply the pixels by a number in the graph, and the weights of the first layer by its inverse: no "
        remedy += "embedding changes"
    else:
        layer, offset = far_off[0]
        measured = f"middle {offset:.4g} times the distance from 0"
        seen = f"the middle of black and white lies {offset:.4g} times as far from zero as they lie apart"
        limit = f"middle at most {limits.offset:g} times"
        remedy = "take the middle away in the graph, and add what the first layer makes of it to its bias: no "
        remedy += "embedding changes, but for borders that the layer pads"
    return undecided(
        f"What the first layer gets is unusual, and no mistake that is known: at node {layer.node!r} {seen}. A network "
        f"that was trained so may be handed in. {feed}",
        measured=measured,
        limit=limit,
        evidence=evidence,
        remedy=f"The accuracy on a testset shows which it is. If the network was trained so, {remedy}, and the "
        "rule passes.",
    )
