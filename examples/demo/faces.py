"""Procedural faces: who somebody is (`Face`) and how one image of them came out (`Shot`).

Every number is made up here; no photograph, no measurement of people and no data set went into it. The four groups
bear the names of the challenge's groups so that reports have their usual columns, and differ only in how the colours
of skin, hair and eyes are spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Group = Literal["African", "Caucasian", "Indian", "Asian"]
GROUPS: tuple[Group, ...] = ("African", "Caucasian", "Indian", "Asian")
SPLITS = ("train", "mask", "children", "mr")
Colour = tuple[float, float, float]

# Corner colours of the three palettes, RGB 0..255; a colour is a place between 0 (first row) and 1 (last row).
_SKIN = ((70, 46, 36), (128, 86, 62), (176, 128, 94), (212, 168, 136), (240, 206, 182))
_HAIR = ((18, 15, 14), (52, 34, 24), (98, 62, 38), (140, 72, 36), (196, 160, 96), (176, 174, 172))
_IRIS = ((40, 24, 16), (86, 52, 28), (104, 92, 48), (72, 112, 82), (84, 128, 168))
# Mean and standard deviation of the place on the skin palette, and the spread on the two others, per group.
_SPREAD: dict[str, tuple[float, float, float, float]] = {
    "African": (0.18, 0.14, 0.14, 0.16),
    "Caucasian": (0.84, 0.12, 0.60, 0.60),
    "Indian": (0.50, 0.14, 0.18, 0.20),
    "Asian": (0.74, 0.12, 0.16, 0.18),
}


def stream(seed: int, *key: int) -> np.random.Generator:
    """Return the random stream of one thing, the same whatever else is drawn before it."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *key])))


def _place(palette: tuple[tuple[int, int, int], ...], where: float) -> Colour:
    """Return the colour at `where` (0..1, clipped) on a palette."""
    table = np.asarray(palette, dtype=np.float64)
    at = float(np.clip(where, 0.0, 1.0)) * (len(table) - 1)
    low = min(int(at), len(table) - 2)
    mixed = table[low] + (at - low) * (table[low + 1] - table[low])
    return (float(mixed[0]), float(mixed[1]), float(mixed[2]))


