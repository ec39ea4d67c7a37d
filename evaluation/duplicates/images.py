"""Which images tell copies from independent work best: noise, as fingerprints use, or faces, as a testset has.

``python -m evaluation.duplicates.images --folder DIR`` prints, for each kind of images, how alike independent networks
and copies are. It uses (and trains, where they are missing) the networks of ``python -m evaluation.duplicates``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evaluation.duplicates.subjects import Subject, made, subjects
from evaluation.duplicates.training import PEOPLE, Faces, draw
from evaluation.product import likenesses_on, noise_images, photograph_like_images

COUNT = 96
#: Copies that are told by what they do alone, by the words in their names.
TUNED = ("a little", "half the people", "much")


def kinds(folder: Path) -> Iterator[tuple[str, npt.NDArray[np.uint8]]]:
    """Yield every kind of images with uint8 [96, 3, 112, 112]."""
    Faces(folder)
    shown = np.load(folder / "images.npy")
    yield "noise, as fingerprints use it", noise_images()
    yield "images with the statistics of photographs", photograph_like_images(COUNT)
    yield "faces of 96 people that no network was trained on", draw(PEOPLE + COUNT, 1)[PEOPLE:]
    yield "faces of 10 people that no network was trained on", draw(PEOPLE + 10, 10)[10 * PEOPLE :][:COUNT]
    yield "faces of 96 people that all were trained on", shown[:: len(shown) // COUNT][:COUNT]


def compared() -> list[Subject]:
    """Return the networks of the table: those that are trained, but for the ones that take four times as long."""
    return [each for each in subjects() if "untrained" not in each.name and not each.name.endswith("long")]


def embedded(network: nn.Module, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return embeddings: float64 [N, D]."""
    with torch.no_grad():
        pixels = torch.from_numpy(images).float().sub(127.5).div(127.5)
        rows: npt.NDArray[np.float64] = network(pixels).double().numpy()
    return rows


def figures(networks: dict[str, nn.Module], images: npt.NDArray[np.uint8]) -> dict[str, list[float]]:
    """Return the likenesses of pairs by what the two are to each other."""
    listed = compared()
    rows = {each.name: embedded(networks[each.name], images) for each in listed}
    alike = likenesses_on(list(rows.values()))
    found: dict[str, list[float]] = {"independent": [], **{kind: [] for kind in TUNED}, "distilled": []}
    for one, other in combinations(range(len(listed)), 2):
        kind = _kind(listed[one], listed[other])
        if kind:
            found[kind].append(float(alike[one, other]))
    for name in ("separable-0", "residual-0"):
        for share in (2, 4):
            part = rows[name][:, : rows[name].shape[1] // share]
            found.setdefault(f"1/{share} of the embedding", []).append(float(likenesses_on([rows[name], part])[0, 1]))
    return found


def _kind(one: Subject, other: Subject) -> str:
    """Return what two networks are to each other; "" for two that were made from a third."""
    if not one.origin and not other.origin:
        return "independent"
    copy, origin = (one, other) if one.origin == other.name else (other, one)
    if copy.origin != origin.name:
        return "" if (one.origin and other.origin) or _family(one) == _family(other) else "independent"
    return "distilled" if "distilled" in copy.name else next(kind for kind in TUNED if copy.name.endswith(kind))


def _family(each: Subject) -> str:
    return each.origin or each.name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="keeps images and trained networks")
    folder = parser.parse_args().folder
    networks = made(folder, lambda line: print(line, file=sys.stderr, flush=True), compared())
    first = True
    for about, images in kinds(folder):
        found = figures(networks, images)
        copies = [kind for kind in found if kind not in ("independent", "distilled")]
        if first:
            heads = [
                "images",
                "independent: median",
                "largest",
                *copies,
                "distilled: least",
                "largest",
                "least copy less largest independent",
            ]
            print(f"| {' | '.join(heads)} |")
            print(f"|{' --- |' * len(heads)}")
            first = False
        least = min(min(found[kind]) for kind in copies)
        largest = max(found["independent"])
        cells = [float(np.median(found["independent"])), largest, *(min(found[kind]) for kind in copies)]
        cells += [min(found["distilled"]), max(found["distilled"]), least - largest]
        print(f"| {about} | {' | '.join(f'{each:.2f}' for each in cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
