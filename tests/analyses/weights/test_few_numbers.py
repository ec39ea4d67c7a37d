"""Rule no-float16: weights that rules, places and curves make of few stored numbers, and what is most like them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper

from evaluation.float16.builder import COUNT, SHAPE
from evaluation.float16.builder import WeightBuilder as Net
from pytest_facechallenge.analyses.weights.patterns import is_pattern
from pytest_facechallenge.core.outcome import Status
from tests.analyses.weights.test_no_float16 import judge

Write = Callable[[Net], object]
#: Stored numbers of a store that a weight of 432 elements is made of.
FEWER = COUNT // 8


def status(write: Write) -> Status:
    net = Net()
    write(net)
    return judge(net.model()).status


def shaped(net: Net, value: str, output: str = "W", shape: tuple[int, ...] = SHAPE) -> str:
    return net.node("Reshape", [value, net.store(f"{output}_shape", np.array(shape))], output)


def number(net: Net, value: float) -> str:
    return net.store(f"number_{len(net.initializers)}", np.float32(value))


# Parts of a store, again and again.


def generations(net: Net, turns: int) -> list[str]:
    """Return the states of a cellular automaton: three neighbours, weighted, and the parts between two bounds."""
    state, found = net.store("cells", net.codes(np.float32, 1, 1, FEWER, high=2)), []
    around = net.store("around", np.array([[[4, 2, 1]]], np.float32))
    for turn in range(turns):
        told = net.node("Conv", [state, around], f"told_{turn}", pads=[1, 1])
        low = net.node("Clip", [told, number(net, 0), number(net, 1)], f"low_{turn}")
        less = net.node("Sub", [told, number(net, 4)], f"less_{turn}")
        high = net.node("Clip", [less, number(net, 0), number(net, 1)], f"high_{turn}")
        state = net.node("Sub", [low, high], f"state_{turn}")
        found.append(state)
    return found


def automaton(net: Net) -> None:
    joined = net.node("Concat", generations(net, 8), "joined", axis=2)
    shaped(net, net.node("Sub", [joined, number(net, 0.5)], "even"))


def parts_between_bounds(net: Net) -> None:
    """Eight parts of one store, each between two other bounds."""
    store = net.store("store", net.floats(FEWER))
    parts = [
        net.node("Max", [store, number(net, bound)], f"part_{at}") for at, bound in enumerate(np.linspace(-1, 1, 8))
    ]
    joined = net.node("Concat", parts, "joined", axis=0)
    shaped(net, net.node("Add", [joined, number(net, 0.5)], "even"))


def added_to(net: Net, numbers: npt.NDArray[Any]) -> None:
    joined = net.node("Concat", generations(net, 8), "joined", axis=2)
    begun = net.store("begun", numbers.astype(np.float32).reshape(1, 1, COUNT))
    shaped(net, net.node("Add", [begun, joined], "total"))


def generations_added_to_zeros(net: Net) -> None:
    """As many zeros as weights, to which parts are added, as exporters leave a sum that begins with nothing."""
    added_to(net, np.zeros(COUNT))


def generations_added_to_zeros_and_a_one(net: Net) -> None:
    added_to(net, np.eye(1, COUNT))


def generations_added_to_two_halves(net: Net) -> None:
    added_to(net, np.arange(COUNT) >= COUNT // 2)


def looked_up_and_bent(net: Net) -> None:
    """An activation behind a codebook: the codes are in what it makes."""
    index = net.store("index", net.codes(np.int64, high=FEWER))
    net.node("Tanh", [net.node("Gather", [net.store("table", net.floats(FEWER)), index], "read")], "W")


def texels(net: Net) -> None:
    """Eight weights for each code, out of a texture of eight channels, at places that the codes name."""
    texture = net.store("texture", net.floats(1, 8, 1, 20))
    codes = net.store("codes", np.linspace(-0.95, 0.95, 20, dtype=np.float32)[net.codes(np.int64, FEWER, high=20)])
    level = net.node("Mul", [codes, number(net, 0)], "level")
    pair = net.node("Reshape", [codes, net.store("line", np.array([1, 1, FEWER, 1]))], "pair")
    other = net.node("Reshape", [level, "line"], "other")
    places = net.node("Concat", [pair, other], "places", axis=3)
    shaped(net, net.node("GridSample", [texture, places], "texels", mode="nearest"))


def both_parts(net: Net) -> None:
    """relu(w) beside relu(-w), shifted by nothing: the convolution's kernel twice."""
    store = net.store("store", net.floats(16, 27))
    shaped(net, net.node("Relu", [store], "above"))
    below = net.node("Relu", [net.node("Neg", [store], "less")], "below")
    net.node("Conv", ["x", shaped(net, below, "V")], "unused")


