"""Re-alignment behind a first layer, by whatever operators; and what looks a little like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

from evaluation.case import ALIGN_RULE
from evaluation.cases import get
from evaluation.product import RULES, judge_case, problem
from pytest_facechallenge.analyses.implicit_batch import early_grids, sample_positions, steered_places
from pytest_facechallenge.analyses.implicit_batch.dots import grid_of
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import follow, traced
from pytest_facechallenge.analyses.implicit_batch.runner import RunError
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.checks.implicit_batch import no_realignment
from pytest_facechallenge.checks.implicit_batch.alignment import weigh_steered
from pytest_facechallenge.checks.implicit_batch.signs import Weight
from pytest_facechallenge.core.facts.alignment import EarlyGrid, Steered, SteeredPlaces
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.implicit_batch import ImplicitBatchFacts, InputView, Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net

SIZE = 64
EARLY = DEFAULTS.alignment.nearly_image


def trace(net: Net, features: str, channels: int) -> TracedModel:
    y = net.body(features, net.body_weights((channels, 8, 16, 16)))
    made = net.model(net.fc(net.pool(y), net.weights(16, 8)))
    found = next(traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS))
    assert isinstance(found, TracedModel)
    return found


def mixed(net: Net) -> str:
    return str(net.op("LeakyRelu", net.conv(net.x, net.random.standard_normal((6, 3, 1, 1)).astype(np.float32))))


def step(net: Net, size: float) -> str:
    """A number for each image: [N, 1]."""
    mean = net.op("Flatten", net.op("AveragePool", net.x, kernel_shape=[16, 16], strides=[16, 16]))
    return str(net.op("Mul", net.op("Tanh", net.fc(mean, net.weights(48, 1))), net.const(size)))


def hat(net: Net, y: str, by: str) -> str:
    line = np.arange(SIZE, dtype=np.float32)
    at = net.op("Unsqueeze", net.op("Add", by, net.const(line[None])), net.ints(2))
    distance = net.op("Abs", net.op("Sub", at, net.const(line[None, None])))
    matrix = net.op("Relu", net.op("Sub", net.const(1.0), distance))
    return str(net.op("MatMul", net.op("Unsqueeze", matrix, net.ints(1)), y))


def grid_sample(net: Net, y: str, by: str) -> str:
    lines = np.linspace(-1, 1, SIZE, dtype=np.float32)
    base = np.stack(np.meshgrid(lines, lines), -1)[None]
    moved = net.op("Add", net.op("Unsqueeze", by, net.ints(2, 3)), net.const(base))
    return str(net.op("GridSample", y, moved, padding_mode="border"))


def mirror(net: Net, y: str, by: str) -> str:
    chosen = net.op("Unsqueeze", net.op("Greater", by, net.const(0.0)), net.ints(2, 3))
    return str(net.op("Where", chosen, net.mirror(y), y))


def gate(net: Net, y: str, by: str) -> str:
    return str(net.op("Mul", y, net.op("Sigmoid", net.op("Unsqueeze", by, net.ints(2, 3)))))


def self_gate(net: Net, y: str, _by: str) -> str:
    return str(net.op("Mul", y, net.op("Sigmoid", net.conv(y, net.weights(6, 6, 3, 3)))))


def attention(net: Net, y: str, by: str) -> str:
    other = net.op("Transpose", net.op("Add", y, net.op("Unsqueeze", by, net.ints(2, 3))), perm=[0, 1, 3, 2])
    return str(net.op("MatMul", net.op("Softmax", net.op("MatMul", y, other), axis=3), y))


@pytest.mark.parametrize("size", [4.0, 1e-2])
def test_rows_moved_by_a_predicted_number_are_found_by_feeding_another_image(size: float) -> None:
    net = Net(size=SIZE)
    (found,) = steered_places.observe(trace(net, hat(net, mixed(net), step(net, size)), 6), DEFAULTS)
    assert isinstance(found, SteeredPlaces)
    assert found.how in (Steered.DISPLACED, Steered.STEPPED)
    assert abs(found.pixels[0]) > abs(found.pixels[1])
    assert found.recovered > EARLY
    assert found.explained > DEFAULTS.alignment.explained
    assert "MatMul" in found.node


def blurred(net: Net) -> str:
    """The image behind a mean over 7 x 7 pixels, which leaves little of independent pixels."""
    return str(net.op("AveragePool", net.x, kernel_shape=[7, 7], pads=[3] * 4))


def blurred_by_kernels(net: Net) -> str:
    """The same by a layer's kernels, which mix the colours too."""
    colours = net.random.uniform(0.2, 1, (3, 3, 1, 1))
    kernel: npt.NDArray[np.float32] = (colours * np.outer(*[np.hanning(9)[1:-1]] * 2)).astype(np.float32)
    return net.conv(net.x, kernel)


