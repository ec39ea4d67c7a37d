"""The numbers about running the network and about what its values show of the image, with unit and reason."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.core.threshold import threshold as of


@dataclass(frozen=True)
class Running:
    """Running the network, and the ways through it."""

    largest: float = of(1e15, "value", "larger values are not computed with: their squares pass what float32 holds")
    iterations: int = of(256, "iterations", "of one loop that are unrolled")
    nodes: int = of(50_000, "nodes", "that unrolling may give")
    ways: int = of(6, "ways", "through the conditions on the image that are followed")
    ways_decided: int = of(12, "ways", "through decisions on the image without an If that are followed")
    ways_batch: int = of(8, "images", "in the largest batch that a way through the conditions is run with")
    large: int = of(2_000_000_000, "multiply-adds", "from which on 32 images at once need too much memory")
    small: int = of(100_000_000, "multiply-adds", "up to which a batch beyond the organisers' 32 is cheap")
    large_batch: int = of(8, "images", "in the largest batch of a large network")
    usual_batch: int = of(32, "images", "in the largest batch otherwise: the organisers'")
    small_batch: int = of(130, "images", "in the largest batch of a small network")
    natural: int = of(6, "images", "with the spectrum of photographs that are shown")
    same_size: float = of(0.5, "share of the noise images", "that must give one size, where the image decides sizes")
    idle: float = of(0.1, "share of multiply-adds", "from which a part that never got to work is worth a word")
    joined: float = of(1.3, "times", "a result must exceed each thing given before it can hold two versions of them")
    named: int = of(6, "names", "in an observation at most")


@dataclass(frozen=True)
class ProbeImages:
    """The images that the network is run on."""

    dark: float = of(0.3, "of the range", "brightness of the darker even image")
    light: float = of(0.7, "of the range", "brightness of the lighter even image")
    span: float = of(0.4, "of the range", "from the dark to the light level, and of ramps")
    pale_span: float = of(0.2, "of the range", "of the paler ramps: a filter takes them where it takes the others")
    middle: float = of(0.5, "of the range", "about which ramps lie, and of the even colour of the coded image")
    structures: tuple[tuple[int, float], ...] = of(
        ((6, 1.0), (16, 0.5), (45, 0.25)),
        "th part of the height, share",
        "of the structures in natural images: about the spectrum of photographs",
    )
    own_colour: float = of(0.4, "of a structure", "that each colour of a natural image has for its own")
    contrast: tuple[float, float] = of((0.08, 0.16), "of the range", "from the palest to the strongest natural image")
    brightness: tuple[float, float] = of((0.3, 0.7), "of the range", "from the darkest to the lightest natural image")
    grain: float = of(0.02, "of the range", "noise in natural images")
    field_range: tuple[float, float] = of((0.2, 0.8), "of the range", "values of smooth fields, the same in all")
    field_blur: int = of(16, "th part of the height", "size of the structures in smooth fields")
    few: int = of(16, "values", "of a constant that normalises pixels, at most")
    nodes: int = of(64, "nodes", "from the image on in which the normalisation is looked for")
    offset: float = of(30.0, "grey values", "subtracted (or divided by) from which on pixels are 0..255")
    factor: float = of(1 / 30, "times", "multiplied by up to which pixels are 0..255")


@dataclass(frozen=True)
class Signatures:
    """When two elements are the same datum: they take the same values over noise images, up to gain and offset."""

    probes: int = of(16, "images", "behind a signature; unrelated ones agree as `same` with a chance below 1e-12")
    same: float = of(0.992, "correlation", "of one datum; leaves room for a curve (gamma) on the pixel values")
    distinct: int = of(6, "values", "an element must take: those that a ReLU mostly keeps at zero are all alike")
    varies: float = of(1e-5, "of its size", "by which an element must vary with the image")
    apart: float = of(1e-6, "of its size", "by which two values are different")


@dataclass(frozen=True)
class Duplicates:
    """Data that stand in one tensor twice, or in two tensors."""

    queries: int = of(256, "elements", "that are asked where else their datum stands")
    elements: int = of(240_000, "elements", "of one tensor that are compared; of a larger one some channels are taken")
    coverage: float = of(0.4, "share of the data", "in both of two versions: a crop keeps it, halo and padding do not")
    places: int = of(96, "places", "of one datum that are looked at; more are padding or a broadcast")
    spread: float = of(0.25, "share of the places", "from which a datum that stands there too often is no version")
    blocks: int = of(16, "blocks", "along an axis that are tried")
    fewest: int = of(32, "elements", "that must follow the image before anything is said")
    even: float = of(1e-5, "of the largest value", "up to which positions hold one value")
    better: float = of(0.02, "coverage", "by which more blocks must be better than fewer")
    pairs: int = of(12, "pairs", "of blocks that are compared")
    equal: float = of(1e-4, "of the value", "up to which two values are the very same")
    fewest_common: int = of(8, "elements", "in common before their places are compared")
    mostly_equal: float = of(0.5, "share of the elements", "that must hold the very same values")


@dataclass(frozen=True)
class Places:
    """How the places of one version follow from those of another (`relate`)."""

    unmoved: float = of(0.9, "share of the pairs", "with the same index along an axis that did not move")
    constant: float = of(0.8, "share of the pairs", "with one sum of the indices: a mirror")
    step: float = of(0.85, "share of the pairs", "moved by one step: a shift")
    wrapped: float = of(0.9, "share of the pairs", "moved by one of two steps: a shift around the edge")
    around: float = of(0.8, "of the extent", "by which these two steps differ at least")
    straight: float = of(0.85, "share of the pairs", "on one line: a zoom")
    off_line: float = of(1.0, "elements", "off the line that count as on it")
    least_slope: float = of(0.2, "factor", "of a zoom: smaller ones are no image any more")
    zoom: float = of(0.05, "factor", "away from 1 from which on it is a zoom")
    zoom_extent: int = of(8, "elements", "along the axis over which a zoom is measured")
    swapped: float = of(0.95, "correlation", "of rows with columns: rotated or transposed")


@dataclass(frozen=True)
class Views:
    """What a value shows of the image."""

    pixels: int = of(2000, "pixels", "looked for in a layer's input")
    asked: int = of(300, "elements", "that are asked which pixel they hold")
    fewest: int = of(16, "elements", "that must follow the image before anything is said")
    recognised: float = of(0.9, "share of the elements", "that must be pixels")
    room: float = of(1.5, "times", "the distance of the worst known pixel within which the others are looked for")
    more_room: float = of(0.004, "distance", "added to it, for rounding")
    whole: float = of(0.985, "share of the pixels", "from which all of the image is there: padding may hide a few")
    filled: float = of(0.9, "share of a rectangle", "present from which it is a crop")
    held_asked: int = of(400, "elements", "asked whether they hold their pixel on other images too")
    held_fewest: int = of(20, "elements", "of one colour from which they are asked")
    held: float = of(0.93, "correlation", "of elements and their pixels on an image that they still hold")
    same_image: float = of(0.95, "correlation", "of a tensor and the image, place by place, from which it is the image")
    mosaics: int = of(3, "images", "made of two noise images each, mixed pixel by pixel")
    close: float = of(1e-3, "of the largest value", "up to which a mosaic shows what the pixel's own image shows")
    told: float = of(1e-2, "of the largest value", "by which two images differ at a place that tells them apart")
    told_share: float = of(0.2, "share of the places", "that must tell the images apart")
    close_share: float = of(0.98, "share of these places", "that must show their own pixel alone")
    channels: int = of(16, "channels", "asked whether one of them is kept pixel by pixel")
    follows: float = of(0.05, "of the largest gain", "from which an element follows the brightness of the image")
    follows_share: float = of(0.05, "share of the elements", "that must follow it")
    before: float = of(2.0, "pixels", "before the first row or column that still count as inside")
    after: float = of(1.0, "pixels", "behind the last one that still count as inside")
    like: float = of(0.35, "of its variation", "error up to which an element is the image at its place")
    like_share: float = of(0.1, "share of the elements", "that must be, in front of the first layer")
    like_behind: float = of(0.1, "of its variation", "the same behind layers, whose features must not be taken for one")
    like_share_behind: float = of(0.6, "share of the elements", "the same behind layers")
    holding: float = of(0.1, "share of a channel", "that is image, from which the channel counts")
    holding_most: float = of(0.8, "share of these channels", "that is image, from which the grid is measured")
    grid_scale: float = of(0.004, "factor", "away from 1 up to which every pixel is in its place")
    grid_offset: float = of(0.3, "pixels", "moved up to which every pixel is in its place")
    asked_again: int = of(8, "noise images", "on which dots are put where some images seem to be turned or moved")
    stays: float = of(
        1.0, "pixels", "of the middle of some neighbours from a place below which they show what is there"
    )
    stays_within: float = of(2.6, "pixels", "from that place, to the furthest of them: a window of 5x5")
    stays_share: float = of(0.99, "share of the places", "that have to lie so near")
    gap: float = of(0.1, "pixels", "between two lines of a grid")
    lines: int = of(4, "times the extent", "lines that a grid may have")
    stray: float = of(0.2, "of the usual number", "of elements on a line below which it is a stray")
    uneven: float = of(0.06, "of the step", "by which a step of a grid may differ")
    uneven_more: float = of(0.02, "pixels", "added to it")
    uneven_share: float = of(0.1, "share of the lines", "that may differ more")
    thick: float = of(0.2, "pixels", "that one line of the grid is thick at most")
    crowded: float = of(0.5, "of the usual number", "by which the elements on a line may differ")
    crowded_most: int = of(4, "times the usual number", "of elements on a line at most")
    least_gain: float = of(1e-9, "gain", "below which nothing of the image is left")
    third: float = of(0.02, "of the range", "by which the even colour of the coded image may be off")
    third_share: float = of(0.3, "share of the places", "where it must be even")
    decoded_margin: float = of(1.0, "pixels", "before the first row or column that still count as inside")
    smooth: float = of(1.0, "pixels", "of curvature up to which decoded places are a warp")
    in_place: float = of(0.98, "R squared", "of noise by the colours at the same place: every pixel is in its place")
    an_image: float = of(0.5, "R squared", "of smooth images by the colours at the same place: it is an image")
    kept: float = of(0.2, "share of the elements", "that show one pixel each in an image of another layout")
    chosen_from: float = of(0.05, "share of the images", "held as they are, from which on a condition may choose")
    chosen_to: float = of(0.98, "share of the images", "held as they are, up to which a condition may choose")
    padding: float = of(1.0, "pixels", "about the margin by which a shift is explained by padding")


@dataclass(frozen=True)
class Registration:
    """Finding an image that sets its own brightness, by smooth fields."""

    held: float = of(0.995, "correlation", "with the values at one place from which an element holds that place")
    most: float = of(0.8, "share of the elements", "that must hold places")
    elements: int = of(2000, "elements", "looked at, about: a grid over the tensor")
    rounds: int = of(6, "rounds", "of finding places and undoing what was done to the brightness of each image")
    scale: float = of(0.01, "factor", "away from 1 up to which it is the grid itself")
    offset: float = of(0.3, "pixels", "moved up to which it is the grid itself")
    near: float = of(1.0, "pixels", "off the line up to which a place is used for it")
    near_times: float = of(3.0, "times the usual distance", "off the line up to which a place is used for it")
    straight: float = of(0.75, "pixels", "off the line, the median, up to which places are straight")
    least_step: float = of(0.05, "pixels", "between neighbours, at least")
    least_gain: float = of(1e-12, "gain", "below which an image's gain is taken for 1")


@dataclass(frozen=True)
class Neighbourhoods:
    """Pixels changed by their neighbourhood, told apart from a condition on the image."""

    images: int = of(3, "images", "for which it is asked")
    steps: int = of(12, "steps", "from one image to another")
    halvings: int = of(12, "times", "that the largest step is halved")
    jump: float = of(0.25, "share of the step", "that a jump still has then")
    reach: int = of(12, "pixels", "that a neighbourhood reaches over an edge")
    far: float = of(0.02, "share of a change's energy", "that may lie where nothing of the image was changed")
    nothing: float = of(
        1e-9, "share of a change's energy", "that rounding may leave there: a filter reaches no further"
    )
    as_rough: float = of(0.9, "of the image's roughness", "at least: a blurred image has less")
