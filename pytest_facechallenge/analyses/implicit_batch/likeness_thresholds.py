"""The numbers about parts of a network that do alike: weights, features, channels, with unit and reason."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.core.threshold import threshold as of


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
    unseen: float = of(1e-3, "of what the strip seen most does", "up to which a strip of the image is not seen")
    shared_strips: int = of(2, "strips", "of those across the image that two parts of it share at most")
    placed: int = of(4, "images", "by which features are compared place by place")
    fewest_places: int = of(16, "places", "of a value per channel that can be compared so")
    elements: int = of(1_000_000, "elements", "of a value that is compared so, at most")
    values: int = of(24, "pairs of values", "behind two layers that are compared place by place at most")
    together: int = of(2, "layers", "that must agree, one after the other: one alone is a layer with turned kernels")


@dataclass(frozen=True)
class Plain:
    """Chains of convolutions in which two versions of the image have nowhere to stay apart."""

    kernel: int = of(
        11, "places", "of a kernel's reach at most, unless its result is one place: it sees a neighbourhood"
    )
    passed_by: float = of(
        0.12,
        "share of multiply-adds",
        "that a way past a block leaves out at most: an iResNet-50's first block is 0.09",
    )
    pairs: int = of(400, "pairs", "of layers that stand beside each other, in a chain at most")


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
    cells: tuple[int, ...] = of((8, 7, 4, 2), "rows and columns", "of the cells in which an image may be averaged")
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
    widest: int = of(8192, "channels", "of an activation whose maps are worked out: beyond are maps laid out flat")
    largest_layer: int = of(8_000_000, "weights", "of a layer that is looked at")
    silent: float = of(8, "times the weights' norm", "below zero, from which a bias may keep a channel silent")
    groups: int = of(2, "groups", "that the file itself gives a layer which counts beside layers that fall into two")
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
    waves: int = of(2, "plane waves", "for which the linear map between two activations is worked out")
    maps: int = of(4, "maps", "from one activation on that are looked at: queries, keys, values, and one more")
    beside: int = of(2048, "channels", "of activations beside each other whose maps are worked out together, at most")
    successive: int = of(5, "activations", "of one stream whose maps are worked out together, at most")
    tried: int = of(48, "activations", "of one shape that are tried whether they follow each other in a stream")
    fewest_successive: int = of(3, "activations", "of one stream that write what others read: two of one network")
    starts: int = of(
        6, "activations", "from which maps are worked out first; all others only where one of these leaves groups apart"
    )


@dataclass(frozen=True)
class Reordering:
    """One layer's weights that are another's with its channels in another order and scale."""

    smallest: int = of(8, "channels", "on either side of the layers compared")
    rounds: int = of(30, "rounds", "of taking scales out")
    nearer: float = of(
        0.5,
        "of the distance to the nearest kernel of its own layer",
        "up to which two kernels are one: 0.33 to 0.53 with 2 % of noise and a coupling of 5 %, about 1 between "
        "independent ones",
    )
    layers: int = of(6, "layers", "of two branches that are compared")


@dataclass(frozen=True)
class Exchange:
    """Feeding one part of the network another image's data."""

    pairs: int = of(8, "pairs", "of images between which data are exchanged")
    live: float = of(1e-6, "of the largest change", "from which an element of a layer's result follows a part")
    apart: float = of(4.0, "times", "the change that the other part makes, from which an element follows one alone")
    owned: float = of(0.25, "share of a layer's results", "that follow one part alone, from which it works for it")
    repeated: int = of(2, "images", "for which both parts are fed the same")