@dataclass(frozen=True, kw_only=True)
class Face:
    """What stays the same in every image of one person; lengths in pixels of the 112x112 image."""

    group: Group
    skin: Colour
    hair: Colour
    iris: Colour
    lip: Colour
    half_width: float
    jaw: float
    chin: float
    forehead: float
    squareness: float
    ear_size: float
    ear_height: float
    eye_gap: float
    eye_height: float
    eye_width: float
    eye_aspect: float
    eye_tilt: float
    iris_size: float
    crease: float
    brow_gap: float
    brow_width: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    nose_bridge: float
    nostril: float
    mouth_height: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    mouth_bow: float
    hair_style: int
    hair_volume: float
    hairline: float
    parting: float
    beard: float
    moles: tuple[tuple[float, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, *, group: Group, child: bool = False) -> Face:
        """Draw a new person.

        Parameters
        ----------
        rng
            The person's own stream; nothing else may draw from it.
        group
            The group whose colours to draw from.
        child
            Children differ less from each other: every trait keeps 75 % of its spread, and have neither
            beards nor grey hair.
        """
        tone, tone_spread, hair_spread, iris_spread = _SPREAD[group]
        spread = 0.75 if child else 1.0

        def trait(mean: float, deviation: float, limit: float = 2.2) -> float:
            return mean + spread * deviation * float(np.clip(rng.standard_normal(), -limit, limit))

        skin = _place(_SKIN, tone + tone_spread * float(rng.standard_normal()))
        red = float(rng.uniform(0.2, 1.0))
        mole_count = int(rng.choice([0, 1, 2], p=[0.6, 0.28, 0.12]))
        return cls(
            group=group,
            skin=skin,
            hair=_place(_HAIR, min(abs(float(rng.standard_normal())) * hair_spread, 0.8 if child else 1.0)),
            iris=_place(_IRIS, abs(float(rng.standard_normal())) * iris_spread),
            lip=(skin[0] * (0.86 + 0.06 * red), skin[1] * (0.74 - 0.2 * red), skin[2] * (0.78 - 0.18 * red)),
            half_width=trait(34.5, 2.4),
            jaw=trait(0.72, 0.09),
            chin=trait(48.0, 3.2),
            forehead=trait(48.0, 3.5),
            squareness=trait(0.92, 0.10),
            ear_size=trait(8.0, 1.6),
            ear_height=trait(2.0, 2.5),
            eye_gap=trait(17.5, 1.7),
            eye_height=trait(-13.0, 2.2),
            eye_width=trait(8.2, 1.0),
            eye_aspect=trait(0.44, 0.08),
            eye_tilt=trait(0.04, 0.09),
            iris_size=trait(0.92, 0.10),
            crease=trait(2.4, 1.2),
            brow_gap=trait(9.0, 1.6),
            brow_width=trait(10.5, 1.5),
            brow_thickness=max(0.7, trait(2.3, 0.9)),
            brow_arch=trait(2.2, 1.4),
            brow_tilt=trait(0.02, 0.10),
            nose_length=trait(18.0, 2.6),
            nose_width=trait(8.2, 1.6),
            nose_bridge=trait(3.2, 0.8),
            nostril=trait(1.8, 0.4),
            mouth_height=trait(25.5, 2.2),
            mouth_width=trait(13.5, 1.8),
            upper_lip=max(0.8, trait(2.7, 0.9)),
            lower_lip=max(1.0, trait(3.6, 1.0)),
            mouth_bow=trait(0.9, 0.7),
            hair_style=int(rng.choice(5, p=[0.10, 0.30, 0.22, 0.20, 0.18])),
            hair_volume=trait(5.5, 2.2),
            hairline=trait(0.62, 0.10),
            parting=trait(0.0, 0.5),
            beard=0.0 if child else max(0.0, float(rng.uniform(-0.9, 0.6))),
            moles=tuple(
                (float(rng.uniform(-26, 26)), float(rng.uniform(-30, 34)), float(rng.uniform(0.7, 1.5)))
                for _ in range(mole_count)
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What is different in every image: pose, expression, light, colour, sharpness, background, and the mask."""

    age: int
    yaw: float
    pitch: float
    roll: float
    scale: float
    shift: tuple[float, float]
    smile: float
    opening: float
    brow_raise: float
    eye_opening: float
    gaze: float
    light: tuple[float, float]
    gain: float
    gamma: float
    tint: Colour
    background: Colour
    cloth: Colour
    glasses: bool
    blur: float
    noise: float
    masked: bool
    mask_colour: Colour
    mask_top: float
    noise_key: int

    @classmethod
    def draw(cls, rng: np.random.Generator, *, age: int, masked: bool) -> Shot:
        """Draw the circumstances of one image; `age` in years."""

        def wobble(deviation: float) -> float:
            return deviation * float(np.clip(rng.standard_normal(), -2.0, 2.0))

        warmth, green = wobble(0.06), wobble(0.03)
        masks = ((150.0, 190.0, 215.0), (232.0, 232.0, 228.0), (34.0, 34.0, 38.0), (190.0, 150.0, 160.0))
        base = masks[int(rng.choice(len(masks), p=[0.45, 0.25, 0.2, 0.1]))]
        return cls(
            age=age,
            yaw=wobble(0.16),
            pitch=wobble(0.10),
            roll=wobble(0.05),
            scale=1.0 + wobble(0.035),
            shift=(wobble(1.5), wobble(1.5)),
            smile=wobble(1.0),
            opening=max(0.0, wobble(2.2)),
            brow_raise=wobble(1.0),
            eye_opening=1.0 + wobble(0.14),
            gaze=wobble(0.22),
            light=(wobble(0.22), wobble(0.14)),
            gain=1.0 + wobble(0.13),
            gamma=float(np.exp(wobble(0.14))),
            tint=(1.0 + warmth, 1.0 + green, 1.0 - warmth),
            background=_random_colour(rng),
            cloth=_random_colour(rng),
            glasses=bool(rng.random() < 0.08),
            blur=max(0.0, wobble(0.6)),
            noise=abs(wobble(3.0)),
            masked=masked,
            mask_colour=(base[0] + wobble(12.0), base[1] + wobble(12.0), base[2] + wobble(12.0)),
            mask_top=wobble(2.0),
            noise_key=int(rng.integers(2**31)),
        )


def _random_colour(rng: np.random.Generator) -> Colour:
    values: NDArray[np.float64] = rng.uniform(30, 225, size=3)
    grey = float(values.mean())
    # Halfway to grey: backgrounds are seldom saturated.
    return (float(values[0] + grey) / 2, float(values[1] + grey) / 2, float(values[2] + grey) / 2)
