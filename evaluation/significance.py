"""How often the comparison of neighbours is right: people and networks drawn at random, whose truth is known.

``python -m evaluation.significance`` draws testsets from one population, and two networks that see the same images
with noise of their own, and prints how often `paired_difference` calls equal ones different (5 % at most is meant), how
often its interval holds the true difference, and how often different ones are told apart. Beside it the same with
thresholds held fixed, as the interval of a single TAR does. Everything is seeded.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification import OperatingPoint, Settings, TarAtFar, verify
from pytest_facechallenge.verification.paired import Part, Spread, UndecidableError, paired_difference, score_spread

if TYPE_CHECKING:
    import numpy.typing as npt

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "neighbours.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
SETTINGS = Settings(hardest=0, workers=1, resamples=40)


@dataclasses.dataclass(frozen=True)
class Population:
    """Who is drawn: so many identities with so many images each, and the false accept rate that is measured at.

    Identities come in families that look alike, and differ in how alike their images are: false accepts and false
    rejects are of few of them, as in real testsets. The first network adds ``noise`` to what an image shows, the second
    ``other``.
    """

    about: str
    identities: int
    images: int
    far: str
    noise: float = 0.4
    other: float = 0.4
    width: int = 24
    spread: float = 0.5
    seed: int = 1

    def draws(self, count: int) -> Iterator[tuple[TarAtFar, TarAtFar]]:
        """Yield what both networks get on ``count`` testsets."""
        rng = np.random.default_rng(self.seed)
        point = OperatingPoint(far=self.far)
        people = np.repeat(np.arange(self.identities), self.images)
        for _ in range(count):
            images, ease = self._images(rng, people)
            found: list[TarAtFar] = []
            for noise in (self.noise, self.other):
                rows = images + noise * ease * rng.standard_normal(images.shape, dtype=np.float32)
                found += verify(rows, people, [point], settings=SETTINGS).points
            yield found[0], found[1]

    def _images(
        self, rng: np.random.Generator, people: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        families = max(2, self.identities // 10)
        shared = rng.standard_normal((families, self.width), dtype=np.float32)
        own = rng.standard_normal((self.identities, self.width), dtype=np.float32)
        faces = own + 0.7 * shared[rng.integers(0, families, self.identities)]
        ease = np.exp(0.6 * rng.standard_normal((self.identities, 1), dtype=np.float32))[people]
        images = faces[people] + self.spread * ease * rng.standard_normal((len(people), self.width), np.float32)
        return images.astype(np.float32, copy=False), ease.astype(np.float32, copy=False)


@dataclasses.dataclass(frozen=True)
class Found:
    """What many draws gave.

    Attributes
    ----------
    tars
        The mean TARs of the two networks.
    truth
        The mean of the difference: of equal networks it is 0.
    rejected, rejected_fixed
        How often the two were called different, and how often they would be with thresholds held fixed.
    covered, score_covered
        How often the interval of the difference, and that of the first network's score, held the truth.
    spread, error
        Standard deviation of the difference over draws, and the root mean square of its standard error.
    false_accepts, judged, draws
        False accepts at the threshold; draws that could be judged, and all.
    """

    tars: tuple[float, float]
    truth: float
    rejected: float
    rejected_fixed: float
    covered: float
    score_covered: float
    spread: float
    error: float
    false_accepts: int
    judged: int
    draws: int


def measure(population: Population, draws: int) -> Found:
    """Compare two networks on many testsets of a population."""
    kept: list[tuple[float, float, Spread, Spread, Spread]] = []
    false_accepts = 0
    for one, other in population.draws(draws):
        assert one.tar is not None, "every draw has genuine and impostor pairs"
        assert other.tar is not None
        false_accepts = one.false_accepts
        difference = one.tar - other.tar
        try:
            spread = paired_difference(_parts(one), _parts(other), difference)
            fixed = paired_difference(_parts(one, fixed=True), _parts(other, fixed=True), difference)
            kept.append((one.tar, other.tar, spread, fixed, score_spread(_parts(one), one.tar)))
        except UndecidableError:
            continue
    if not kept:
        return Found((0.0, 0.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, false_accepts, 0, draws)
    tars = np.array([each[:2] for each in kept])
    spreads, fixed_ones, scores = [each[2] for each in kept], [each[3] for each in kept], [each[4] for each in kept]
    truth = 0.0 if population.noise == population.other else float((tars[:, 0] - tars[:, 1]).mean())
    score = float(tars[:, 0].mean())
    return Found(
        tars=(score, float(tars[:, 1].mean())),
        truth=truth,
        rejected=_share([not each.low <= 0 <= each.high for each in spreads]),
        rejected_fixed=_share([not each.low <= 0 <= each.high for each in fixed_ones]),
        covered=_share([each.low <= truth <= each.high for each in spreads]),
        score_covered=_share([each.low <= score <= each.high for each in scores]),
        spread=float(np.std([each.value for each in spreads])),
        error=float(np.sqrt(np.mean([each.error**2 for each in spreads]))),
        false_accepts=false_accepts,
        judged=len(kept),
        draws=draws,
    )


def _parts(point: TarAtFar, *, fixed: bool = False) -> list[Part]:
    """Return a point as the whole of a score; ``fixed``: as if no threshold ever moved."""
    import msgspec

    counts = point.by_identity
    if counts is None:
        return []
    if fixed:
        counts = msgspec.structs.replace(counts, stricter_accepted=point.genuine_accepted or 0)
    return [Part(weight=1.0, testset="drawn", counts=counts)]


def _share(found: list[bool]) -> float:
    return sum(found) / len(found)


POPULATIONS = (
    Population("few people, three false accepts", 60, 3, "2e-4", spread=0.6),
    Population("few people, few false accepts", 60, 3, "1e-3", spread=0.6),
    Population("few people", 60, 3, "1e-2", spread=0.6),
    Population("few people, many false accepts", 60, 3, "1e-1", spread=0.6),
    Population("more people", 200, 3, "1e-3"),
    Population("more people, many false accepts", 200, 3, "1e-2"),
    Population("nearly perfect", 200, 3, "1e-2", noise=0.3, other=0.3, spread=0.3),
    Population("many people", 800, 3, "1e-3"),
    Population("many people, nearly perfect", 800, 3, "1e-3", noise=0.2, other=0.2, spread=0.2),
    Population("a better one", 200, 3, "1e-3", other=0.5),
    Population("a better one, many people", 800, 3, "1e-3", other=0.45),
    Population("a much better one", 200, 3, "1e-3", other=0.8),
)


def main() -> None:
    """Measure every population, print the table, and write it into the page where that is asked for."""
    parser = argparse.ArgumentParser(description="how often the comparison of neighbours is right")
    parser.add_argument("--draws", type=int, default=500, help="testsets of each population")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    given = parser.parse_args()
    lines: list[str] = []
    for line in _lines(given.draws):
        print(line, flush=True)
        lines.append(line)
    if given.write:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        shown = "\n".join(lines)
        PAGE.write_text(f"{before}{BEGIN}\n{shown}\n\n{END}{after}", encoding="utf-8")


def _lines(draws: int) -> Iterator[str]:
    yield (
        "| population | identities | false accepts | TARs | called different | with fixed thresholds | "
        "interval holds the truth | interval of a score holds it | deviation | standard error |"
    )
    yield "| --- " * 10 + "|"
    for each in POPULATIONS:
        found = measure(each, draws)
        yield (
            f"| {each.about} | {each.identities} | {found.false_accepts:,} | "
            f"{found.tars[0]:.3f}, {found.tars[1]:.3f} | "
            f"{100 * found.rejected:.1f} % | {100 * found.rejected_fixed:.1f} % | {100 * found.covered:.1f} % | "
            f"{100 * found.score_covered:.1f} % | {found.spread:.4f} | {found.error:.4f} |"
        )


if __name__ == "__main__":
    main()