def opened(net: Net) -> str:
    """The largest pixel of windows behind a curve."""
    curve = net.op("Tanh", net.x)
    return str(net.op("AveragePool", net.op("MaxPool", curve, kernel_shape=[5, 5], pads=[2] * 4),
                      kernel_shape=[5, 5], pads=[2] * 4))  # fmt: skip


def deep(net: Net) -> str:
    """Features behind an activation, of which little of the image is recovered either."""
    return str(net.op("Relu", net.conv(blurred(net), net.weights(3, 3, 7, 7))))


@pytest.mark.parametrize(
    ("features", "filtered"), [(blurred, True), (blurred_by_kernels, True), (opened, True), (deep, False)]
)
def test_a_blurred_image_that_is_moved_is_an_image(features: Callable[[Net], str], filtered: bool) -> None:
    net = Net(size=SIZE)
    (found,) = steered_places.observe(trace(net, hat(net, features(net), step(net, 4.0)), 3), DEFAULTS)
    assert isinstance(found, SteeredPlaces)
    assert found.recovered < DEFAULTS.alignment.nearly_image
    assert found.filtered is filtered
    (sign,) = weigh_steered([found])
    assert (sign.weight is Weight.PROOF) is filtered
    assert ("behind filters alone" in sign.what) is filtered


def lifted(net: Net) -> str:
    """A lifting scheme: odd rows less a layer of even ones, and even rows with a layer of those."""
    even, odd = (net.op("Slice", net.x, net.ints(i), net.ints(SIZE), net.ints(2), net.ints(2)) for i in (0, 1))
    odd = net.op("Sub", odd, net.conv(even, net.weights(3, 3, 3, 3)))
    even = net.op("Add", even, net.conv(odd, net.weights(3, 3, 3, 3)))
    y = net.body(net.op("Concat", even, odd, axis=1), net.body_weights((6, 8, 16, 16)))
    return net.fc(net.pool(y), net.weights(16, 8))


def test_a_learned_lifting_scheme_is_no_proof(tmp_path: Path) -> None:
    net = Net(size=SIZE)
    facts = Facts.of(follow(net.save(lifted(net), tmp_path), threads=1))
    outcome = no_realignment(facts, RULES[ALIGN_RULE])
    assert outcome.status is Status.UNDECIDED, outcome.message
    assert any(view.residual for view in facts.need(ImplicitBatchFacts).of(InputView))


def test_a_decision_between_the_map_and_its_mirror_image_is_found() -> None:
    net = Net(size=SIZE)
    (found,) = steered_places.observe(trace(net, mirror(net, mixed(net), step(net, 1.0)), 6), DEFAULTS)
    assert isinstance(found, SteeredPlaces)
    assert found.how is Steered.TURNED
    assert found.turn == "mirrored"


@pytest.mark.parametrize("change", [gate, self_gate, attention])
def test_gates_and_attention_move_nothing(change: Callable[[Net, str, str], str]) -> None:
    net = Net(size=SIZE)
    assert steered_places.observe(trace(net, change(net, mixed(net), step(net, 1.0)), 6), DEFAULTS) == []


