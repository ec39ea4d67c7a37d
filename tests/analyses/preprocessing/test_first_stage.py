"""Rules preprocessing and rgb-order where a first stage is no affine map: judged by running it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from evaluation.exported import ExportBuilder
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.preprocessing.first_stage import gather as gather_stage
from pytest_facechallenge.analyses.preprocessing.gather import gather
from pytest_facechallenge.analyses.preprocessing.layers import first_layers
from pytest_facechallenge.checks.preprocessing import preprocessing, rgb_order
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.facts.preprocessing import FirstStageFacts, PreprocessingFacts, StageView
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.onnx_graph.ir import from_model
from tests.analyses.preprocessing.test_preprocessing import rule

Stage = Callable[[ExportBuilder, str], str]


def observed(stage: Stage, folder: Path, channels: int = 3, names: tuple[str, ...] = ()) -> Facts:
    net = ExportBuilder(77)
    y = net.conv(stage(net, "data"), "stem", (8, channels, 4, 4), 4)
    y = net.conv(y, "next", (8, 8, 4, 4), 4)
    model = net.model(net.linear(net.op("Flatten", y, axis=1), "embed", 8 * 49, 64))
    for index, node in enumerate(model.graph.node):
        node.name = names[index] if index < len(names) else f"/{node.op_type}_{index}"
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="", sha256="", bytes=1)
    found = gather(Context(path, folder, Facts.of(package), RunOptions()))
    return Facts.of(found, gather_stage(Context(path, folder, Facts.of(package, found), RunOptions())))


def unit(net: ExportBuilder, x: str) -> str:
    return net.op("Mul", net.op("Add", x, 1.0), 0.5)


def standardised(net: ExportBuilder, x: str) -> str:
    centred = net.op("Sub", x, net.mean(x, 1, 2, 3, keep=True))
    variance = net.mean(net.op("Mul", centred, centred), 1, 2, 3, keep=True)
    return net.op("Div", centred, net.op("Sqrt", net.op("Add", variance, 1e-5)))


def blurred(net: ExportBuilder, x: str) -> str:
    return net.op("AveragePool", x, kernel_shape=[5, 5], pads=[2] * 4, count_include_pad=0)


def pyramid(net: ExportBuilder, x: str) -> str:
    low = blurred(net, x)
    return net.op("Concat", net.op("Sub", x, low), low, axis=1)


def hsv(net: ExportBuilder, x: str) -> str:
    red, green, blue = net.split(unit(net, x), [1, 1, 1], 1)
    value = net.op("Max", net.op("Max", red, green), blue)
    chroma = net.op("Sub", value, net.op("Min", net.op("Min", red, green), blue))
    saturation = net.op("Div", chroma, net.op("Add", value, 1e-3))
    hue = net.op("Div", net.op("Sub", green, blue), net.op("Add", chroma, 1e-3))
    return net.op("Concat", hue, saturation, value, axis=1)


def local_contrast(net: ExportBuilder, x: str) -> str:
    centred = net.op("Sub", x, blurred(net, x))
    spread = net.op("Sqrt", net.op("Add", blurred(net, net.op("Mul", centred, centred)), 1e-3))
    return net.op("Div", centred, spread)


def oval(net: ExportBuilder, x: str) -> str:
    rows, columns = np.mgrid[0:112, 0:112] / 112 - 0.5
    window = ((rows / 0.5) ** 2 + (columns / 0.4) ** 2 < 1).astype(np.float32)
    return net.op("Mul", x, window[None, None])


def gated(net: ExportBuilder, x: str) -> str:
    return net.op("Mul", x, net.conv(x, "gate", (3, 3, 3, 3), 1, 1, act="Sigmoid"))


def logarithms(net: ExportBuilder, x: str) -> str:
    return net.op("Log", net.op("Add", unit(net, x), 0.05))


def both_signs(net: ExportBuilder, x: str) -> str:
    return net.op("Concat", net.op("Relu", x), net.op("Relu", net.op("Neg", x)), axis=1)


VIDEO = np.array([[0.257, 0.504, 0.098], [-0.148, -0.291, 0.439], [0.439, -0.368, -0.071]], np.float32)


def video(scale: float) -> Stage:
    """Luma and chroma of raw pixels by a colour matrix, about 128, and scaled behind it."""

    def stage(net: ExportBuilder, x: str) -> str:
        mixed = net.op("Conv", x, VIDEO[..., None, None], np.array([16, 128, 128], np.float32))
        return net.op("Mul", net.op("Sub", mixed, 128.0), scale)

    return stage


@pytest.mark.parametrize(
    ("scale", "status"), [(0.0078, Status.PASSED), (1.0, Status.UNDECIDED), (0.0078 / 128, Status.UNDECIDED)]
)
def test_what_a_colour_matrix_leaves_is_scaled_behind_it_or_not(scale: float, status: Status, tmp_path: Path) -> None:
    """The matrix is no layer yet: what the layers behind it get is what counts."""
    names = ("c0", "c1", "Conv_2", "c3", "Sub_4", "c5", "Mul_6")
    facts = observed(video(scale), tmp_path, names=names)
    assert facts.need(PreprocessingFacts).server_because == ("Sub_4", "Mul_6")
    assert "mixes the colours of each pixel" in facts.need(PreprocessingFacts).obstacle
    outcome = preprocessing(facts, rule())
    assert outcome.status is status, outcome


def luma(scale: float) -> Stage:
    """Grey by a weighted sum over the colours, on three channels again."""

    def stage(net: ExportBuilder, x: str) -> str:
        weighted = net.op("Mul", x, np.array([0.299, 0.587, 0.114], np.float32)[:, None, None] * scale)
        grey = net.op("ReduceSum", weighted, np.array([1]), keepdims=1)
        return net.op("Concat", grey, grey, grey, axis=1)

    return stage


@pytest.mark.parametrize(("scale", "status"), [(1.0, Status.PASSED), (1 / 127.5, Status.FAILED)])
def test_a_luma_is_what_its_sum_gives(scale: float, status: Status, tmp_path: Path) -> None:
    facts = observed(luma(scale), tmp_path)
    assert "ReduceSum" in facts.need(PreprocessingFacts).obstacle
    assert preprocessing(facts, rule()).status is status, preprocessing(facts, rule())


def halves(scale: float) -> Stage:
    """Frames of a few rows each, put together again before the first layer: nothing of it has weights."""

    def stage(net: ExportBuilder, x: str) -> str:
        scaled = net.op("Mul", x, scale / 255)
        cut = net.op("Reshape", scaled, np.array([-1, 3, 2, 56, 112]))
        return net.op("Mul", net.op("Reshape", cut, np.array([-1, 3, 112, 112])), 127.5 / scale)

    return stage


@pytest.mark.parametrize("scale", [1.0, 255.0, 255.0 * 255])
def test_a_node_without_weights_refuses_nothing_by_itself(scale: float, tmp_path: Path) -> None:
    """The graph is followed to the Reshape only, which gets 1/255, 1 or 255 of what is fed; the layer gets half."""
    facts = observed(halves(scale), tmp_path)
    assert facts.need(PreprocessingFacts).unsure == "Reshape (node '/Reshape_3') is no layer with weights yet"
    assert preprocessing(facts, rule()).status is Status.PASSED, preprocessing(facts, rule())


def test_a_node_without_weights_hides_no_mistake(tmp_path: Path) -> None:
    def twice(net: ExportBuilder, x: str) -> str:
        return net.op("Reshape", net.op("Mul", x, 1 / 255), np.array([-1, 3, 112, 112]))

    facts = observed(twice, tmp_path)
    assert preprocessing(facts, rule()).status is Status.FAILED, preprocessing(facts, rule())
    unrun = Facts.of(facts.need(PreprocessingFacts))
    assert preprocessing(unrun, rule()).status is Status.UNDECIDED


def test_a_curve_that_grows_without_end_on_the_other_feed_passes(tmp_path: Path) -> None:
    """Each round squares what it gets: pixels of 0..255 are infinite in the end, and those as served are not."""

    def curve(net: ExportBuilder, x: str) -> str:
        y = unit(net, x)
        for _ in range(8):
            y = net.op("Sub", y, net.op("Mul", net.op("Sub", net.op("Mul", y, y), y), 0.2))
        return y

    facts = observed(curve, tmp_path)
    stage = facts.need(FirstStageFacts)
    assert (stage.served.finite, stage.other.finite) == (True, False)
    assert msgspec.json.decode(msgspec.json.encode(stage), type=FirstStageFacts) == stage
    assert preprocessing(facts, rule()).status is Status.PASSED, preprocessing(facts, rule())


@pytest.mark.parametrize("gain", [1.0, 10.0])
def test_a_kernel_that_is_computed_is_a_layer(gain: float, tmp_path: Path) -> None:
    """Weights by a stored gain, as some exporters leave them: pixels that are normalised twice reach a layer."""
    net = ExportBuilder(77)
    twice = net.op("Mul", "data", 1 / 127.5)
    kernel = net.op("Mul", np.random.default_rng(1).standard_normal((8, 3, 4, 4)).astype(np.float32), gain)
    y = net.op("Conv", twice, kernel, kernel_shape=[4, 4], strides=[4, 4])
    y = net.conv(y, "next", (8, 8, 4, 4), 4)
    model = net.model(net.linear(net.op("Flatten", y, axis=1), "embed", 8 * 49, 64))
    for index, node in enumerate(model.graph.node):
        node.name = f"/{node.op_type}_{index}"
    onnx.save(model, str(tmp_path / "model.onnx"))
    path = tmp_path / "model.onnx"
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="", sha256="", bytes=1)
    found = gather(Context(path, tmp_path, Facts.of(package), RunOptions()))
    assert not found.unsure
    assert preprocessing(Facts.of(found), rule()).status is Status.FAILED


HONEST = [
    (standardised, 3), (pyramid, 6), (hsv, 3), (local_contrast, 3), (oval, 3), (gated, 3), (logarithms, 3),
    (both_signs, 6),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "channels"), HONEST, ids=lambda value: getattr(value, "__name__", ""))
def test_a_first_stage_made_for_what_the_server_feeds_passes(stage: Stage, channels: int, tmp_path: Path) -> None:
    facts = observed(stage, tmp_path, channels)
    assert facts.need(PreprocessingFacts).not_affine
    assert preprocessing(facts, rule()).status is Status.PASSED, preprocessing(facts, rule())
    outcome = rgb_order(facts, rule("rgb_order"))
    assert outcome.status is Status.PASSED
    assert "when red and blue are exchanged" in outcome.measured


def test_an_image_that_standardises_itself_does_not_notice(tmp_path: Path) -> None:
    outcome = preprocessing(observed(standardised, tmp_path), rule())
    assert "scales each image by itself" in outcome.message


def raw_logarithms(net: ExportBuilder, x: str) -> str:
    return net.op("Log", net.op("Add", net.op("Mul", x, 1 / 255), 1.05))


def raw_roots(net: ExportBuilder, x: str) -> str:
    return net.op("Mul", net.op("Sqrt", net.op("Max", x, 0.0)), 1 / 16)


def raw_curve(net: ExportBuilder, x: str) -> str:
    return net.op("Tanh", net.op("Mul", net.op("Sub", x, 127.5), 1 / 127.5))


@pytest.mark.parametrize("stage", [raw_logarithms, raw_roots, raw_curve])
def test_a_first_stage_made_for_raw_pixels_fails_where_the_server_normalises(stage: Stage, tmp_path: Path) -> None:
    outcome = preprocessing(observed(stage, tmp_path), rule())
    assert outcome.status is Status.FAILED, outcome
    assert "made for pixels of 0..255" in outcome.message


def test_the_same_passes_where_names_make_the_server_feed_raw_pixels(tmp_path: Path) -> None:
    facts = observed(raw_curve, tmp_path, names=("Sub_0", "Mul_1"))
    assert preprocessing(facts, rule()).status is Status.PASSED


def test_a_rulebook_that_feeds_raw_pixels_reads_the_other_view(tmp_path: Path) -> None:
    facts = observed(raw_curve, tmp_path)
    assert preprocessing(facts, rule(feed="raw")).status is Status.PASSED
    assert preprocessing(observed(logarithms, tmp_path), rule(feed="raw")).status is not Status.UNDECIDED


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, Status.PASSED),
        ({"served": StageView(spread=0.5)}, Status.PASSED),
        ({"served": StageView(spread=0.49)}, Status.UNDECIDED),
        ({"served": StageView(spread=16.1)}, Status.UNDECIDED),
        ({"served": StageView(spread=0.49), "other": StageView(spread=2.0)}, Status.UNDECIDED),
        ({"served": StageView(spread=0.13), "other": StageView(spread=2.0)}, Status.UNDECIDED),
        ({"served": StageView(spread=0.12), "other": StageView(spread=2.0)}, Status.FAILED),
        ({"served": StageView(spread=64.1), "other": StageView(spread=2.0)}, Status.FAILED),
        ({"served": StageView(spread=2.0, middle=32.1), "other": StageView(spread=2.0)}, Status.FAILED),
        ({"served": StageView(spread=2.0, pixels_lost=0.21), "other": StageView(spread=2.0)}, Status.FAILED),
        ({"served": StageView(spread=2.0, middle=8.1)}, Status.UNDECIDED),
        ({"served": StageView(spread=2.0, finite=False)}, Status.UNDECIDED),
        ({"served": StageView(spread=2.0, pixels_lost=0.2)}, Status.PASSED),
        ({"served": StageView(spread=2.0, pixels_lost=0.21)}, Status.UNDECIDED),
        ({"served": StageView(spread=0.4), "change": 1e-3}, Status.PASSED),
        ({"served": StageView(spread=0.4), "change": 1.1e-3}, Status.UNDECIDED),
        ({"served": StageView(spread=0.4), "change": 1e-3, "apart": 9e-3}, Status.UNDECIDED),
    ],
)
def test_limits_of_what_the_first_layers_get(change: dict[str, Any], status: Status) -> None:
    stage = FirstStageFacts(
        layers=("Conv_3",),
        served=StageView(spread=2.0),
        other=StageView(spread=255.0),
        change=0.3,
        apart=0.5,
        images=4,
    )
    found = PreprocessingFacts(
        first_names=(), server_mean=127.5, server_std=127.5, obstacle="Log changes", not_affine=True
    )
    stage = msgspec.structs.replace(stage, **change)
    assert preprocessing(Facts.of(found, stage), rule()).status is status


def test_without_a_run_it_stays_undecided(tmp_path: Path) -> None:
    found = observed(logarithms, tmp_path).need(PreprocessingFacts)
    assert preprocessing(Facts.of(found), rule()).status is Status.UNDECIDED
    assert rgb_order(Facts.of(found), rule("rgb_order")).status is Status.UNDECIDED


def test_an_affine_first_stage_is_not_run(tmp_path: Path) -> None:
    assert observed(unit, tmp_path).need(FirstStageFacts) == FirstStageFacts()


def test_filters_of_each_channel_are_no_layer_yet() -> None:
    net = ExportBuilder(1)
    y = net.op("Conv", "data", np.ones((3, 1, 5, 5), np.float32) / 25, kernel_shape=[5, 5], pads=[2] * 4, group=3)
    y = net.conv(net.op("Sub", "data", y), "first", (8, 3, 3, 3), 2, 1)
    model = net.model(net.linear(net.op("Flatten", net.conv(y, "next", (8, 8, 4, 4), 4)), "embed", 8 * 196, 64))
    (layer,) = first_layers(from_model(model, Path()))
    assert layer[0].op == "Conv"
    assert layer[0].inputs[1] == "first.w"
