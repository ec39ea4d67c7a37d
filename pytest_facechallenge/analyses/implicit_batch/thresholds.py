"""Every number of the detector that decides something, with its unit and its reason: one frozen struct.

The struct is handed to every observer. `thresholds_of` (in `core.threshold`) goes through it, and
docs/second-looks-thresholds.md is made from it. This file is long because it is the list.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_facechallenge.analyses.implicit_batch.alignment_thresholds import Alignment
from pytest_facechallenge.core.threshold import threshold as of


@dataclass(frozen=True)
class Running:
    """Running the network, and the ways through it."""

    largest: float = of(1e15, "value", "larger values are not computed with: their squares pass what float32 holds")
    iterations: int = of(256, "iterations", "of one loop that are unrolled")
    nodes: int = of(50_000, "nodes", "that unrolling may give")
    ways: int = of(6, "ways", "through the conditions on the image that are followed")
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
    as_rough: float = of(0.9, "of the image's roughness", "at least: a blurred image has less")


@dataclass(frozen=True)
class PixelRecovery:
    """Values behind products with weights that are the image again."""

    steered: float = of(0.05, "pixels", "by which a warp that the image steers differs between two images")
    layers: int = of(12, "layers", "that may stand before such a value")
    size: float = of(0.2, "of the image's size", "that such a value has at least")
    made_size: float = of(0.5, "of that size", "from which a product before it is one that made it")
    moved: float = of(1e-3, "of the largest value", "by which an element follows a colour")
    touched: float = of(0.3, "share of the elements", "that must follow some colour")
    one_colour: float = of(0.95, "share of these", "that must follow one colour alone")
    each_colour: float = of(0.15, "share of these", "that each colour must have")
    grid: float = of(0.99, "pixels", "from which a step of whole pixels is a pooling, no recovery")
    whole: float = of(0.02, "pixels", "up to which a step is whole")


@dataclass(frozen=True)
class Movement:
    """Products and convolutions whose weights only move pixels: no layers."""

    rows: int = of(16, "rows", "of a matrix that are read before all of them are")
    smallest: int = of(8, "rows and columns", "of a matrix that may be one")
    one_hot: float = of(0.98, "share of a row", "in its largest entry: it picks")
    negative: float = of(1e-6, "of the largest weight", "below zero: no average")
    same_kernel: float = of(1e-3, "weight", "by which the averaging kernels of two channels may differ")
    same_sum: float = of(1e-2, "of the sum", "by which their sums may differ")
    narrow: int = of(12, "columns", "below which a row must pick one entry")
    wide: int = of(1024, "columns", "from which a row may be an interpolation in two directions")
    linear: int = of(4, "entries", "used by a row of an interpolation in one direction")
    bilinear: int = of(16, "entries", "used by a row of an interpolation in two directions")
    used: float = of(1e-6, "of the row", "from which an entry is used")
    live: float = of(1e-9, "sum of a row", "from which the row is not zero")
    live_share: float = of(0.25, "share of the rows", "that must not be zero")
    live_fewest: int = of(4, "rows", "that must not be zero")
    quantile: float = of(0.75, "share of the rows", "whose sums must agree")
    sum_error: float = of(0.1, "of the sum", "up to which they agree")


@dataclass(frozen=True)
class Weights:
    """Related weights, and kernels that fall into equal independent parts."""

    related: float = of(0.9, "correlation", "from which one tensor is a scaled, perturbed copy of the other")
    smallest: int = of(64, "values", "per tensor: independent ones of n values correlate up to 5 / sqrt(n)")
    sample: int = of(16_384, "values", "per tensor that are compared, about")
    blocks: tuple[int, ...] = of((2, 3, 4, 5, 6, 8), "parts", "that kernels may fall into")
    rows: int = of(16, "kernels", "of a layer that are looked at before all are")
    may_part: float = of(0.8, "share of these weights", "inside their own part, from which all are looked at")
    independent: float = of(0.95, "share of the weights", "inside their own part: the parts are independent")
    tied: float = of(0.95, "correlation", "of two hidden units' weights from which they are one unit")
    tied_share: float = of(0.8, "share of the units", "of one direction that the other has too")
    tied_smallest: int = of(8, "weights", "of a hidden unit, at least")


@dataclass(frozen=True)
class Copies:
    """Copies stacked in one tensor, and rows beyond one per image."""

    unrelated: float = of(0.5, "correlation", "of two layers' weights below which they have nothing in common")
    rescaled: float = of(0.6, "share of the data", "in a version of other brightness: it leaves everything there")
    windows: float = of(0.75, "share of the data", "below which blocks may be windows that overlap")
    window_step: float = of(0.5, "of its own width", "by which such a window is moved at least")
    whole: float = of(0.99, "share of the data", "from which everything in a tensor is there twice")
    as_large: float = of(0.7, "of the source's size", "that each of several joined things must have")


@dataclass(frozen=True)
class Sharing:
    """What layers with related weights work on."""

    equal: float = of(1e-5, "of the largest value", "up to which two inputs are one")
    parts: float = of(0.8, "share of the data", "of each input in one tensor, from which they are parts of it")
    parts_size: float = of(1.3, "of the source's size", "that all inputs have together when they are parts of it")
    sampled: int = of(200, "elements", "of an input that are asked whether the tensor has them")
    moved: float = of(1e-4, "of the largest value", "by which an element follows a half of the image")
    half_from: float = of(0.35, "share of the elements", "that half of the image moves at least, where all is seen")
    half_to: float = of(0.65, "share of the elements", "that half of the image moves at most, where all is seen")


@dataclass(frozen=True)
class Branches:
    """Branches of the network compared by what their features do."""

    least: float = of(0.08, "share of multiply-adds", "of a branch that is compared")
    branches: int = of(6, "pairs", "of branches that are compared")
    pairs: int = of(6, "pairs", "of layers compared per pair of branches")
    fan_in: int = of(20, "inputs", "behind a feature from which unrelated ones of one place do not agree by chance")
    alike: float = of(0.95, "correlation", "from which two features are one: noise on the weights stays above")
    places: int = of(16, "places", "compared per layer")
    channels: int = of(24, "channels", "compared per layer")
    margin: int = of(4, "elements", "at the border of a map that are left out, at most")
    margin_share: int = of(4, "th part", "of a map's extent that is left out at most")
    fewest: int = of(8, "features", "compared before anything is said")
    agree: float = of(0.5, "share of the features", "from which one branch is the other on a changed source")
    halves_smallest: int = of(8, "channels", "of a layer whose halves are compared")
    halves_share: float = of(0.3, "share of multiply-adds", "in layers of independent halves before they are compared")


@dataclass(frozen=True)
class Equivariance:
    """Features of the image that are features of a changed image."""

    images: int = of(8, "images", "behind a comparison")
    rows: int = of(16, "rows", "of one tensor that are told apart")
    margin: int = of(16, "pixels", "around the images that are even: what moves or grows stays inside")
    margin_share: int = of(6, "th part", "of the image's extent that is even at most")
    blurs: tuple[float, ...] = of((0.8, 2.5, 8.0), "pixels", "sizes of the structures in the images")
    contrast: float = of(0.17, "of the range", "standard deviation of the images")
    mean_varies: float = of(1e-4, "of its size", "by which a channel's mean must vary with the image")
    skew_varies: float = of(1e-3, "of its size", "by which a channel's skew must vary with the image")
    alike: float = of(0.985, "correlation", "over the images, of mean and skew, from which channels agree")
    alike_shared: float = of(0.997, "correlation", "for parts of one tensor: one set of weights made both")
    further: float = of(20.0, "times", "as far apart two parts must be without the change")
    apart: float = of(0.01, "correlation", "by which they must be apart without it: neighbours are nearly alike")
    same_maps: float = of(0.9, "correlation", "element by element from which maps turn with the image")
    same_maps_times: float = of(2.0, "times", "as far apart they are when not turned")
    share: float = of(0.6, "share of the channels", "of a layer that must agree")
    unchanged: float = of(0.5, "share of the channels", "that may agree without any change")
    glance: int = of(16, "channels", "compared first; the others only when these are promising")
    glance_share: float = of(0.3, "share of these", "that is promising")
    many: int = of(2048, "channels", "above which a sample is compared with all of them")
    sample: int = of(512, "channels", "in that sample")
    channels: int = of(4, "channels", "that a layer needs")
    layers: int = of(160, "layers", "looked at")
    large: int = of(2_000_000_000, "multiply-adds", "from which fewer layers and transforms are looked at")
    large_layers: int = of(24, "layers", "looked at in such a network")
    large_images: int = of(5, "images", "behind a comparison in such a network: its layers have hundreds of channels")
    strip: int = of(6, "th part of the width", "of the image that is changed along an edge")
    everywhere: float = of(0.1, "of the best edge's force", "with which the weakest edge must reach a part")
    silent: float = of(0.02, "of the largest kernel", "below which a kernel does not mix two channels")
    separate: float = of(0.9, "share of the pairs", "that no kernel connects")
    group_pairs: int = of(
        3, "pairs", "of channel groups that repeat each other, told apart: each doubles the ways to try"
    )
    together: int = of(2, "layers", "that must agree, one after the other: one alone is a layer with turned kernels")


@dataclass(frozen=True)
class Transforms:
    """Changes of the image that the first layers' kernels suggest."""

    alike: float = of(0.985, "correlation", "from which one kernel is another one moved")
    share: float = of(0.6, "share of the kernels", "of a layer that must be")
    kernels: int = of(512, "kernels", "of one layer that are compared with each other")
    asked: int = of(32, "kernels", "asked whether they are another one moved")
    window: int = of(9, "weights", "of a kernel's window in which it can move")
    explained: float = of(0.05, "of the kernels", "left over where one bank is another one times a matrix of colours")
    equations: int = of(8, "per unknown", "equations for that matrix")
    colourful: float = of(0.02, "entry", "by which it must differ from no mix, and from a mix known already")
    mixes: int = of(4, "mixes", "that are tried")
    equations_each: int = of(2, "per unknown", "equations for what one kernel shows of a change, at least")
    silent: float = of(1e-3, "of the largest kernel", "below which a kernel says nothing")
    matched: float = of(0.4, "share of the kernels", "that must follow from others by one change: half of two banks")
    fewest_kernels: int = of(4, "kernels", "that must follow from others by one change, at least")
    one_change: float = of(0.99, "correlation", "of what two kernels show of a change from which it is one change")


