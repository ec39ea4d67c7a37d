"""The images by whose embeddings networks are compared: coloured noise, fixed for ever.

Networks that were trained independently agree on faces, which is what they were trained for. On noise they were
trained for nothing, so each answers in its own way, and a copy answers as its original does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.inference.images import SIDE

#: Number of images: 4,560 pairs. Of 64 the likeness of independent networks spreads by a fifth more.
COUNT = 96
#: Name of these images in facts; another number, seed or formula needs another name.
NAME = "noise-96/1"
_SEED = 96_112
#: The amplitude spectrum is 1 / f ** SLOPE: a little rougher than that of photographs (1 / f), so that coarse layout,
#: which every network sees alike, decides less.
_SLOPE = 0.8
#: Standard deviation of the values 0 to 255.
_CONTRAST = 50.0


def textures() -> npt.NDArray[np.uint8]:
    """Return the images: uint8 [96, 112, 112, 3], RGB, the three colours independent, mean 128."""
    rng = np.random.Generator(np.random.PCG64(_SEED))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij"))
    frequency[0, 0] = np.inf
    noise = rng.standard_normal((COUNT, 3, SIDE, SIDE))
    shaped = np.fft.irfft2(np.fft.rfft2(noise) / frequency**_SLOPE, (SIDE, SIDE))
    shaped /= shaped.std(axis=(1, 2, 3), keepdims=True)
    pixels: npt.NDArray[np.uint8] = np.clip(128 + _CONTRAST * shaped, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
