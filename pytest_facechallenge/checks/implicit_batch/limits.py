"""The numbers that decide how much an observation weighs, each with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.core.threshold import threshold as of


@dataclass(frozen=True)
class Limits:
    """All numbers of the two rules; `core.threshold.thresholds_of` goes through them."""

    body: float = of(
        0.10,
        "share of multiply-adds",
        "that runs twice from which it is the body: an attention block's shared product on a pooled vector is far "
        "less, a body run twice is half",
    )
    most: float = of(
        0.34,
        "share of multiply-adds",
        "of weights side by side on inputs that nothing explains, from which they are the body: heads shared over a "
        "feature pyramid follow a backbone that runs once",
    )
    hint: float = of(0.05, "share of multiply-adds", "that runs twice from which the rule is undecided")
    network: float = of(0.20, "share of multiply-adds", "of each of two branches from which they are two networks")
    rounding: float = of(2e-4, "of an embedding's length", "by which rounding may move it")
    influence: float = of(2e-3, "of an embedding's length", "moved from which on no rounding explains it")
    followed: float = of(0.25, "share of multiply-adds", "in layers that were followed before silence says anything")
    whole: float = of(0.985, "share of the pixels", "from which all of the image is there: padding may hide a few")
    scattered: float = of(
        0.45,
        "share of the pixels",
        "in no rectangle from which a kernel smaller than its stride may leave the rest out: every second row is 0.495 "
        "of those that are asked for",
    )
    turned: float = of(0.9, "share of the pixels", "in a turned or shifted view from which it is the whole image")
    common: float = of(0.4, "share of the pixels", "of a crop that another view has too")
    pool_scale: float = of(1.9, "pixels", "from which on a step of whole pixels is a pooling")
    pool_whole: float = of(0.02, "pixels", "up to which a step is whole")
    pool_offset: float = of(1.5, "steps", "that a pooling may begin before or behind the first pixel")
    spectrum: float = of(
        0.95, "share of the data", "below which a map that is its own image, half turned, may be a spectrum"
    )
    windows: float = of(0.75, "share of the data", "below which rearranged copies are windows that overlap")
    mixed: float = of(0.15, "share of the weights", "over both versions on the channels from which a layer mixes them")
    copied: float = of(0.45, "times the rows", "as many data from which rows are copies and not pieces")
    copied_least: float = of(1.5, "times", "as many data from which rows are copies and not pieces")
    resampled: float = of(0.2, "share of multiply-adds", "that runs twice on re-sampled features")
    pooled: float = of(0.17, "share of multiply-adds", "that runs twice on one input, pooled differently")
    sets: int = of(2, "sets of weights", "that must run side by side: one alone is a layer with two inputs")
    sets_pooled: int = of(3, "sets of weights", "the same on one input, pooled differently")
    repeated: float = of(0.3, "share of multiply-adds", "in layers of repeated kernels from which they are a network")
    repeated_layers: int = of(2, "layers", "of repeated kernels, at least")
    alike: float = of(0.5, "share of the features", "from which one branch is the other one")
    agreeing: int = of(
        2, "layers", "that give what others give for a changed image, from which it is the network that does"
    )
    learned: int = of(
        16, "channels", "of one first layer that are another one's for a changed image, from which no fixed filters are"
    )
    nearly_image: float = of(
        0.7,
        "R squared",
        "of independent pixels recovered from 3x3 features, from which placing these anew places the image anew",
    )
    early: float = of(
        0.45,
        "R squared",
        "of independent pixels recovered, from which it is not clear; behind two strides of 2 at most 0.33",
    )
    elsewhere: float = of(
        0.25,
        "share of the dots",
        "put on an image that are shown elsewhere, from which it was moved: a zoom leaves those in the middle",
    )
    alone: float = of(0.05, "share of the multiply-adds behind two parts", "that follow the one alone, and the other")
    pure: float = of(
        0.85,
        "share of a layer's results",
        "that follow one of two parts alone in the first layer behind them: neighbouring rows of one map mix at once, "
        "two images beside each other only at the seam",
    )
    stages: int = of(2, "layers", "with an activation between them that follow one part alone: one is a layer, no look")
    moved: float = of(
        0.03,
        "of the way to another image's embedding",
        "that each part, fed that image, moves the embedding: a weighted mean leaves a second view 0.06, up-sampled "
        "features that were taken for views move it 0.01",
    )
    apart: float = of(
        0.01, "1 - cosine", "of what two parts give that are fed the same, up to which they are one function"
    )
    all_alone: float = of(
        0.97,
        "share of the multiply-adds",
        "behind parts, that follow one of them alone: a network run on each by itself",
    )
    most_alone: float = of(
        0.5,
        "share of multiply-adds",
        "behind a first layer of both, that rows do by themselves to the end: windows of a last stage do 0.15",
    )
    kept: float = of(0.8, "cosine", "of embeddings (less their mean) that taking a coupling out leaves, at least")
    coupled: float = of(1e-9, "of the weights' energy", "between two groups of channels, from which they are coupled")
    nearly: float = of(0.5, "of these limits", "from which a hypothesis is neither confirmed nor refuted")


#: The values in use.
LIMITS = Limits()