@dataclass(frozen=True)
class Clusters:
    """Two groups of channels with little between them."""

    smallest: int = of(8, "channels", "that a layer must have on either side")
    largest: int = of(4_000_000, "pairs of channels", "of a layer that is looked at: beyond are maps laid out flat")
    largest_layer: int = of(8_000_000, "weights", "of a layer that is looked at")
    rounds: int = of(30, "rounds", "of the power method: vectors whose value is half as large are gone by then")
    glance: int = of(7, "rounds", "after which most layers are settled")
    promising: float = of(0.7, "second singular value", "after these rounds from which the others are worth it")
    separate: float = of(
        0.85,
        "second singular value",
        "of a layer's weights from which its channels fall into groups: 1 where nothing connects them, 0.3 to 0.5 in "
        "layers of independent weights",
    )
    balance: float = of(0.2, "share of the channels", "that the smaller group has at least")
    coupling: float = of(0.1, "of the weights' energy", "between two groups, at most")
    layers: int = of(2, "layers", "that fall into groups, at least")
    share: float = of(0.2, "share of multiply-adds", "in layers that fall into groups")
    compared: int = of(6, "layers", "whose groups are compared with each other")
    better: float = of(0.2, "share of the channels", "by which more must agree on a changed image than on the image")


@dataclass(frozen=True)
class Reordering:
    """One layer's weights that are another's with its channels in another order and scale."""

    smallest: int = of(8, "channels", "on either side of the layers compared")
    rounds: int = of(30, "rounds", "of taking scales out")
    nearer: float = of(0.3, "of the distance to the nearest kernel of its own layer", "up to which two kernels are one")
    layers: int = of(6, "layers", "of two branches that are compared")


