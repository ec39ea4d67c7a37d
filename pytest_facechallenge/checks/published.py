"""Comparing a score with what the challenge publishes: its own sets by their counts, its baselines, its ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.core.set_names import sets_of_track

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.accuracy import SetResult
    from pytest_facechallenge.core.rulebook import Baseline, Rulebook, SetTable


def differences(result: SetResult, table: SetTable) -> tuple[str, ...]:
    """Say in which published counts a testset differs from the challenge's own; empty when in none.

    Counts that the challenge does not publish are not compared. When it publishes none at all, nothing can show that
    the testset is its own, and that is said.
    """
    published = {
        "identities": (table.identities, result.identities),
        "images": (_images(table), result.images),
        "masked images": (table.probe_images, result.probe_images),
        "non-masked images": (table.gallery_images, result.gallery_images),
    }
    known = {name: counts for name, counts in published.items() if counts[0] is not None}
    if not known:
        return ("the rulebook publishes no counts of this set",)
    return tuple(f"{found:,} {name} instead of {own:,}" for name, (own, found) in known.items() if own != found)


def ranking_weights(book: Rulebook, track: str) -> dict[str, float]:
    """Return what the ranking score adds up: the rulebook's weights, or the track's own set alone where it has none."""
    if book.ranking is not None:
        return dict(book.ranking.weights)
    own = sets_of_track(book, track)
    return {next(iter(own)): 1.0} if len(own) == 1 else {}


def ranked_baselines(book: Rulebook, weights: dict[str, float]) -> list[tuple[float, Baseline]]:
    """Return (score, row) of the baselines that have every set of the score, best first."""
    rows = [
        (sum(weight * row.tar[name] for name, weight in weights.items()), row)
        for row in book.baselines
        if weights and all(name in row.tar for name in weights)
    ]
    return sorted(rows, key=lambda entry: -entry[0])


def place(score: float, rows: list[tuple[float, Baseline]]) -> str:
    """Say where a score stands among baselines, best first."""
    above = [entry for entry in rows if entry[0] > score]
    below = [entry for entry in rows if entry[0] <= score]
    text = f"place {len(above) + 1} of {len(rows) + 1}, counting the {len(rows)} published baselines and this model"
    if above:
        text += f"; next above: {above[-1][1].name} ({above[-1][0]:.5f})"
    if below:
        text += f"; next below: {below[0][1].name} ({below[0][0]:.5f})"
    return text


def _images(table: SetTable) -> int | None:
    if table.images is None and table.probe_images is not None and table.gallery_images is not None:
        return table.probe_images + table.gallery_images
    return table.images
