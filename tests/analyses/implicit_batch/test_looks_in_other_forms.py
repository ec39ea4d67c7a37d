"""Second looks in another form than the first one, and honest networks most like them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evaluation.case import ALIGN_RULE, BATCH_RULE
from pytest_facechallenge.analyses.implicit_batch import grouped_recurrences
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import traced
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import CoupledGroups
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import answer
from tests.analyses.implicit_batch.test_networks_packed_in_one import WIDTH, mirrored, packed

Array = npt.NDArray[Any]


def two_layouts(net: Net, turn: Callable[[Array], Array]) -> str:
    """A branch of convolutions beside one of products, weights on their left, equal but for the first kernels."""
    kernel = net.weights(WIDTH, 3, 3, 3)
    points = [net.weights(WIDTH, WIDTH) for _ in range(3)]
    one = net.op("Relu", net.conv(net.x, kernel, stride=2))
    two = net.op("Reshape", net.op("Relu", net.conv(net.x, turn(kernel), stride=2)), net.ints(0, WIDTH, -1))
    for w in points:
        one = net.op("Relu", net.conv(one, w[..., None, None]))
        two = net.op("Relu", net.op("MatMul", w, two))
    mean = net.op("ReduceMean", two, axes=[2], keepdims=0)
    return net.fc(net.op("Add", net.pool(one), mean), net.weights(WIDTH, 16))


def half_turned_in_another_layout(net: Net) -> str:
    return two_layouts(net, lambda w: w[..., ::-1, ::-1])


def other_kernels_in_another_layout(net: Net) -> str:
    return two_layouts(net, lambda w: net.weights(*w.shape))


def rounded(net: Net) -> str:
    """The image in blocks, by a cosine-like transform, rounded and put back, as a compression leaves it."""
    basis = np.linalg.qr(net.random.standard_normal((192, 192)))[0].reshape(192, 3, 8, 8).astype(np.float32)
    coarse = net.op("Round", net.op("Mul", net.conv(net.x, basis, stride=8, pads=[0] * 4), net.const(0.7)))
    again = net.op("ConvTranspose", coarse, net.const(basis), strides=[8, 8])
    return str(net.op("Mul", again, net.const(1 / 0.7)))


def body_of(net: Net, x: str, kernels: list[str]) -> str:
    for w in kernels:
        x = net.op("Relu", net.conv(x, w, stride=2))
    return net.pool(x)


def seen_again_rounded(net: Net) -> str:
    kernels = [net.const(w) for w in net.body_weights((3, 16, 24, 32))]
    both = net.op("Add", body_of(net, net.x, kernels), body_of(net, rounded(net), kernels))
    return net.fc(both, net.weights(32, 16))


def seen_rounded_alone(net: Net) -> str:
    return net.fc(
        body_of(net, rounded(net), [net.const(w) for w in net.body_weights((3, 16, 24, 32))]), net.weights(32, 16)
    )


def seen_again_as_the_first_look_says(net: Net) -> str:
    """The first look decides how bright the image is at the second; weights are written once for each look."""
    kernels = net.body_weights((3, 16, 24, 32))
    first = body_of(net, net.x, [net.const(w) for w in kernels])
    gain = net.op("Sigmoid", net.op("Slice", first, net.ints(0), net.ints(1), net.ints(1)))
    again = net.op("Mul", net.x, net.op("Unsqueeze", gain, net.ints(2, 3)))
    second = body_of(net, again, [net.const(w.copy()) for w in kernels])
    return net.fc(net.op("Add", first, second), net.weights(32, 16))


def one_look_after_its_brightness(net: Net) -> str:
    """Another small network sets the brightness of the image that the body sees."""
    small = net.fc(body_of(net, net.x, [net.const(w) for w in net.body_weights((3, 8, 8))]), net.weights(8, 1))
    lit = net.op("Mul", net.x, net.op("Unsqueeze", net.op("Sigmoid", small), net.ints(2, 3)))
    return net.fc(body_of(net, lit, [net.const(w) for w in net.body_weights((3, 16, 24, 32))]), net.weights(32, 16))


@pytest.mark.parametrize(
    "build", [half_turned_in_another_layout, seen_again_rounded, seen_again_as_the_first_look_says]
)
def test_the_same_network_again_is_a_second_look_in_whatever_form(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
    assert "confirmed: with the second part fed another image" in outcome.message


@pytest.mark.parametrize("build", [other_kernels_in_another_layout, seen_rounded_alone, one_look_after_its_brightness])
def test_two_networks_or_one_look_are_not_accused(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message


def half_that_waits(net: Net) -> str:
    """A mirrored half one layer late: no layer holds a kernel and the same one mirrored."""
    own = list(net.body_weights((3, WIDTH, WIDTH, WIDTH, WIDTH)))
    idle = np.zeros((WIDTH, WIDTH, 3, 3), np.float32)
    idle[range(WIDTH), range(WIDTH), 1, 1] = 1
    other = mirrored(own)
    return packed(net, [[*own, idle], [other[0], idle, *other[1:]]])


def test_a_half_that_waits_a_layer_is_not_passed(tmp_path: Path) -> None:
    outcome = answer(half_that_waits, tmp_path)[BATCH_RULE]
    assert outcome.status in (Status.FAILED, Status.UNDECIDED), outcome.message
    assert "zeroing the weights between the groups" in outcome.message


def enlarged_kernel_in_one_sequence(net: Net) -> str:
    """Patches of 4, and of 8 by the same kernel enlarged: tokens of the image at half its size, in one sequence."""
    kernel = net.weights(WIDTH, 3, 4, 4)
    large = kernel.repeat(2, 2).repeat(2, 3) / 4
    return sequence(net, kernel, large.astype(np.float32))


def two_kernels_in_one_sequence(net: Net) -> str:
    return sequence(net, net.weights(WIDTH, 3, 4, 4), net.weights(WIDTH, 3, 8, 8))


def sequence(net: Net, small: Array, large: Array) -> str:
    tokens = []
    for w, side in ((small, 4), (large, 8)):
        rows = net.op("Reshape", net.conv(net.x, w, stride=side, pads=[0] * 4), net.ints(0, WIDTH, -1))
        tokens.append(net.op("Transpose", rows, perm=[0, 2, 1]))
    t = net.op("Concat", *tokens, axis=1)
    for _ in range(2):
        q, k, v = (net.fc(t, net.weights(WIDTH, WIDTH)) for _ in range(3))
        near = net.op("Softmax", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), axis=2)
        t = net.op("Add", t, net.op("MatMul", near, v))
        t = net.op("Add", t, net.fc(net.op("Relu", net.fc(t, net.weights(WIDTH, 24))), net.weights(24, WIDTH)))
    return net.fc(net.op("ReduceMean", t, axes=[1], keepdims=0), net.weights(WIDTH, 16))


@pytest.mark.parametrize(
    ("build", "status"),
    [(enlarged_kernel_in_one_sequence, Status.UNDECIDED), (two_kernels_in_one_sequence, Status.PASSED)],
)
def test_patches_of_two_sizes_are_two_looks_where_one_kernel_is_the_other_enlarged(
    build: Callable[[Net], str], status: Status, tmp_path: Path
) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is status, outcome.message
    if status is Status.UNDECIDED:
        assert "at half its size" in outcome.message


def rows_read_by(net: Net, states: Array) -> str:
    """One GRU over the rows of a feature map, with these weights between its units: [3, units, units]."""
    hidden = states.shape[1]
    x = net.op("Relu", net.conv(net.x, net.weights(8, 3, 4, 4), stride=4, pads=[0] * 4))
    rows = net.op("Reshape", net.op("Transpose", x, perm=[2, 0, 1, 3]), net.ints(0, 0, 64))
    outs = net.op(
        "GRU", rows, net.const(net.weights(1, 3 * hidden, 64) / 8), net.const(states.reshape(1, 3 * hidden, hidden)),
        outputs=2, hidden_size=hidden,
    )  # fmt: skip
    return net.fc(net.op("Squeeze", outs[1], net.ints(0)), net.weights(hidden, 16))


def observed(states: Array) -> list[CoupledGroups]:
    net = Net()
    made = net.model(rows_read_by(net, states.astype(np.float32)))
    (model,) = traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS)
    assert isinstance(model, TracedModel)
    return grouped_recurrences.observe(model, DEFAULTS)


@pytest.mark.parametrize("same", [True, False])
def test_two_recurrences_in_one_are_told_by_whose_states_units_read(same: bool) -> None:
    random = np.random.default_rng(4)
    one, other = random.standard_normal((2, 3, 16, 16)) / 4
    states = 0.01 * random.standard_normal((3, 32, 32))
    states[:, :16, :16], states[:, 16:, 16:] = one, one if same else other
    order = random.permutation(32)
    (found,) = observed(states[:, order][:, :, order])
    assert (found.count, found.layers) == (1, ("GRU_4",))
    assert 0 < found.coupling < 0.01
    assert (found.reordered >= 0.9) is same


def test_units_that_all_read_each_other_are_one_recurrence() -> None:
    assert observed(np.random.default_rng(5).standard_normal((3, 32, 32)) / 6) == []


def filtered_by_likeness(net: Net) -> str:
    """A bilateral filter in front: each of nine neighbours weighs as much as it is like the middle."""
    padded = net.op("Pad", net.x, net.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="edge")
    near = [
        net.op(
            "Unsqueeze", net.op("Slice", padded, net.ints(i, j), net.ints(i + 32, j + 32), net.ints(2, 3)), net.ints(2)
        )
        for i in range(3)
        for j in range(3)
    ]
    stack = net.op("Concat", *near, axis=2)
    apart = net.op("Sub", stack, net.op("Unsqueeze", net.x, net.ints(2)))
    squares = net.op("ReduceSum", net.op("Mul", apart, apart), net.ints(1), keepdims=1)
    share = net.op("Softmax", net.op("Mul", squares, net.const(-4.0)), axis=2)
    smooth = net.op("ReduceSum", net.op("Mul", stack, share), net.ints(2), keepdims=0)
    return net.fc(net.pool(net.body(smooth, net.body_weights())), net.weights(16, 16))


def plane_of_light_taken_off(net: Net) -> str:
    """The best plane through the brightness of each image is taken off: what is left depends on all of the image."""
    at = np.linspace(-1, 1, 32)
    plane = np.stack([np.ones((32, 32)), *np.meshgrid(at, at, indexing="ij")]).reshape(3, -1)
    fit = (plane.T @ np.linalg.inv(plane @ plane.T) @ plane).astype(np.float32)
    grey = net.op("Reshape", net.op("ReduceMean", net.x, axes=[1]), net.ints(0, 1, -1))
    light = net.op("Reshape", net.fc(grey, fit), net.ints(0, 1, 32, 32))
    even = net.op("Clip", net.op("Sub", net.x, light), net.const(-0.8), net.const(0.8))
    return net.fc(net.pool(net.body(even, net.body_weights())), net.weights(16, 16))


def less_its_blurred_form(net: Net) -> str:
    """Logarithms less those of the image blurred by two passes, edges repeated (a retinex)."""
    bell = np.exp(-(np.arange(-4, 5) ** 2) / 8)
    bell /= bell.sum()
    light = net.op("Add", net.op("Abs", net.x), net.const(0.1))
    wide = net.op("Pad", light, net.ints(0, 0, 0, 4, 0, 0, 0, 4), mode="edge")
    across = net.const(np.tile(bell.reshape(1, 1, 1, 9), (3, 1, 1, 1)))
    down = net.const(np.tile(bell.reshape(1, 1, 9, 1), (3, 1, 1, 1)))
    half = net.op("Conv", wide, across, group=3)
    tall = net.op("Pad", half, net.ints(0, 0, 4, 0, 0, 0, 4, 0), mode="edge")
    blurred = net.op("Conv", tall, down, group=3)
    even = net.op("Sub", net.op("Log", light), net.op("Log", blurred))
    return net.fc(net.pool(net.body(even, net.body_weights())), net.weights(16, 16))


def cropped(net: Net, image: str) -> str:
    """The middle of an image, without four rows and columns on each side, through a body."""
    middle = net.op("Slice", image, net.ints(4, 4), net.ints(28, 28), net.ints(2, 3))
    return net.fc(net.pool(net.body(middle, net.body_weights())), net.weights(16, 16))


def curved(net: Net, image: str) -> str:
    return str(net.op("Mul", net.op("Tanh", net.op("Mul", image, net.const(1.5))), net.const(1.2)))


def curve_and_crop(net: Net) -> str:
    return cropped(net, curved(net, net.x))


def contrast_and_crop(net: Net) -> str:
    return cropped(net, curved(net, net.op("Sub", net.x, net.op("ReduceMean", net.x, axes=[2, 3]))))


def blur_and_crop(net: Net) -> str:
    bell = np.tile(np.outer([0.2, 0.6, 0.2], [0.2, 0.6, 0.2])[None, None], (3, 1, 1, 1)).astype(np.float32)
    return cropped(net, curved(net, net.conv(net.x, bell, group=3)))


@pytest.mark.parametrize("build", [curve_and_crop, contrast_and_crop, blur_and_crop])
def test_a_crop_is_one_whatever_is_done_to_the_light(build: Callable[[Net], str], tmp_path: Path) -> None:
    """What is left of the image stands where it stood, which is no proof that all of it is there."""
    outcome = answer(build, tmp_path)[ALIGN_RULE]
    assert outcome.status is Status.FAILED, outcome.message


@pytest.mark.parametrize("build", [filtered_by_likeness, plane_of_light_taken_off, less_its_blurred_form])
def test_what_evens_light_and_filters_by_the_image_re_aligns_nothing(
    build: Callable[[Net], str], tmp_path: Path
) -> None:
    outcomes = answer(build, tmp_path)
    assert outcomes[ALIGN_RULE].status is Status.PASSED, outcomes[ALIGN_RULE].message
    assert outcomes[BATCH_RULE].status is Status.PASSED, outcomes[BATCH_RULE].message


def two_sets(net: Net, *, as_tokens: bool) -> str:
    """Patches by one kernel and by it upside down, beside each other as tokens or as channels, mixed at once."""
    kernel = net.weights(WIDTH, 3, 4, 4)
    sets = []
    for w in (kernel, kernel[:, :, ::-1]):
        patches = net.conv(net.x, np.ascontiguousarray(w), stride=4, pads=[0] * 4)
        flat = net.op("Reshape", patches, net.ints(0, WIDTH, 64))
        sets.append(net.op("Transpose", net.op("Relu", flat), perm=[0, 2, 1]))
    tokens = net.op("Concat", *sets, axis=1 if as_tokens else 2)
    count, width = (128, WIDTH) if as_tokens else (64, 2 * WIDTH)
    for _ in range(2):
        over_places = net.op("MatMul", net.const(net.weights(count, count)), tokens) if as_tokens else tokens
        tokens = net.op("Relu", net.fc(over_places, net.weights(width, width)))
    return net.fc(net.op("ReduceMean", tokens, axes=[1], keepdims=0), net.weights(width, 16))


def test_two_sets_of_tokens_that_are_mixed_at_once_are_not_passed(tmp_path: Path) -> None:
    outcome = answer(lambda net: two_sets(net, as_tokens=True), tmp_path)[BATCH_RULE]
    assert outcome.status is Status.UNDECIDED, outcome.message
    assert "the two stand side by side as tokens, or are multiplied" in outcome.message
    beside = answer(lambda net: two_sets(net, as_tokens=False), tmp_path)[BATCH_RULE]
    assert beside.status is Status.PASSED, beside.message


def gated(net: Net) -> str:
    """Patches by one kernel, brought to each place by how alike they are to those of the kernel mirrored."""
    kernel = net.weights(WIDTH, 3, 4, 4)
    sets = []
    for w in (kernel, kernel[..., ::-1]):
        patches = net.conv(net.x, np.ascontiguousarray(w), stride=4, pads=[0] * 4)
        flat = net.op("Reshape", patches, net.ints(0, WIDTH, 64))
        sets.append(net.op("Transpose", net.op("Relu", flat), perm=[0, 2, 1]))
    alike = net.op("MatMul", sets[0], net.op("Transpose", sets[1], perm=[0, 2, 1]))
    brought = net.op("MatMul", net.op("Softmax", net.op("Mul", alike, net.const(0.2)), axis=2), sets[1])
    tokens = net.op("Relu", net.fc(net.op("Add", sets[0], brought), net.weights(WIDTH, 32)))
    return net.fc(net.op("ReduceMean", tokens, axes=[1], keepdims=0), net.weights(32, 16))


def test_two_sets_of_tokens_that_meet_in_a_product_are_not_passed(tmp_path: Path) -> None:
    outcome = answer(gated, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.UNDECIDED, outcome.message
    assert "or are multiplied with each other" in outcome.message