@pytest.mark.parametrize(
    "write",
    [automaton, parts_between_bounds, generations_added_to_zeros, generations_added_to_zeros_and_a_one,
              generations_added_to_two_halves, looked_up_and_bent, texels],
)  # fmt: skip
def test_generations_of_a_store_are_more_numbers_than_it_has(write: Write) -> None:
    assert status(write) is Status.FAILED


def low_rank_standardised(net: Net) -> None:
    """Weight standardisation of a low-rank product: less its mean, by its deviation."""
    w = net.node("MatMul", [net.store("u", net.floats(16, 4)), net.store("v", net.floats(4, 27))], "product")
    axes = net.store("axes", np.array([1]))
    centred = net.node("Sub", [w, net.node("ReduceMean", [w, axes], "mean")], "centred")
    squares = net.node("Mul", [centred, centred], "squares")
    variance = net.node("Add", [net.node("ReduceMean", [squares, axes], "squared"), number(net, 1e-5)], "variance")
    shaped(net, net.node("Div", [centred, net.node("Sqrt", [variance], "deviation")], "even"))


def low_rank_of_one_norm(net: Net) -> None:
    """Weight normalisation of a low-rank product, with a stored size for each row."""
    w = net.node("MatMul", [net.store("u", net.floats(16, 4)), net.store("v", net.floats(4, 27))], "product")
    norm = net.node("ReduceL2", [w, net.store("axes", np.array([1]))], "norm")
    unit = net.node("Div", [w, norm], "unit")
    shaped(net, net.node("Mul", [unit, net.store("sizes", net.floats(16, 1))], "sized"))


def squashed(net: Net) -> None:
    """A weight beside its own curve, added: as many as are stored."""
    store = net.store("store", net.floats())
    net.node("Add", [store, net.node("Tanh", [store], "bent")], "W")


def between_stored_bounds(net: Net) -> None:
    """Weights between two bounds for each row, all of which are one number, as rounding in training leaves them."""
    store = net.store("store", net.floats(16, 27))
    low = net.node("Max", [store, net.store("least", np.full((16, 1), -1, np.float32))], "low_bound")
    shaped(net, net.node("Min", [low, net.store("most", np.full((16, 1), 1, np.float32))], "bounded"))


def bent_by_ones_that_are_used_again(net: Net) -> None:
    """Ones for each row of a bent kernel, and the same ones beside it: two tensors that are equal are written once."""
    gains = net.store("gains", np.ones((16, 1), np.float32))
    bent = net.node("Mul", [net.node("Tanh", [net.store("store", net.floats(16, 27))], "bent"), gains], "gained")
    shaped(net, bent)
    net.node("Add", [net.node("Conv", ["x", net.store("other", net.floats(1, 3, 3, 3))], "seen"), "gains"], "unused")


@pytest.mark.parametrize(
    "write",
    [both_parts, low_rank_standardised, low_rank_of_one_norm, squashed, between_stored_bounds,
     bent_by_ones_that_are_used_again],
)  # fmt: skip
def test_what_is_a_stored_matrix_again_passes(write: Write) -> None:
    assert status(write) is Status.PASSED


# Stored places.


def drawn_places(net: Net, count: int = FEWER) -> npt.NDArray[Any]:
    """Return different places among the weight's, in order."""
    return np.sort(net.rng.choice(COUNT, count, replace=False))


def marks(net: Net) -> str:
    """Return ones at stored places, which are float32 numbers in order, among zeros."""
    begins = drawn_places(net)
    places = net.cast(net.store("begins", begins.astype(np.float32)), "places", TensorProto.INT64)
    zeros = net.node("ConstantOfShape", [net.store("count", np.array([COUNT]))], "zeros")
    ones = net.node("ConstantOfShape", [net.store("fewer", np.array([len(begins)]))], "ones",
                    value=helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]))  # fmt: skip
    return net.node("ScatterElements", [zeros, places, ones], "marks")


