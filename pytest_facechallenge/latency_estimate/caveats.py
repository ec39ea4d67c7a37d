"""Why a time within the limit would not show that the limit is kept: functions of facts. A caveat fails nothing."""

from __future__ import annotations

from typing import NamedTuple

from pytest_facechallenge.core.facts.latency import LatencyFacts, LaunchFacts

#: Embeddings of the timed runs may differ from those of a batch by this much of the largest value: more than kernels
#: of different precision do (about 1e-3), far less than another network would.
ROW_TOLERANCE = 1e-2
#: Nothing passes on a scaled time that was taken while other programs used more of the processors than this. Where
#: processor time is compared (on a CPU) there is no such bound: other programs hardly change it, they meet the
#: references as well, and what they do change is in the spread.
DISTURBED = 0.50


class Caveat(NamedTuple):
    """A sentence on what is not known, and one on what would settle it."""

    why: str
    way_out: str


def some(names: tuple[str, ...], most: int = 5) -> str:
    """Return the first few names, in words."""
    return ", ".join(names[:most]) + (" and others" if len(names) > most else "")


def about_images(graph: LaunchFacts | None, row_difference: float) -> list[Caveat]:
    """Return why other images may take longer than those that were timed."""
    if graph is None:
        return [
            Caveat(
                "the graph could not be analysed, so it is not known whether every image takes the same time.",
                "Look at what the other rules say about the graph.",
            )
        ]
    found = []
    if graph.varying:
        found.append(
            Caveat(
                f"how much is computed may depend on what is in the image ({some(graph.varying)}), so other images "
                "may take longer.",
                "Take the choice that the image makes out of the graph.",
            )
        )
    if row_difference < 0:
        found.append(
            Caveat(
                "the timed images could not be embedded as one batch, so nothing shows that the timed runs did the "
                "whole work.",
                "Make the model run on batches; the rule on batches says what is in the way.",
            )
        )
    if row_difference > ROW_TOLERANCE:
        found.append(
            Caveat(
                "the timed runs gave other embeddings than a batch of the same images (they differ by "
                f"{row_difference:.2g} of the largest value), so it is not known whether they did the whole work.",
                "Make an image's embedding the same alone and in a batch.",
            )
        )
    return found


def about_scaling(graph: LaunchFacts | None, here: LatencyFacts) -> list[Caveat]:
    """Return why the scaled time, beside that, may be too small."""
    found = []
    if graph is not None and graph.problems:
        found.append(
            Caveat(
                f"not all kernel launches are known, so nothing checks the scaled time: {graph.problems[0]}.",
                "Export the model without it.",
            )
        )
    compares_work = here.submission is not None and bool(here.submission.work)
    if here.busy > DISTURBED and not compares_work:
        found.append(
            Caveat(
                f"other programs used {here.busy:.0%} of the processors while the times were taken.",
                "Time again on a quiet machine.",
            )
        )
    return found