@pytest.mark.parametrize("size", [0.1, 1e-5])
def test_sample_positions_are_followed_whatever_their_size(size: float) -> None:
    net = Net(size=SIZE)
    (found,) = sample_positions.observe(trace(net, grid_sample(net, mixed(net), step(net, size)), 6), DEFAULTS)
    assert isinstance(found, SteeredPlaces)
    assert found.how is Steered.POSITIONS
    assert found.agree
    assert 0 < found.pixels[0] < 2 * size * SIZE
    assert found.recovered > EARLY


def test_positions_that_are_constant_are_none_and_deep_features_hold_little_of_the_image() -> None:
    net = Net(size=SIZE)
    still = net.const(np.zeros((1, 1), np.float32))
    assert sample_positions.observe(trace(net, grid_sample(net, mixed(net), still), 6), DEFAULTS) == []
    net = Net(size=SIZE)
    deep = net.body(net.x, net.body_weights((3, 8, 16, 16)))
    moved = net.op("GridSample", deep, net.op("Add", net.op("Unsqueeze", step(net, 0.3), net.ints(2, 3)), net.const(
        np.stack(np.meshgrid(*[np.linspace(-1, 1, 16, dtype=np.float32)] * 2), -1)[None])))  # fmt: skip
    (found,) = sample_positions.observe(trace(net, moved, 16), DEFAULTS)
    assert isinstance(found, SteeredPlaces)
    assert found.recovered < 0.45


def resized(net: Net, y: str) -> str:
    return str(net.op("Resize", y, "", net.const([1, 1, 2, 2]), mode="linear"))


def learned(net: Net, y: str) -> str:
    return str(net.op("ConvTranspose", y, net.const(net.weights(6, 6, 4, 4)), strides=[2, 2], pads=[1, 1, 1, 1]))


def pushed(net: Net, y: str) -> str:
    inner = net.op("Slice", y, net.ints(8), net.ints(SIZE), net.ints(2))
    return str(net.op("Pad", inner, net.ints(0, 0, 0, 0, 0, 0, 8, 0)))


def kept(net: Net, y: str) -> str:
    return str(net.op("Pad", net.op("Slice", y, net.ints(1, 1), net.ints(63, 63), net.ints(2, 3)),
                      net.ints(0, 0, 1, 1, 0, 0, 1, 1)))  # fmt: skip


@pytest.mark.parametrize(("place", "scale"), [(resized, 0.5), (learned, 0.5), (pushed, 1.0)])
def test_another_grid_behind_a_first_layer_is_found_by_dots(place: Any, scale: float) -> None:
    net = Net(size=SIZE)
    found = early_grids.observe(trace(net, place(net, mixed(net)), 6), DEFAULTS)
    assert isinstance(found[0], EarlyGrid)
    np.testing.assert_allclose(found[0].scale, scale, atol=0.03)
    assert found[0].recovered > EARLY
    assert found[0].learned is (place is learned)


