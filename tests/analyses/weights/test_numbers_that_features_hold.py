"""Stored numbers that were added to features: what may be done with them without making more weights."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.float16.builder import COUNT
from evaluation.float16.builder import WeightBuilder as Net
from pytest_facechallenge.core.outcome import Status
from tests.analyses.weights.test_no_float16 import judge


def features_and_numbers(net: Net) -> str:
    """Return a number of the image for each of 3 colours, to which 432 stored numbers are added: [N, 3, 432]."""
    means = net.node("ReduceMean", ["x", net.store("axes", np.array([2, 3]))], "means", keepdims=0)
    wide = net.node("Unsqueeze", [means, net.store("last", np.array([2]))], "wide")
    return net.node("Add", [wide, net.store("bias", net.floats(COUNT))], "sum")


@pytest.mark.parametrize("op", ["Sin", "Round", "Floor"])
def test_an_activation_that_takes_apart_what_a_bias_was_added_to_makes_no_weights(op: str) -> None:
    """A sine of features (SIREN) or a rounding of them, as in training for integers, behind MatMul and Add."""
    net = Net()
    scaled = net.node("Mul", [features_and_numbers(net), net.store("scale", np.float32(30))], "scaled")
    net.node("ReduceSum", [net.node(op, [scaled], "bent")], "unused", keepdims=0)

    assert judge(net.model()).status is Status.PASSED


def test_what_is_left_of_numbers_that_features_hold_is_not_passed() -> None:
    """Two halves of each stored number, taken apart behind a sum with a number of the image."""
    net = Net()
    both = features_and_numbers(net)
    high = net.node("Floor", [both], "high")
    low = net.node("Sub", [both, high], "low")
    net.node("ReduceSum", [net.node("Mul", [high, low], "product")], "unused", keepdims=0)

    assert judge(net.model()).status is not Status.PASSED


@pytest.mark.parametrize("where", ["bias", "sum"])
def test_numbers_that_features_hold_and_that_are_used_again_are_not_passed(where: str) -> None:
    net = Net()
    bent = net.node("Floor", [features_and_numbers(net)], "bent")
    net.node("ReduceSum", [net.node("Mul", [bent, where], "again")], "unused", keepdims=0)

    assert judge(net.model()).status is not Status.PASSED


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_numbers_of_which_values_of_the_image_take_parts_are_not_passed(op: str) -> None:
    """Stored numbers times powers that are made with the image, and what is left of them below 256."""
    net = Net()
    powers = net.store("powers", np.array([[[1.0], [256.0], [65536.0]]], np.float32))
    means = net.node("ReduceMean", ["x", net.store("axes", np.array([2, 3]))], "means", keepdims=0)
    even = net.node("Mul", [means, net.store("nothing", np.float32(0))], "even")
    wide = net.node("Unsqueeze", [even, net.store("last", np.array([2]))], "wide")
    scale = net.node("Add", [wide, powers], "scale")
    numbers = net.store("p", net.codes(np.float32, COUNT, high=2**24))
    held = net.node("Mul", [net.node("Add", [wide, numbers], "held") if op == "Add" else numbers, scale], "moved")
    net.node(
        "ReduceSum", [net.node("Mod", [held, net.store("m", np.float32(256))], "parts", fmod=1)], "unused", keepdims=0
    )

    assert judge(net.model()).status is not Status.PASSED


@pytest.mark.parametrize("counted", ["factors", "offsets"])
def test_numbers_that_are_scaled_or_moved_by_what_is_counted_up_are_not_passed(counted: str) -> None:
    """A range of three powers of 256, made of single numbers, takes three parts of each stored number."""
    net = Net()
    ends = [net.store(f"end{at}", np.float32(value)) for at, value in enumerate((0, 3, 1))]
    steps = net.node("Unsqueeze", [net.node("Range", ends, "range"), net.store("place", np.array([1]))], "steps")
    powers = net.node("Pow", [net.store("base", np.float32(256)), steps], "powers")
    moved = net.node("Mul" if counted == "factors" else "Add", [features_and_numbers(net), powers], "moved")
    net.node("ReduceSum", [net.node("Sin", [moved], "bent")], "unused", keepdims=0)

    assert judge(net.model()).status is not Status.PASSED


def test_what_is_made_of_held_numbers_and_multiplies_features_is_not_passed() -> None:
    net = Net()
    bent = net.node("Sin", [features_and_numbers(net)], "bent")
    net.node("ReduceSum", [net.node("Mul", [bent, "wide"], "weighted")], "unused", keepdims=0)

    assert judge(net.model()).status is not Status.PASSED


def test_rows_that_are_not_those_of_the_batch_are_counted() -> None:
    """How many rows a stored mask leaves is in no shape, and is no number of images."""
    net = Net()
    places = net.node("NonZero", [net.store("mask", np.ones(300, np.float32))], "places")
    rows = net.cast(net.node("Transpose", [places], "rows"), "counted")
    spread = net.node("Mul", [net.store("p", net.codes(np.float32, 1, COUNT, high=2**24)), rows], "spread")
    whole = net.node("Floor", [spread], "whole")
    net.node("Mul", [net.node("ReduceSum", ["x"], "total", keepdims=0), whole], "unused")

    assert judge(net.model()).status is not Status.PASSED
