"""Rule no-float16: kernels that curves make of few numbers over the places of a sequence, and codes behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evaluation.float16.builder import WeightBuilder as Net
from pytest_facechallenge.analyses.weights.kernels import Kernels, kernels
from pytest_facechallenge.core.outcome import Status
from tests.analyses.weights.test_no_float16 import judge

#: Places of a sequence: the 192 numbers of an image are four of each.
PLACES = 48
GAP = np.arange(PLACES)[:, None] - np.arange(PLACES)[None]
CAUSAL = (GAP >= 0).astype(np.float32)


def judged(net: Net, matrix: str) -> Status:
    """Judge a network that multiplies the image, as 48 places of four numbers, by [C, 48, 48]."""
    rows = net.node("Reshape", ["x", net.store("as_rows", np.array([-1, 1, PLACES, 4]))], "image")
    net.node("MatMul", [matrix, rows], "unused")
    return judge(net.model()).status


def gaps(net: Net) -> str:
    return net.store("gap", np.maximum(GAP, 0).astype(np.float32))


def positive(net: Net, name: str, *shape: int) -> str:
    return net.store(name, (0.1 + 0.8 * net.rng.random(shape)).astype(np.float32))


def causal(net: Net, value: str, output: str = "causal") -> str:
    return net.node("Mul", [value, net.store(f"{output}_mask", CAUSAL)], output)


@pytest.mark.parametrize("channels", [8, 40])
def test_a_complex_recurrence_in_its_parallel_form_passes(channels: int) -> None:
    """LRU: powers of stored sizes, by cosines and sines of stored angles times the gap between two places."""
    net = Net()
    gap = gaps(net)
    power = causal(net, net.node("Pow", [positive(net, "size", channels, 1, 1), gap], "power"))
    turn = net.node("Mul", [positive(net, "angle", channels, 1, 1), gap], "turn")
    parts = [net.node("Mul", [power, net.node(op, [turn], op)], f"by_{op}") for op in ("Cos", "Sin")]
    rows = net.node("Reshape", ["x", net.store("shape", np.array([-1, 1, PLACES, 4]))], "pixels")
    net.node("MatMul", [parts[1], rows], "unused_sine")
    assert judged(net, parts[0]) is Status.PASSED


@pytest.mark.parametrize("channels", [4, 40])
def test_decays_of_a_distance_pass(channels: int) -> None:
    """Retention to both sides: the exponential of a stored rate times the distance."""
    net = Net()
    distance = net.store("distance", -np.abs(GAP).astype(np.float32))
    rate = net.node("Exp", [positive(net, "rate", channels, 1, 1)], "positive")
    assert judged(net, net.node("Exp", [net.node("Mul", [rate, distance], "far")], "decay")) is Status.PASSED


def test_a_diagonal_state_space_passes() -> None:
    """S4D: a kernel of sixteen stored decays by stored factors, summed up, for each of eight channels."""
    net = Net()
    rate = net.node("Neg", [positive(net, "rate", 8, 1, 16)], "less")
    place = net.store("place", np.arange(PLACES, dtype=np.float32)[None, :, None])
    decay = net.node("Exp", [net.node("Mul", [rate, place], "far")], "decay")
    terms = net.node("Mul", [decay, positive(net, "factor", 8, 1, 16)], "terms")
    kernel = net.node("ReduceSum", [terms, net.store("axes", np.array([2]))], "kernel", keepdims=0)
    matrix = net.node("Gather", [kernel, net.store("grid", np.maximum(GAP, 0))], "matrix", axis=1)
    assert judged(net, causal(net, matrix)) is Status.PASSED


def test_smooth_filters_of_stored_widths_are_left_open() -> None:
    """A Gaussian for each channel: a formula of one number, over 48 places."""
    net = Net()
    square = net.store("square", -(np.abs(GAP) ** 2).astype(np.float32) / 200)
    narrow = net.node("Mul", [positive(net, "width", 40, 1, 1), square], "narrow")
    assert judged(net, net.node("Exp", [narrow], "bell")) is Status.UNDECIDED


def test_a_long_kernel_of_exponentials_in_a_convolution_passes() -> None:
    net = Net()
    place = net.store("place", np.arange(8, dtype=np.float32)[None, None, None])
    power = net.node("Pow", [positive(net, "size", 3, 1, 1, 1), place], "power")
    net.node("Conv", ["x", power], "unused", group=3)
    assert judge(net.model()).status is Status.PASSED


def test_a_hash_of_the_gap_is_made_of_nothing() -> None:
    net = Net()
    square = net.store("square", (GAP**2 % 97).astype(np.float32))
    turn = net.node("Mul", [net.node("Mul", [positive(net, "angle", 40, 1, 1), square], "turn"),
                            net.store("often", np.float32(91.7))], "turns")  # fmt: skip
    assert judged(net, net.node("Sin", [turn], "hash")) is Status.FAILED


def test_codes_behind_a_matrix_of_diagonals_are_codes() -> None:
    """A kernel that a soft codebook chooses, laid out as the matrix of a convolution."""
    net = Net()
    code = net.store("code", net.codes(np.float32, 80 * PLACES // 8, 1, high=32))
    far = net.node("Sub", [code, net.store("places", np.arange(32, dtype=np.float32)[None])], "far")
    share = net.node("Softmax", [net.node("Neg", [net.node("Mul", [far, far], "square")], "near")], "share", axis=1)
    rows = net.node("MatMul", [share, net.store("book", net.floats(32, 8))], "rows")
    kernel = net.node("Reshape", [rows, net.store("as_kernels", np.array([80, PLACES]))], "kernel")
    matrix = net.node("Gather", [kernel, net.store("grid", np.abs(GAP))], "matrix", axis=1)
    assert judged(net, matrix) is Status.FAILED


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        (0.9 ** np.arange(PLACES), 1),
        (0.95 ** np.arange(PLACES) * np.cos(2.3 * np.arange(PLACES)), 1),
        (0.9 ** np.arange(PLACES) - 0.5 ** np.arange(PLACES) + np.cos(np.arange(PLACES)), 8),
        (np.random.default_rng(5).normal(0, 1, PLACES), PLACES),
        (np.zeros(PLACES), 0),
    ],
)
def test_counts_the_numbers_of_a_recurrence(row: npt.NDArray[Any], numbers: int) -> None:
    matrix = np.where(GAP >= 0, row[np.maximum(GAP, 0)], 0)

    assert kernels("MatMul", matrix) == Kernels(PLACES, numbers)
    assert kernels("Conv", row[None, None, None]) == Kernels(PLACES, numbers)
    assert kernels("MatMul", np.random.default_rng(5).normal(0, 1, (PLACES, PLACES))) is None


def turned(net: Net, angle: str, other: str = "Sin") -> list[str]:
    """Return features [N, 48, 40] by the cosines and by the sines of [1, 48, 40] angles."""
    rows = net.node("Reshape", ["x", net.store("as_rows", np.array([-1, PLACES, 4]))], "image")
    wide = net.node("MatMul", [rows, net.store("widen", net.floats(4, 40))], "wide")
    return [net.node("Mul", [wide, net.node(op, [angle], op)], f"by_{op}") for op in ("Cos", other)]


def angles(net: Net) -> str:
    return net.store("angle", (6 * net.rng.random((1, PLACES, 40))).astype(np.float32))


@pytest.mark.parametrize(("other", "status"), [("Sin", Status.PASSED), ("Tanh", Status.FAILED)])
def test_a_turn_by_stored_angles_is_one_number_for_each(other: str, status: Status) -> None:
    """Rotary positions: cosine and sine of each angle, by which features are multiplied, and the two added."""
    net = Net()
    net.node("Sub", turned(net, angles(net), other), "unused")
    assert judge(net.model()).status is status


def test_a_turn_by_learned_frequencies_is_no_accusation() -> None:
    net = Net()
    frequency = net.store("frequency", net.rng.random((1, 1, 40)).astype(np.float32))
    places = net.store("places", np.arange(PLACES, dtype=np.float32)[None, :, None])
    net.node("Sub", turned(net, net.node("Mul", [frequency, places], "angles")), "unused")
    outcome = judge(net.model())
    assert outcome.status is Status.UNDECIDED, outcome
    assert "as rotary positions do" in outcome.message


def test_cosines_and_sines_that_do_not_meet_are_two_tables() -> None:
    net = Net()
    cosines, sines = turned(net, angles(net))
    net.node("Sub", [net.node("Relu", [cosines], "one"), net.node("Relu", [sines], "two")], "unused")
    assert judge(net.model()).status is Status.FAILED


def test_matrices_of_cosines_and_sines_are_two_tables() -> None:
    net = Net()
    angle = angles(net)
    rows = net.node("Reshape", ["x", net.store("as_rows", np.array([-1, PLACES, 4]))], "image")
    wide = net.node("MatMul", [rows, net.store("widen", net.floats(4, 40))], "wide")
    made = []
    for op in ("Cos", "Sin"):
        kernel = net.node("Transpose", [net.node(op, [angle], op)], f"kernel_{op}", perm=[0, 2, 1])
        made.append(net.node("MatMul", [wide, kernel], f"product_{op}"))
    net.node("Sub", made, "unused")
    assert judge(net.model()).status is Status.FAILED


@pytest.mark.parametrize(("together", "status"), [(True, Status.PASSED), (False, Status.FAILED)])
def test_a_turn_adds_what_cosine_and_sine_of_an_angle_make(together: bool, status: Status) -> None:
    """Each added to something else, they are two scales from one number."""
    net = Net()
    cosines, sines = turned(net, angles(net))
    if together:
        net.node("Sub", [cosines, sines], "one")
        net.node("Add", [sines, cosines], "two")
    else:
        net.node("Add", [cosines, "wide"], "one")
        net.node("Add", [sines, "wide"], "two")
    net.node("Mul", ["one", "two"], "unused")
    assert judge(net.model()).status is status
