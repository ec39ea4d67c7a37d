"""Draws one image of a procedural face: polygons on a canvas of twice the size, then light, colour, blur and noise.

The face is a set of outlines in face coordinates (pixels of the 112x112 image, origin between nose and eyes, x to the
right, y down). Each outline is put on a half ellipsoid, turned by yaw, pitch and roll, and drawn flat.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from faces import Colour, Face, Shot, stream
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]

SIZE = 112
_OVER = 2  # the canvas is this many times larger, for smooth edges
_CENTRE = (56.0, 64.0)
_DARK: Colour = (22.0, 16.0, 16.0)


def _youth(age: int) -> float:
    """Return 1 at 2 years and 0 from 18 years on."""
    return float(np.clip((18 - age) / 16, 0.0, 1.0))


def _shade(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


class _Canvas:
    """An image under way and the pose under which outlines are put on it."""

    def __init__(self, shot: Shot) -> None:
        self.shot = shot
        background = tuple(int(np.clip(c, 0, 255)) for c in shot.background)
        self.image = Image.new("RGB", (SIZE * _OVER, SIZE * _OVER), background)
        self._pen = ImageDraw.Draw(self.image, "RGBA")

    def _project(self, points: Points, lift: float) -> list[tuple[float, float]]:
        """Turn face coordinates into canvas coordinates; `lift` is height above the ellipsoid in pixels."""
        shot = self.shot
        x, y = points[:, 0], points[:, 1]
        depth = 34.0 * np.sqrt(np.maximum(0.0, 1.0 - (x / 48.0) ** 2 - (y / 64.0) ** 2)) - 26.0 + lift
        turned = x * math.cos(shot.yaw) + depth * math.sin(shot.yaw)
        nodded = y * math.cos(shot.pitch) + depth * math.sin(shot.pitch)
        cos, sin = math.cos(shot.roll), math.sin(shot.roll)
        across = shot.scale * (cos * turned - sin * nodded) + shot.shift[0] + _CENTRE[0]
        down = shot.scale * (sin * turned + cos * nodded) + shot.shift[1] + _CENTRE[1]
        return [(float(a) * _OVER, float(b) * _OVER) for a, b in zip(across, down, strict=True)]

    def fill(self, points: Points, colour: Colour, *, alpha: float = 1.0, lift: float = 0.0) -> None:
        self._pen.polygon(self._project(points, lift), fill=_rgba(colour, alpha))

    def line(
        self, points: Points, colour: Colour, *, width: float = 1.0, alpha: float = 1.0, lift: float = 0.0
    ) -> None:
        self._pen.line(
            self._project(points, lift), fill=_rgba(colour, alpha), width=max(1, round(width * _OVER)), joint="curve"
        )


def _rgba(colour: Colour, alpha: float) -> tuple[int, int, int, int]:
    red, green, blue = (int(np.clip(c, 0, 255)) for c in colour)
    return (red, green, blue, int(255 * alpha))


def _ellipse(x: float, y: float, a: float, b: float, count: int = 24) -> Points:
    angle = np.linspace(0.0, 2 * math.pi, count, endpoint=False)
    return np.stack([x + a * np.cos(angle), y + b * np.sin(angle)], axis=1)


def _path(*points: tuple[float, float]) -> Points:
    return np.asarray(points, dtype=np.float64)


def _outline(face: Face, youth: float, grow: float = 0.0) -> Points:
    """Return the outline of the head; children have shorter chins, wider jaws and higher foreheads."""
    angle = np.linspace(0.0, 2 * math.pi, 72, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    power = 0.5 + 0.5 * face.squareness
    across = np.sign(cos) * np.abs(cos) ** power * (face.half_width + 1.5 * youth + grow)
    chin = face.chin - 5.0 * youth
    down = np.where(sin > 0, sin * (chin + grow), sin * (face.forehead + 2.0 * youth + grow))
    jaw = face.jaw + 0.08 * youth
    across = across * np.where(sin > 0, 1.0 - (1.0 - jaw) * np.maximum(sin, 0.0) ** 1.5, 1.0)
    return np.stack([across, down], axis=1)


def _draw_back(canvas: _Canvas, face: Face, youth: float) -> None:
    """Draw what lies behind the face: long hair, neck, clothes, ears, and the hair around the skull."""
    neck = face.half_width * face.jaw * 0.78
    if face.hair_style == 4:
        wide = face.half_width + face.hair_volume
        hair = _path((-wide, -10), (-wide - 3, 58), (wide + 3, 58), (wide, -10))
        canvas.fill(hair, _shade(face.hair, 0.85))
    canvas.fill(_path((-neck, 10), (neck, 10), (neck + 1, 60), (-neck - 1, 60)), _shade(face.skin, 0.78))
    canvas.fill(_path((-60, 64), (-neck - 4, 50), (0, 56), (neck + 4, 50), (60, 64)), canvas.shot.cloth)
    for side in (-1.0, 1.0):
        where = side * (face.half_width + 1.0)
        canvas.fill(_ellipse(where, -6 + face.ear_height, face.ear_size * 0.5, face.ear_size), _shade(face.skin, 0.88))
    if face.hair_style > 0:
        skull = _outline(face, youth, grow=max(1.0, face.hair_volume))
        canvas.fill(skull[skull[:, 1] < 4.0], face.hair)


def _draw_hairline(canvas: _Canvas, face: Face, youth: float) -> None:
    """Draw the hair in front of the forehead; style 0 is bald, 1 short, 2 parted, 3 fringe, 4 long."""
    if face.hair_style == 0:
        return
    top = _outline(face, youth, grow=max(1.0, face.hair_volume) * 0.8)
    top = top[top[:, 1] < -12.0]
    top = top[np.argsort(top[:, 0])]
    edge_y = -face.forehead * face.hairline - 3.0
    inner = np.linspace(face.half_width - 2.5, -face.half_width + 2.5, 25)
    relative = inner / face.half_width
    if face.hair_style == 3:
        edge = edge_y + 7.0 + 2.0 * np.sin(relative * 9.0 + face.parting)
    elif face.hair_style == 2:
        edge = edge_y + 16.0 * np.abs(relative - 0.6 * face.parting) - 6.0
    else:
        edge = edge_y + 14.0 * relative**2 - 3.0
    bottom = np.stack([inner, np.minimum(edge, -8.0)], axis=1)
    canvas.fill(np.concatenate([top, bottom]), face.hair, lift=1.0)
    for step in range(-2, 3):
        strand = _path((step * 8.0, -face.forehead + 2), (step * 9.0 + 3 * face.parting, edge_y - 7))
        canvas.line(strand, _shade(face.hair, 1.25), width=0.8, alpha=0.5, lift=1.0)


def _draw_eyes(canvas: _Canvas, face: Face, youth: float) -> None:
    shot = canvas.shot
    width = face.eye_width * (1.0 + 0.12 * youth)
    height = width * max(0.18, face.eye_aspect * (1.0 + 0.15 * youth)) * shot.eye_opening
    middle_y = face.eye_height + 4.0 * youth
    along = np.linspace(-1.0, 1.0, 13)
    for side in (-1.0, 1.0):
        tilt = -face.eye_tilt * side
        centre = side * face.eye_gap
        x = centre + along * width
        upper = middle_y + tilt * along * width - height * (1.0 - along**2)
        lower = middle_y + tilt * along * width + 0.7 * height * (1.0 - along**2)
        lid, under = np.stack([x, upper], axis=1), np.stack([x, lower], axis=1)
        canvas.fill(_ellipse(centre, middle_y, width * 1.35, height * 1.9), _shade(face.skin, 0.72), alpha=0.35)
        eye = np.concatenate([lid, under[::-1]])
        canvas.fill(eye, (236.0, 234.0, 230.0))
        radius = face.iris_size * min(height, width * 0.55)
        pupil_x = centre + shot.gaze * width * 0.6
        canvas.fill(_ellipse(pupil_x, middle_y - 0.1 * height, radius, radius), face.iris)
        canvas.fill(_ellipse(pupil_x, middle_y - 0.1 * height, radius * 0.45, radius * 0.45), _DARK)
        canvas.fill(_ellipse(pupil_x + 0.8, middle_y - 0.35 * height, 0.6, 0.6, 8), (250.0, 250.0, 250.0))
        canvas.line(lid, _DARK, width=1.1, alpha=0.85)
        canvas.line(under, _shade(face.skin, 0.55), width=0.6, alpha=0.7)
        if face.crease > 1.0:
            canvas.line(lid - np.array([0.0, face.crease]), _shade(face.skin, 0.62), width=0.7, alpha=0.8)
        _draw_brow(canvas, face, side, middle_y)


def _draw_brow(canvas: _Canvas, face: Face, side: float, eye_y: float) -> None:
    along = np.linspace(-1.0, 1.0, 9)
    x = side * face.eye_gap + along * face.brow_width
    outward = side * along
    y = eye_y - face.brow_gap - canvas.shot.brow_raise - face.brow_arch * (1.0 - along**2)
    y = y - face.brow_tilt * outward * face.brow_width
    half = face.brow_thickness * (1.0 - 0.55 * np.maximum(outward, 0.0)) / 1.6
    brow = np.concatenate([np.stack([x, y - half], axis=1), np.stack([x, y + half], axis=1)[::-1]])
    canvas.fill(brow, _shade(face.hair, 0.8), alpha=0.9)


def _draw_nose(canvas: _Canvas, face: Face, youth: float) -> None:
    tip = face.eye_height + 3.0 + face.nose_length - 3.0 * youth
    wide, bridge = face.nose_width * (1.0 - 0.12 * youth), face.nose_bridge
    dark = _shade(face.skin, 0.74)
    top = face.eye_height + 1.0
    canvas.fill(_path((-bridge, top), (bridge, top), (wide * 0.8, tip), (-wide * 0.8, tip)), dark, alpha=0.35, lift=3)
    canvas.fill(_path((-1.2, top), (1.2, top), (2.4, tip - 2), (-2.4, tip - 2)), _shade(face.skin, 1.12), lift=5)
    canvas.fill(_ellipse(0, tip, wide * 0.62, 3.8), _shade(face.skin, 1.03), lift=8)
    for side in (-1.0, 1.0):
        canvas.fill(_ellipse(side * wide * 0.72, tip + 0.6, wide * 0.34, 2.8), _shade(face.skin, 0.93), lift=5)
        canvas.fill(_ellipse(side * wide * 0.45, tip + 2.6, face.nostril, 1.1), _shade(face.skin, 0.4), lift=6)
    canvas.line(_path((-wide, tip + 1), (-wide * 0.4, tip + 3.8), (0, tip + 3.2)), dark, width=0.8, lift=5)
    canvas.line(_path((wide, tip + 1), (wide * 0.4, tip + 3.8), (0, tip + 3.2)), dark, width=0.8, lift=5)


def _draw_mouth(canvas: _Canvas, face: Face, youth: float) -> None:
    shot = canvas.shot
    middle = face.mouth_height - 3.0 * youth
    width = face.mouth_width * (1.0 - 0.1 * youth) * (1.0 + 0.05 * shot.smile)
    along = np.linspace(-1.0, 1.0, 17)
    x = along * width
    corner = -1.4 * shot.smile * along**2
    arch = 1.0 - along**2
    bow = face.mouth_bow * np.exp(-((along / 0.22) ** 2))
    seam = middle + corner + 0.4 * arch
    top = np.stack([x, seam - face.upper_lip * arch**0.7 + bow], axis=1)
    upper_seam = np.stack([x, seam - 0.3 * shot.opening * arch], axis=1)
    lower_seam = np.stack([x, seam + 0.7 * shot.opening * arch], axis=1)
    bottom = np.stack([x, seam + 0.7 * shot.opening * arch + face.lower_lip * arch**0.8], axis=1)
    canvas.fill(np.concatenate([upper_seam, lower_seam[::-1]]), (60.0, 24.0, 26.0), lift=2)
    if shot.opening > 1.0:
        canvas.fill(
            np.concatenate([upper_seam[3:-3], (lower_seam[3:-3] + upper_seam[3:-3])[::-1] / 2]), (235, 232, 224)
        )
    canvas.fill(np.concatenate([top, upper_seam[::-1]]), _shade(face.lip, 0.92), lift=2)
    canvas.fill(np.concatenate([lower_seam, bottom[::-1]]), face.lip, lift=2)
    canvas.line(lower_seam, _shade(face.lip, 0.5), width=0.8, alpha=0.8, lift=2)
    canvas.line(_path((-4, middle + 8.5), (0, middle + 9.3), (4, middle + 8.5)), _shade(face.skin, 0.75), alpha=0.6)


def _draw_beard(canvas: _Canvas, face: Face, youth: float) -> None:
    """Draw the shadow of a beard: the outline below the cheeks, leaving out the middle under the nose."""
    if face.beard > 0.0:
        lower = _below(_outline(face, youth, grow=-0.5), 4.0)
        upper = _path((-face.half_width * 0.62, 20), (-8, 19), (8, 19), (face.half_width * 0.62, 20))
        canvas.fill(np.concatenate([lower, upper]), face.hair, alpha=face.beard * 0.7)


def _below(outline: Points, y: float) -> Points:
    """Return the part of an outline below `y`, running from right to left."""
    lower = outline[outline[:, 1] > y]
    return lower[np.argsort(np.arctan2(lower[:, 1], lower[:, 0]))]


def _draw_marks(canvas: _Canvas, face: Face) -> None:
    """Draw the wrinkles of age, and moles."""
    strength = float(np.clip((canvas.shot.age - 30) / 60, 0.0, 0.6))
    if strength > 0.0:
        for side in (-1.0, 1.0):
            fold = _path((side * 10, 12), (side * 15, 18), (side * 17, 26))
            canvas.line(fold, _shade(face.skin, 0.6), width=0.8, alpha=strength)
        canvas.line(_path((-14, -36), (0, -37), (14, -36)), _shade(face.skin, 0.6), width=0.8, alpha=strength)
    for x, y, radius in face.moles:
        canvas.fill(_ellipse(x, y, radius, radius, 10), _shade(face.skin, 0.35), alpha=0.9)


def _draw_glasses(canvas: _Canvas, face: Face) -> None:
    y = face.eye_height + 1.0
    for side in (-1.0, 1.0):
        rim = _ellipse(side * face.eye_gap, y, 11.5, 8.5)
        canvas.line(np.concatenate([rim, rim[:1]]), (40.0, 38.0, 40.0), width=1.3, lift=4)
        canvas.line(_path((side * 29, y - 1), (side * 38, y - 3)), (40.0, 38.0, 40.0), width=1.2)
    canvas.line(_path((-6, y - 1), (0, y - 2), (6, y - 1)), (40.0, 38.0, 40.0), width=1.2, lift=5)


def _draw_mask(canvas: _Canvas, face: Face, youth: float) -> None:
    """Draw a mask from the bridge of the nose to below the chin, with pleats and two ear loops."""
    shot = canvas.shot
    top = face.eye_height + 13.0 + shot.mask_top
    lower = _below(_outline(face, youth, grow=1.5), top + 5.0)
    side_x = face.half_width * 0.55
    rim = _path((-side_x, top + 1.5), (-5, top - 2.5), (5, top - 2.5), (side_x, top + 1.5))
    canvas.fill(np.concatenate([lower, rim]), shot.mask_colour, lift=4)
    for level in range(4):
        y = top + 9.0 + 7.5 * level
        wide = face.half_width * (0.82 - 0.09 * level)
        pleat = _path((-wide, y - 1), (-wide * 0.4, y + 1.5), (wide * 0.4, y + 1.5), (wide, y - 1))
        canvas.line(pleat, _shade(shot.mask_colour, 0.84), width=0.8, lift=4)
    canvas.line(rim, _shade(shot.mask_colour, 0.7), width=1.0, lift=4)
    for side in (-1.0, 1.0):
        loop = _path((side * face.half_width * 0.9, top + 6), (side * (face.half_width + 2), -4 + face.ear_height))
        canvas.line(loop, _shade(shot.mask_colour, 1.05), width=0.9)


def _finish(image: Image.Image, shot: Shot) -> NDArray[np.uint8]:
    """Apply light, gain, gamma, tint, blur and noise to the drawing and bring it to 112x112."""
    small = image.reduce(_OVER)
    if shot.blur > 0.15:
        small = small.filter(ImageFilter.GaussianBlur(shot.blur))
    pixels = np.asarray(small, dtype=np.float32) / np.float32(255.0)
    axis = (np.arange(SIZE, dtype=np.float32) - 56.0) / 45.0
    across, down = np.clip(axis, -1.0, 1.0)[None, :], np.clip(axis, -1.0, 1.0)[:, None]
    round_off = np.float32(0.10) * np.clip(across**2 + 0.6 * down**2, 0.0, 1.5)
    light = shot.gain * (1.0 + shot.light[0] * across + shot.light[1] * down - round_off)
    pixels = pixels * light[:, :, None] * np.asarray(shot.tint, dtype=np.float32)
    pixels = np.clip(pixels, 0.0, 1.0) ** np.float32(shot.gamma) * np.float32(255.0)
    noise = stream(shot.noise_key).standard_normal(pixels.shape, dtype=np.float32)
    finished: NDArray[np.uint8] = np.clip(np.rint(pixels + np.float32(shot.noise) * noise), 0, 255).astype(np.uint8)
    return finished


def image(face: Face, shot: Shot) -> NDArray[np.uint8]:
    """Draw one image.

    Returns
    -------
    NDArray[np.uint8]
        RGB, shape [112, 112, 3].
    """
    youth = _youth(shot.age)
    canvas = _Canvas(shot)
    _draw_back(canvas, face, youth)
    canvas.fill(_outline(face, youth), face.skin)
    for side in (-1.0, 1.0):
        canvas.fill(_ellipse(side * 20.0, 12.0, 8.0, 6.0), (214.0, 92.0, 84.0), alpha=0.10)
    _draw_beard(canvas, face, youth)
    _draw_eyes(canvas, face, youth)
    _draw_nose(canvas, face, youth)
    _draw_mouth(canvas, face, youth)
    _draw_marks(canvas, face)
    _draw_hairline(canvas, face, youth)
    if shot.masked:
        _draw_mask(canvas, face, youth)
    if shot.glasses:
        _draw_glasses(canvas, face)
    return _finish(canvas.image, shot)
