"""Writes the testset of the demo: `python make_world.py` remakes `testset/` beside this file.

Three sets, modelled on those of the challenge, of people of whom none is in the training images:

- `mask`: of each person one masked and two non-masked images;
- `children`: people of 2 to 16 years, the images of one person up to three years apart;
- `mr`: adults of four groups of equal size.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drawing import image
from faces import GROUPS, SPLITS, Face, Group, Shot, stream
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

SEED = 20210601
COLUMNS = ("path", "identity", "set", "race", "age", "masked")
HERE = Path(__file__).resolve().parent

# Identities and images of each; chosen for the number of impostor pairs (README.md has the table).
MASK_IDENTITIES = 390
CHILDREN_IDENTITIES, CHILDREN_IMAGES = 195, 4
MR_IDENTITIES_PER_GROUP, MR_IMAGES = 63, 4
_QUALITY = 60


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image of the testset: its line of the manifest and the keys that it is drawn from."""

    path: str
    identity: str
    set_name: str
    index: int
    number: int
    group: Group
    age: int
    masked: bool

    def row(self) -> tuple[str, str, str, str, str, str]:
        return (self.path, self.identity, self.set_name, self.group, str(self.age), str(int(self.masked)))


def person(split: str, index: int, *, group: Group, child: bool = False) -> Face:
    """Return person `index` of a split; people of different splits are drawn from different streams."""
    return Face.draw(stream(SEED, SPLITS.index(split), index), group=group, child=child)


def snap(face: Face, split: str, index: int, number: int, *, age: int, masked: bool) -> NDArray[np.uint8]:
    """Return image `number` of a person: RGB, [112, 112, 3]."""
    return image(face, Shot.draw(stream(SEED, SPLITS.index(split), index, number + 1), age=age, masked=masked))


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an image as JPEG, as every image of this world is, in training too."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()


def entries() -> Iterator[Entry]:
    """Yield the testset's images in the order of the manifest."""
    for index in range(MASK_IDENTITIES):
        age = int(stream(SEED, 101, index).integers(18, 71))
        for number in range(3):
            yield _entry("mask", index, number, GROUPS[index % 4], age, masked=number == 0)
    for index in range(CHILDREN_IDENTITIES):
        rng = stream(SEED, 102, index)
        age = int(rng.integers(2, 15))
        for number in range(CHILDREN_IMAGES):
            now = min(16, age + int(rng.integers(0, 4)))
            yield _entry("children", index, number, GROUPS[index % 4], now, masked=False)
    for index in range(MR_IDENTITIES_PER_GROUP * len(GROUPS)):
        age = int(stream(SEED, 103, index).integers(18, 71))
        for number in range(MR_IMAGES):
            yield _entry("mr", index, number, GROUPS[index % 4], age, masked=False)


def _entry(set_name: str, index: int, number: int, group: Group, age: int, *, masked: bool) -> Entry:
    return Entry(
        path=f"{set_name}/{index:04d}_{number}.jpg",
        identity=f"{set_name}-{index:04d}",
        set_name=set_name,
        index=index,
        number=number,
        group=group,
        age=age,
        masked=masked,
    )


def render(entry: Entry) -> NDArray[np.uint8]:
    """Return the image of an entry before JPEG: RGB, [112, 112, 3]."""
    face = person(entry.set_name, entry.index, group=entry.group, child=entry.set_name == "children")
    return snap(face, entry.set_name, entry.index, entry.number, age=entry.age, masked=entry.masked)


def write(folder: Path) -> int:
    """Write images and `manifest.csv` into `folder`, replacing its sets; return the bytes of the images."""
    total = 0
    for set_name in SPLITS[1:]:
        shutil.rmtree(folder / set_name, ignore_errors=True)
        (folder / set_name).mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as manifest:
        table = csv.writer(manifest, lineterminator="\n")
        table.writerow(COLUMNS)
        for entry in entries():
            data = encode(render(entry))
            (folder / entry.path).write_bytes(data)
            table.writerow(entry.row())
            total += len(data)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "testset", help="folder to write (default: testset/ here)")
    out: Path = parser.parse_args().out
    total = write(out)
    print(f"{sum(1 for _ in entries())} images, {total / 2**20:.2f} MiB, in {out}")


if __name__ == "__main__":
    main()
