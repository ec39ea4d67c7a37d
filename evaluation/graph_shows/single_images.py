"""Chance, widths and undefined numbers that few images or batches show."""

from __future__ import annotations

import numpy as np

from evaluation.graph_shows.network import WIDTH, Net, breaks, keeps, open_to, random_values

CHANCE, DIMENSION, COSINE = "deterministic", "embedding-dim", "cosine-similarity"
#: One value more than the track allows.
TOO_WIDE = 513


@breaks(CHANCE, "chance behind a condition")
def noise_when_dark(net: Net, e: str) -> str:
    dark = net.gate(net.op("Less", net.brightness(), -0.9))
    return net.op("Add", e, net.op("Mul", net.op("RandomNormalLike", e, scale=0.3), dark))


@breaks(CHANCE, "chance behind a condition")
def seeded_noise(net: Net, e: str) -> str:
    noise = net.op("RandomUniform", shape=[1, WIDTH], seed=7.0, low=-1e-7, high=1e-7)
    return net.op("Add", e, noise)


@breaks(CHANCE, "chance behind a condition", opset=15)
def chance_in_a_branch(net: Net, e: str) -> str:
    pale = net.op("Greater", net.op("ReduceMax", net.brightness(), keepdims=0), 0.95)

    def then(inner: Net) -> str:
        half = inner.op("Mul", inner.op("Sigmoid", e), 0.5)
        return inner.op("Mul", e, inner.op("Bernoulli", half))

    return net.when(pale, then, lambda inner: inner.op("Identity", e))


@breaks(CHANCE, "chance behind a condition")
def dropout_that_the_graph_switches_on(net: Net, e: str) -> str:
    on = net.squeeze(net.op("Equal", net.count(), [11]), 0)
    return net.op("Dropout", e, 0.2, on)


@keeps(CHANCE, "chance that reaches nothing")
def noise_that_is_only_measured(net: Net, e: str) -> str:
    noise = net.op("RandomNormalLike", e)
    return net.op("Reshape", e, net.op("Shape", noise))


@keeps(CHANCE, "chance that reaches nothing")
def dropout_at_rest(net: Net, e: str) -> str:
    return net.op("Dropout", e, 0.5)


def wide(net: Net) -> str:
    return net.embedding(net.x, 2 * TOO_WIDE)


@breaks(DIMENSION, "width by the batch", dim=0)
def wider_for_five(net: Net, e: str) -> str:
    five = net.op("Cast", net.op("Equal", net.count(), [5]), to=7)
    return net.op("Slice", wide(net), [0], net.op("Add", net.op("Mul", five, [TOO_WIDE]), [256]), [1])


@breaks(DIMENSION, "width by the batch", dim=0)
def wider_branch_for_three_hundred(net: Net, e: str) -> str:
    """No batch that is run is as large: the branches of the graph show it."""
    many = net.squeeze(net.op("Equal", net.count(), [300]), 0)
    broad = wide(net)
    return net.when(many, lambda inner: inner.op("Identity", broad), lambda inner: inner.op("Identity", e))


@breaks(DIMENSION, "width by content", dim=0)
def wider_branch_when_dark(net: Net, e: str) -> str:
    dark = net.op("Less", net.op("ReduceMean", net.x, keepdims=0), -0.97)
    broad = wide(net)
    return net.when(dark, lambda inner: inner.op("Identity", broad), lambda inner: inner.op("Identity", e))


@breaks(DIMENSION, "width by content", dim=0)
def as_wide_as_the_image_is_blue(net: Net, e: str) -> str:
    blue = net.op("Greater", net.op("ReduceMax", net.brightness(2), keepdims=0), 0.55)
    more = net.op("Mul", net.op("Cast", blue, to=7), [TOO_WIDE])
    return net.op("Slice", wide(net), [0], net.op("Add", more, [256]), [1])


@open_to(DIMENSION, "width by the batch", dim=0)
def wider_for_a_thousand(net: Net, e: str) -> str:
    many = net.op("Cast", net.op("Equal", net.count(), [1000]), to=7)
    return net.op("Slice", wide(net), [0], net.op("Add", net.op("Mul", many, [TOO_WIDE]), [256]), [1])


@keeps(DIMENSION, "width by a constant")
def cut_to_a_constant_width(net: Net, e: str) -> str:
    return net.slice(wide(net), [0], [WIDTH], [1])


@breaks(COSINE, "no number for natural images")
def logarithm_of_redness(net: Net, e: str) -> str:
    red = net.op("Sub", net.brightness(0), net.brightness(1))
    return net.op("Mul", e, net.op("Exp", net.op("Mul", net.op("Log", net.op("Sub", 0.5, red)), 0.01)))


@breaks(COSINE, "no number for natural images")
def overflows_when_pale(net: Net, e: str) -> str:
    steep = net.op("Exp", net.op("Mul", net.op("Sub", net.brightness(), 0.55), 400.0))
    share = net.op("Div", steep, net.op("Add", steep, 1.0))
    return net.op("Add", e, net.op("Mul", e, share))


@breaks(COSINE, "no number for natural images")
def angle_of_saturation(net: Net, e: str) -> str:
    apart = net.op("Sub", net.brightness(0), net.brightness(2))
    return net.op("Mul", e, net.op("Add", net.op("Acos", net.op("Mul", apart, 1.4)), 1.0))


@breaks(COSINE, "no number for natural images")
def root_of_contrast(net: Net, e: str) -> str:
    spread = net.op("Sub", net.x, net.op("ReduceMean", net.x, axes=[1, 2, 3], keepdims=1))
    power = net.mean(net.mean(net.op("Mul", spread, spread), 2, 3), 1, keep=True)
    return net.op("Add", e, net.op("Sqrt", net.op("Sub", power, 0.004)))


@breaks(COSINE, "no number for natural images")
def nothing_where_the_lower_face_is_covered(net: Net, e: str) -> str:
    lower = net.cut(net.x, 70, 112, 2)
    spread = net.op("Sub", net.op("ReduceMax", lower, axes=[1, 2, 3], keepdims=0),
                    net.op("ReduceMin", lower, axes=[1, 2, 3], keepdims=0))  # fmt: skip
    covered = net.unsqueeze(net.op("Less", spread, 0.05), 1)
    return net.op("Where", covered, np.nan, e)


@open_to(COSINE, "another output that no image was found for")
def another_network_for_one_brightness(net: Net, e: str) -> str:
    """Between two limits that no search is likely to hit."""
    mean = net.brightness()
    inside = net.op("And", net.op("Greater", mean, 0.1234567), net.op("Less", mean, 0.12345671))
    never = net.op("Greater", net.op("Mul", net.gate(inside), mean), 0.5)
    return net.op("Where", never, random_values(net, "other", WIDTH), e)


@keeps(COSINE, "conditions that images meet")
def root_of_a_variance(net: Net, e: str) -> str:
    spread = net.op("Sub", e, net.mean(e, 1, keep=True))
    variance = net.mean(net.op("Mul", spread, spread), 1, keep=True)
    return net.op("Div", spread, net.op("Sqrt", net.op("Add", variance, 1e-5)))


@keeps(COSINE, "conditions that images meet")
def a_hard_gate(net: Net, e: str) -> str:
    """Two heads, one for bright and one for dark images."""
    bright = net.op("Greater", net.brightness(), 0.6)
    return net.op("Where", bright, net.linear(e, "bright", WIDTH, WIDTH), net.linear(e, "dark", WIDTH, WIDTH))