@pytest.mark.parametrize(("beside", "is_a_layers"), [(0, True), (1, True), (3, False)])
def test_dots_found_a_little_beside_their_places_are_on_the_grid_of_a_layer(beside: int, is_a_layers: bool) -> None:
    """Filters of their own put what a dot changes most to one side or the other, by a pixel; a warp by more."""
    random = np.random.default_rng(4)

    def shown(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        change = (image - 0.5)[0].sum(0)
        moved = np.zeros_like(change)
        for row, column in zip(*np.nonzero(change), strict=True):
            down, right = random.integers(-beside, beside + 1, 2)
            moved[np.clip(row + down, 0, 111), np.clip(column + right, 0, 111)] = change[row, column]
        return np.asarray(moved + 1)[None]

    grid = grid_of(shown, np.full((1, 3, 112, 112), 0.5), 1.0, DEFAULTS)
    assert grid is not None
    assert grid.is_a_layers(DEFAULTS) is is_a_layers
    assert grid.straight is (beside == 0)


def test_windows_of_tokens_are_no_map() -> None:
    """A product takes their last axis as channels: dots do not lie on a grid of tokens and channels."""
    net = Net()
    cut = net.op("Reshape", mixed(net), net.ints(0, 6, 4, 8, 4, 8))
    windows = net.op("Reshape", net.op("Transpose", cut, perm=[0, 2, 4, 3, 5, 1]), net.ints(0, 16, 64, 6))
    mapped = net.fc(net.op("Relu", net.fc(windows, net.weights(6, 96))), net.weights(96, 6))
    back = net.op("Transpose", net.op("Reshape", mapped, net.ints(0, 4, 4, 8, 8, 6)), perm=[0, 5, 1, 3, 2, 4])
    model = trace(net, net.op("Reshape", back, net.ints(0, 6, 32, 32)), 6)
    assert early_grids.observe(model, DEFAULTS) == []


def test_a_border_cut_and_put_back_is_the_same_grid() -> None:
    net = Net(size=SIZE)
    assert early_grids.observe(trace(net, kept(net, mixed(net)), 6), DEFAULTS) == []


@pytest.mark.parametrize("name", ["early_folded_mirrored", "haar_twice"])
def test_a_network_of_each_kind_that_no_idea_of_the_evaluation_is(name: str) -> None:
    case = get(name)
    assert problem(case, judge_case(case)) == ""


@pytest.mark.parametrize(("turns", "found"), [(True, True), (False, False)])
def test_a_condition_that_turns_early_features_places_them(turns: bool, found: bool, tmp_path: Path) -> None:
    net = Net(size=SIZE)
    y = mixed(net)
    lit = net.op("Greater", net.op("ReduceMean", net.x, axes=[0, 1, 2, 3], keepdims=0), net.const(0.0))
    back = net.const(np.arange(SIZE)[:: -1 if turns else 1], np.int64)
    sides = [
        helper.make_graph([node], name, [], [helper.make_empty_tensor_value_info(node.output[0])])
        for name, node in (
            ("lit", helper.make_node("Gather", [y, back], ["turned"], axis=3)),
            ("dark", helper.make_node("Identity", [y], ["as_it_is"])),
        )
    ]
    z = net.op("If", lit, then_branch=sides[0], else_branch=sides[1])
    z = net.body(z, net.body_weights((6, 8, 16, 16)))
    path = net.save(net.fc(net.pool(z), net.weights(16, 8)), tmp_path)
    seen = [one for one in follow(path, threads=1).of(SteeredPlaces) if one.how is Steered.DECIDED]
    assert bool(seen) is found
    if found:
        assert seen[0].turn == "mirrored"
        assert {seen[0].branch, seen[0].steering} == {f"'{z_node(net)}' true", f"'{z_node(net)}' false"}
        assert seen[0].recovered > EARLY


def z_node(net: Net) -> str:
    return next(node.name for node in net.nodes if node.op_type == "If")


def test_products_hide_no_normalisation(tmp_path: Path) -> None:
    net = Net(size=SIZE)
    y = net.op("MatMul", net.x, net.const(np.random.default_rng(1).standard_normal((SIZE, SIZE))))
    made = net.model(net.op("Mul", y, net.const(1 / SIZE)))
    onnx.save(made, str(tmp_path / "net.onnx"))
    images = Feed(made, tmp_path, 1, DEFAULTS).images
    assert (images.low, images.high) == (-1.0, 1.0)


def test_a_way_that_cannot_be_fed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(size=SIZE)
    model = trace(net, hat(net, mixed(net), step(net, 1.0)), 6)

    def refuse(*_given: object, **_named: object) -> None:
        raise RunError("it does not run")

    monkeypatch.setattr(steered_places, "_tried", refuse)
    found = steered_places.observe(model, DEFAULTS)
    assert {one.gap for one in found if isinstance(one, Unseen)} == {Gap.WAY_NOT_FED}


def test_channels_that_are_rows_are_read_as_channels() -> None:
    net = Net(size=SIZE)
    by = step(net, 4.0)
    rows = net.op("Reshape", mixed(net), net.ints(-1, 1, SIZE, SIZE))
    moved = net.op("Reshape", hat(net, rows, by), net.ints(-1, 6, SIZE, SIZE))
    (found,) = steered_places.observe(trace(net, moved, 6), DEFAULTS)
    assert isinstance(found, SteeredPlaces)
    assert found.recovered > EARLY
