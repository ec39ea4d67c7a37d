"""Images made in code, so that a submission can be run where there is no testset: seeded, hence replayable."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Height and width of every image of the challenges (MFR21 rule 2 and 8).
SIDE = 112


def natural(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Return images with the statistics of photographs of faces.

    An off-centre bright oval with darker spots where eyes and mouth would be, over noise with a 1/f amplitude spectrum
    (the spectrum of natural images), under a light from one side; all different, none symmetric.

    Parameters
    ----------
    count
        Number of images.
    seed
        Image ``i`` depends on ``seed`` and ``i`` only.

    Returns
    -------
    ndarray of uint8, shape [count, 112, 112, 3]
        RGB.
    """
    return np.stack([_one(np.random.Generator(np.random.PCG64([seed, index]))) for index in range(count)])


def _one(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1.0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij"))
    frequency[0, 0] = 1.0
    texture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) / frequency, (SIDE, SIDE))
    texture /= texture.std()
    centre = 0.5 + rng.uniform(-0.06, 0.06, 2)
    radius = rng.uniform(0.30, 0.40), rng.uniform(0.38, 0.48)
    face = 1 / (1 + np.exp(-12 * (1 - np.hypot((x - centre[0]) / radius[0], (y - centre[1]) / radius[1]))))
    spots = np.zeros_like(face)
    for dx, dy, wide, high in (
        (-0.15, -0.1, 0.06, 0.03),
        (0.15, -0.1, 0.06, 0.03),
        (0.0, 0.2, 0.11, 0.03),
        (0.02, 0.06, 0.03, 0.06),
    ):
        px, py = centre[0] + dx + rng.normal(0, 0.015), centre[1] + dy + rng.normal(0, 0.015)
        spots += rng.uniform(0.5, 1.0) * np.exp(-(((x - px) / wide) ** 2) - ((y - py) / high) ** 2)
    light = 1 + rng.uniform(-0.35, 0.35) * (x - 0.5) + rng.uniform(-0.25, 0.25) * (y - 0.5)
    skin = rng.uniform([120, 80, 60], [240, 200, 180])
    ground = rng.uniform(20, 200, 3)
    image = face[..., None] * skin + (1 - face[..., None]) * ground - 90 * (spots * face)[..., None]
    image = image * light[..., None] + 9 * texture[..., None] + rng.normal(0, 2, (SIDE, SIDE, 3))
    pixels: npt.NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return pixels


def extremes(seed: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the images on which networks overflow or collapse, by name; each uint8 [112, 112, 3] RGB."""
    rng = np.random.Generator(np.random.PCG64([seed, 1 << 20]))
    return {
        "black": np.zeros((SIDE, SIDE, 3), np.uint8),
        "white": np.full((SIDE, SIDE, 3), 255, np.uint8),
        "noise": rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
    }


def to_input(images: npt.NDArray[np.uint8], mean: float, std: float) -> npt.NDArray[np.float32]:
    """Return what a network is fed.

    Parameters
    ----------
    images
        uint8 [N, 112, 112, 3], RGB.
    mean, std
        Of the pixel normalisation ``(value - mean) / std`` that the evaluation server applies.

    Returns
    -------
    ndarray of float32, shape [N, 3, 112, 112]
    """
    scaled = (images.astype(np.float32) - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