def runs(net: Net) -> None:
    """Runs of equal weights: a running sum of marks at stored beginnings says which value each place has."""
    total = net.node("CumSum", [marks(net), net.store("axis", np.array(0))], "total")
    at = net.cast(total, "at", TensorProto.INT64)
    shaped(net, net.node("Gather", [net.store("values", net.floats(FEWER + 1)), at], "read"))


def chosen_rows(net: Net) -> None:
    """Marks at stored places are the choice of a row of a book."""
    chosen = shaped(net, marks(net), "chosen", (FEWER, COUNT // FEWER))
    shaped(net, net.node("MatMul", [chosen, net.store("book", net.floats(COUNT // FEWER, 8))], "rows"))


def two_values(net: Net) -> None:
    """Marks at stored places choose between two weights."""
    at = net.cast(marks(net), "at", TensorProto.INT64)
    shaped(net, net.node("Gather", [net.store("values", net.floats(2)), at], "read"))


@pytest.mark.parametrize("write", [runs, chosen_rows, two_values])
def test_what_stands_at_stored_places_is_a_choice_by_codes(write: Write) -> None:
    assert status(write) is Status.FAILED


def runs_of_one_length(net: Net) -> None:
    """Places that follow a pattern choose nothing that is stored: each weight is used eight times."""
    zeros = net.node("ConstantOfShape", [net.store("count", np.array([COUNT]))], "zeros")
    begins = net.store("begins", np.arange(0, COUNT, 8))
    marked = net.node("ScatterElements", [zeros, begins, net.store("ones", np.ones(FEWER, np.float32))], "marks")
    total = net.node("CumSum", [marked, net.store("axis", np.array(0))], "total")
    at = net.cast(total, "at", TensorProto.INT64)
    shaped(net, net.node("Gather", [net.store("values", net.floats(FEWER + 1)), at], "read"))


def relative_positions(net: Net) -> None:
    """A table of relative positions, read at the index grid of a window."""
    grid = np.arange(12)[:, None] - np.arange(36)[None] + 35
    net.node("Gather", [net.store("table", net.floats(47)), net.store("grid", grid)], "read")
    shaped(net, "read")


def pruned(net: Net) -> None:
    """The weights of a pruned layer, each stored in full, put to their places among zeros."""
    places = net.store("places", drawn_places(net, 100))
    zeros = net.node("ConstantOfShape", [net.store("count", np.array([COUNT]))], "zeros")
    shaped(net, net.node("ScatterElements", [zeros, places, net.store("values", net.floats(100))], "put"))


@pytest.mark.parametrize("write", [runs_of_one_length, relative_positions, pruned])
def test_places_that_a_pattern_tells_and_values_stored_in_full_pass(write: Write) -> None:
    assert status(write) is Status.PASSED


@pytest.mark.parametrize(
    ("numbers", "follows"),
    [
        (np.arange(0, 4000, 8), True),
        (np.linspace(-1, 1, 500, dtype=np.float32), True),
        (10000.0 ** -np.linspace(0, 1, 64), True),
        (np.hanning(64), True),
        (np.repeat(np.arange(40), 5), True),
        (np.arange(49)[:, None] - np.arange(49)[None], True),
        (np.sort(np.random.default_rng(3).choice(8000, 500, replace=False)), False),
        (np.sort(np.random.default_rng(3).choice(8000, 512, replace=False)).reshape(32, 16), False),
        (np.cumsum(np.random.default_rng(3).uniform(0, 1, 500)), False),
    ],
)  # fmt: skip
def test_drawn_numbers_in_order_follow_no_pattern(numbers: npt.NDArray[Any], follows: bool) -> None:
    assert is_pattern(numbers) is follows


# Products of a store with itself.


def powers(net: Net, *, terms: int, first: str = "Add") -> None:
    """Eight polynomials of each code, by Horner's scheme, or by powers beside each other."""
    code = net.store("code", net.codes(np.float32, FEWER, 1, high=8))
    factors = net.store("factors", net.floats(terms, 8))
    rows = [net.node("Gather", [factors, net.store(f"at_{i}", np.array([i]))], f"factor_{i}") for i in range(terms)]
    made = net.node("MatMul", [code, rows[0]], "start") if first == "MatMul" else net.node(
        "Add", [rows[0], net.node("Mul", [code, number(net, 0)], "nothing")], "start")  # fmt: skip
    for i in range(1, terms):
        made = net.node("Add", [net.node("Mul", [made, code], f"power_{i}"), rows[i]], f"sum_{i}")
    shaped(net, made)


def polynomials(net: Net) -> None:
    powers(net, terms=8)


def squares(net: Net) -> None:
    """Three values of a code need a square and no more."""
    powers(net, terms=3)


def polynomials_of_a_product(net: Net) -> None:
    powers(net, terms=6, first="MatMul")


def thermometer(net: Net) -> None:
    """The larger of each code and of each place, times a book: a codebook without a comparison."""
    code = net.store("code", net.codes(np.float32, FEWER, 1, high=32))
    higher = net.node("Max", [code, net.store("places", np.arange(32, dtype=np.float32)[None])], "higher")
    shaped(net, net.node("MatMul", [higher, net.store("book", net.floats(32, 8))], "rows"))


@pytest.mark.parametrize("write", [polynomials, squares, polynomials_of_a_product, thermometer])
def test_powers_of_codes_are_a_curve(write: Write) -> None:
    assert status(write) is Status.FAILED


def scaled_rows(net: Net) -> None:
    """A low-rank product whose rows and columns have stored sizes."""
    w = net.node("MatMul", [net.store("u", net.floats(16, 4)), net.store("v", net.floats(4, 27))], "product")
    w = net.node("Mul", [w, net.store("rows", net.floats(16, 1))], "by_rows")
    shaped(net, net.node("Mul", [w, net.store("columns", net.floats(1, 27))], "by_columns"))


def tied_product(net: Net) -> None:
    """A stored matrix times itself, turned: a low-rank product whose factors are tied."""
    u = net.store("u", net.floats(COUNT // 8, 2))
    shaped(net, net.node("MatMul", [u, net.node("Transpose", [cut(net, u, 8)], "turned")], "product"))


def cut(net: Net, value: str, rows: int) -> str:
    ends = [net.store(f"cut_{name}", np.array([at])) for name, at in (("from", 0), ("to", rows), ("axis", 0))]
    return net.node("Slice", [value, *ends], "cut")


@pytest.mark.parametrize("write", [scaled_rows, tied_product])
def test_products_of_two_stores_and_of_their_sizes_pass(write: Write) -> None:
    assert status(write) is Status.PASSED


# States of a loop.


def turned(net: Net, *, bend: bool) -> None:
    """Eight states of a loop, stacked: parts of sums of neighbours, or the same store in every turn."""
    net.store("cells", net.codes(np.float32, 1, 1, FEWER, high=2))
    around = net.store("around", np.array([[[4, 2, 1]]], np.float32))
    info = helper.make_tensor_value_info
    ends = [info(name, TensorProto.FLOAT, [1, 1, FEWER]) for name in ("state", "after", "kept")]
    told = helper.make_node("Conv", ["state", around], ["told"], pads=[1, 1])
    nodes = [told, helper.make_node("Relu", ["told"], ["after"])] if bend else [
        helper.make_node("Identity", ["state"], ["after"])]  # fmt: skip
    body = helper.make_graph(
        [helper.make_node("Identity", ["goes"], ["on"]), *nodes, helper.make_node("Identity", ["after"], ["kept"])],
        "body",
        [info("i", TensorProto.INT64, []), info("goes", TensorProto.BOOL, []), ends[0]],
        [info("on", TensorProto.BOOL, []), *ends[1:]],
    )
    node = helper.make_node("Loop", [net.store("turns", np.array(8)), "", "cells"], ["end", "stacked"], body=body)
    net.nodes.append(node)
    shaped(net, "stacked")


def test_states_of_every_turn_of_a_loop_are_no_silent_pass() -> None:
    assert status(lambda net: turned(net, bend=True)) is not Status.PASSED
