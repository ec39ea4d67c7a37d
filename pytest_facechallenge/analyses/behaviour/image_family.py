"""A family of natural images: faces under other light, with other colours, partly covered. Each has a name in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.inference.images import SIDE

if TYPE_CHECKING:
    import numpy.typing as npt

#: Parts of the image that can be covered by one colour: rows and columns, in words.
PARTS: dict[str, tuple[slice, slice]] = {
    "": (slice(0), slice(0)),
    "lower half": (slice(SIDE // 2, SIDE), slice(None)),
    "lower part": (slice(66, SIDE), slice(None)),
    "upper half": (slice(0, SIDE // 2), slice(None)),
    "left half": (slice(None), slice(0, SIDE // 2)),
    "right half": (slice(None), slice(SIDE // 2, SIDE)),
    "middle": (slice(28, 84), slice(28, 84)),
    "rim": (slice(0), slice(0)),
}
#: How a search changes an image, in a step: share of the gain, of the range of pixels, of the contrast.
STEP = 0.35


@dataclass(frozen=True)
class Look:
    """How an ordinary image is changed.

    Attributes
    ----------
    face
        The number of the ordinary image.
    gains
        Of red, green and blue.
    light, contrast
        Added to every pixel, in units of 255; how far pixels lie from their mean, 1 as they are.
    colour
        How far the colours lie from grey, 1 as they are.
    covered, cover
        A key of `PARTS`; the brightness of what covers it, 0 to 1.
    blur
        Pixels on each side that are averaged.
    mirrored
        Left and right exchanged.
    """

    face: int = 0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    light: float = 0.0
    contrast: float = 1.0
    colour: float = 1.0
    covered: str = ""
    cover: float = 0.5
    blur: int = 0
    mirrored: bool = False

    def words(self) -> str:
        """Return what the image is, for a finding."""
        said = [f"ordinary image {self.face}"]
        if self.gains != (1.0, 1.0, 1.0):
            said.append("red x{:.2f}, green x{:.2f}, blue x{:.2f}".format(*self.gains))
        for name, value, usual in (("light", self.light, 0.0), ("contrast", self.contrast, 1.0),
                                   ("colour", self.colour, 1.0)):  # fmt: skip
            if value != usual:
                said.append(f"{name} {value:+.2f}" if name == "light" else f"{name} x{value:.2f}")
        if self.covered:
            said.append(f"{self.covered} covered with {255 * self.cover:.0f}")
        if self.blur:
            said.append(f"blurred by {self.blur}")
        if self.mirrored:
            said.append("mirrored")
        return ", ".join(said)

    def of(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the image, uint8 [112, 112, 3], made of one of ``faces``, uint8 [N, 112, 112, 3]."""
        image = faces[self.face % len(faces)].astype(np.float64)
        if self.blur:
            image = _blurred(image, self.blur)
        image = image.mean(2, keepdims=True) + self.colour * (image - image.mean(2, keepdims=True))
        image = image.mean() + self.contrast * (image - image.mean())
        image = image * np.asarray(self.gains) + 255 * self.light
        if self.covered == "rim":
            framed = np.full_like(image, 255 * self.cover)
            framed[20:92, 20:92] = image[20:92, 20:92]
            image = framed
        elif self.covered:
            image[PARTS[self.covered]] = 255 * self.cover
        pixels: npt.NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
        return pixels[:, ::-1] if self.mirrored else pixels


def _blurred(image: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    for axis in (0, 1):
        image = np.mean([np.roll(image, by, axis) for by in range(-reach, reach + 1)], axis=0)
    return image


#: The extremes of natural images: colours, light, contrast, covered parts.
EXTREMES: tuple[Look, ...] = (
    Look(gains=(0.35, 0.7, 1.5)),
    Look(gains=(0.7, 0.85, 1.2)),
    Look(gains=(1.5, 0.6, 0.4)),
    Look(gains=(0.5, 1.4, 0.5)),
    Look(gains=(1.3, 1.2, 0.3)),
    Look(gains=(1.0, 0.0, 0.0)),
    Look(gains=(0.0, 1.0, 0.0)),
    Look(gains=(0.0, 0.0, 1.0)),
    Look(colour=0.0),
    Look(colour=2.5),
    Look(light=-0.45),
    Look(light=0.45),
    Look(contrast=0.15),
    Look(contrast=3.0),
    Look(contrast=9.0, colour=0.0),
    Look(contrast=0.0),
    Look(covered="lower half", cover=0.85),
    Look(covered="lower part", cover=0.45),
    Look(covered="lower part", cover=0.0),
    Look(covered="upper half", cover=0.1),
    Look(covered="left half", cover=0.0),
    Look(covered="rim", cover=0.0),
    Look(covered="middle", cover=1.0),
    Look(blur=5),
    Look(light=-0.3, gains=(0.6, 0.8, 1.1)),
)


def drawn(rng: np.random.Generator, count: int) -> list[Look]:
    """Return looks from all over the family."""
    looks = []
    for _ in range(count):
        gains = np.exp(rng.normal(0, 0.45, 3))
        covered = str(rng.choice(list(PARTS))) if rng.random() < 0.4 else ""
        looks.append(
            Look(
                face=int(rng.integers(4)),
                gains=(float(gains[0]), float(gains[1]), float(gains[2])),
                light=float(rng.normal(0, 0.2)),
                contrast=float(np.exp(rng.normal(0, 0.6))),
                colour=float(np.exp(rng.normal(0, 0.6))),
                covered=covered,
                cover=float(rng.random()),
                blur=int(rng.integers(6)) if rng.random() < 0.25 else 0,
                mirrored=bool(rng.random() < 0.3),
            )
        )
    return looks


def near(look: Look, rng: np.random.Generator) -> Look:
    """Return a look that differs a little, in one or several ways."""
    gains = np.clip(np.asarray(look.gains) * np.exp(rng.normal(0, STEP, 3)), 0, 6)
    changed = replace(look, gains=(float(gains[0]), float(gains[1]), float(gains[2])))
    if rng.random() < 0.5:
        changed = replace(changed, light=float(np.clip(look.light + rng.normal(0, STEP / 2), -1, 1)))
    if rng.random() < 0.5:
        changed = replace(changed, contrast=float(look.contrast * np.exp(rng.normal(0, STEP))))
    if rng.random() < 0.3:
        changed = replace(changed, covered=str(rng.choice(list(PARTS))), cover=float(rng.random()))
    return changed