@dataclass(frozen=True)
class Exchange:
    """Feeding one part of the network another image's data."""

    pairs: int = of(8, "pairs", "of images between which data are exchanged")
    live: float = of(1e-6, "of the largest change", "from which an element of a layer's result follows a part")
    apart: float = of(4.0, "times", "the change that the other part makes, from which an element follows one alone")
    owned: float = of(0.25, "share of a layer's results", "that follow one part alone, from which it works for it")
    repeated: int = of(2, "images", "for which both parts are fed the same")


@dataclass(frozen=True)
class Thresholds:
    """All numbers of the detector, by what they are about."""

    running: Running = field(default_factory=Running)
    images: ProbeImages = field(default_factory=ProbeImages)
    signatures: Signatures = field(default_factory=Signatures)
    duplicates: Duplicates = field(default_factory=Duplicates)
    places: Places = field(default_factory=Places)
    views: Views = field(default_factory=Views)
    registration: Registration = field(default_factory=Registration)
    neighbourhoods: Neighbourhoods = field(default_factory=Neighbourhoods)
    recovery: PixelRecovery = field(default_factory=PixelRecovery)
    movement: Movement = field(default_factory=Movement)
    weights: Weights = field(default_factory=Weights)
    copies: Copies = field(default_factory=Copies)
    sharing: Sharing = field(default_factory=Sharing)
    branches: Branches = field(default_factory=Branches)
    equivariance: Equivariance = field(default_factory=Equivariance)
    transforms: Transforms = field(default_factory=Transforms)
    alignment: Alignment = field(default_factory=Alignment)
    clusters: Clusters = field(default_factory=Clusters)
    reordering: Reordering = field(default_factory=Reordering)
    exchange: Exchange = field(default_factory=Exchange)


#: The values in use.
DEFAULTS = Thresholds()
