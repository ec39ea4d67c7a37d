"""The numbers that decide whether early features are placed anew, each with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.core.threshold import threshold as of


@dataclass(frozen=True)
class Alignment:
    """Features placed anew behind a first layer, by what the image shows or by a fixed grid."""

    images: int = of(3, "images", "whose maps are compared, each with three others that steer")
    noise: int = of(3, "noise images", "behind a recovery of pixels")
    smooth: float = of(1.0, "pixels", "by which these images are blurred: a displacement then follows the slopes")
    fork_layers: int = of(2, "layers", "that may stand before the value that both the data and the positions come from")
    layers: int = of(6, "layers", "before a map that is looked at: a Fourier transform and its inverse are four")
    side: float = of(0.24, "of the image's side", "that a map has at least: a quarter, after two layers of stride 2")
    edges: int = of(12, "ways from the image to a product", "that are tried in one network")
    maps: int = of(8, "maps", "behind one such way that are looked at")
    channels: int = of(6, "channels", "of a map in which a displacement is looked for: those that vary most")
    margin: int = of(8, "th part", "of a map's side left out at each edge: what comes from outside the image")
    waves: int = of(4, "cosines", "along each side that describe a displacement")
    small_step: float = of(0.05, "of the way", "from one image to another: a warp of 20 pixels moves by one")
    moves: float = of(1e-6, "of the map's size", "by which steering must change a map: less is rounding")
    explained: float = of(0.9, "share of the change", "that one displacement of all channels must explain")
    promising: float = of(0.5, "share of the change", "explained for the first image, below which no other is shown")
    agree: int = of(2, "images", "for which it must")
    least_pixels: float = of(1e-4, "pixels", "of displacement from which it is one")
    far: int = of(12, "pixels", "up to which a map is looked for elsewhere")
    window: int = of(3, "rows and columns", "of features from which a pixel is recovered")
    rows: int = of(4000, "places", "beside six per unknown, by which the recovery is fitted")
    held_out: int = of(2000, "places", "on which it is measured")
    beyond: float = of(10.0, "of the way", "past another image, where steps of less than rounding become seen")
    dots: int = of(5, "dots", "along each side of the image, one at a time, that are looked for in a map")
    dots_from: float = of(0.2, "of the image's side", "where the first dot is, and as far from the other edge the last")
    changed: float = of(1e-9, "of the map's size", "by which a dot must change a map to be found")
    worst: float = of(0.2, "share of the dots", "left out of a grid: those at an edge, or where a feature is silent")
    dot: float = of(0.25, "of the range", "by which a dot changes the image")
    peak: float = of(0.3, "of the largest change", "from which a place belongs to a dot")
    elsewhere: float = of(1.2, "places", "from its own, at which a dot on an image shows that it was moved")
    own_place: float = of(0.6, "share of the change", "within a place of its middle: the map shows one place, not many")
    off_grid: float = of(0.75, "places", "off the grid, the median, up to which dots lie on one")
    aspect: float = of(2.0, "times", "as long as the image's one side of a map may be: others are windows of tokens")
    roughly: float = of(2.0, "times", "as far off the grid dots may be found that a layer's grid shows through filters")
    found_share: float = of(0.7, "share of the dots", "that must be found")
    scale: float = of(0.03, "factor", "away from a whole stride up to which a grid is that of a layer")
    coarse: float = of(0.1, "factor", "away from a stride of 2 or more: a dot is found to half a place of the map")
    offset: float = of(2.0, "pixels", "beside a stride, up to which a grid is that of a layer: kernels reach so far")
    larger: float = of(1.2, "of the image's side", "from which a map is asked whether it is an enlarged image")
    enlarged: float = of(0.8, "pixels", "from place to place, below which a map is larger than the image")
    nearly_image: float = of(
        0.7,
        "R squared",
        "of independent pixels recovered from 3x3 features, from which these are the image in another form; measured: "
        "invertible 1x1 0.94 to 1.00, a full-resolution 3x3 0.79 to 0.99, a wavelet 1.00, a stem of stride 2 0.37 to "
        "0.89, two layers of stride 2 at most 0.33",
    )
    lossless: float = of(0.98, "R squared", "of pixels recovered, from which a grid of whole steps loses none")
    grids: int = of(4, "maps", "that are asked for their grid")
    positions_differ: float = of(1e-6, "of their size", "by which positions must differ between two images")
