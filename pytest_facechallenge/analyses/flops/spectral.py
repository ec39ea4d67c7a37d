"""Fourier transforms. A transform of n points is a matrix product that is usually done faster.

Low count: the customary 5 n log2 n operations of a fast transform (n/2 log2 n butterflies of ten operations, as the
FFTW benchmarks count). High count: the product by the n x n matrix, 8 operations for each complex product and sum. How
a runtime does it is not said in the file, and both may be true (lengths with large prime factors).
"""

from __future__ import annotations

from pytest_facechallenge.analyses.flops.op_cost import MICROSOFT, CannotCountError, Site, Work, counts, extents, size
from pytest_facechallenge.onnx_graph.control_flow import constant_scalar


def transforms(number: int, length: int, text: str) -> list[Work]:
    """Return the work of ``number`` transforms of ``length`` points."""
    if length <= 1 or number == 0:
        return []
    low = 5 * length * (length - 1).bit_length() * number
    high = 8 * length * length * number
    return [Work(low // 2, 0, "none", "other", ceiling=high, text=text)]


def _known(site: Site, position: int, what: str) -> int:
    value = constant_scalar(site.shapes, site.node.inputs[position])
    if value is None:
        raise CannotCountError(f"{what} of {site.node.op} is not the same for every image, or cannot be computed")
    return int(value)


@counts("DFT")
def dft(site: Site) -> list[Work]:
    """Count DFT along its axis (an attribute up to opset 19, input 2 from 20; the last axis holds real, imaginary)."""
    x, y = site.input(0), site.output()
    axis = site.attribute("axis", 1) if site.node.opset < 20 else -2
    if site.node.opset >= 20 and site.has(2):
        axis = _known(site, 2, "the axis")
    if not -len(x) <= axis < len(x):
        raise CannotCountError(f"DFT has the axis {axis}, its input {extents(x)}")
    length = _known(site, 1, "the length") if site.has(1) else x[axis]
    others = size(x[:-1]) // max(1, x[axis])
    return transforms(others, max(length, y[axis]), f"{extents(x)} -> {extents(y)}")


@counts("STFT")
def stft(site: Site) -> list[Work]:
    """Count STFT: signal, step, window, frame length; output (batch, frames, bins, 2)."""
    y = site.output()
    if site.has(3):
        length = _known(site, 3, "the frame length")
    elif site.has(2):
        length = site.input(2)[0]
    else:
        raise CannotCountError("STFT needs a window or a frame length")
    return transforms(y[0] * y[1], length, f"{extents(site.input(0))} -> {extents(y)}")


@counts("Rfft", "Irfft", domain=MICROSOFT)
def microsoft_fft(site: Site) -> list[Work]:
    """Count the runtime's real transforms over the last ``signal_ndim`` axes: as many one-dimensional ones."""
    real = site.input(0) if site.node.op == "Rfft" else site.output()
    dimensions = site.attribute("signal_ndim", 1)
    works: list[Work] = []
    for axis in range(len(real) - dimensions, len(real)):
        works += transforms(size(real) // max(1, real[axis]), real[axis], extents(real))
    return works
