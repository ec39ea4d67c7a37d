"""Rules preprocessing and rgb-order, on models whose first nodes are built in code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.preprocessing.gather import gather
from pytest_facechallenge.checks.preprocessing import preprocessing, rgb_order
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.facts.preprocessing import PreprocessingFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RuleTable, TrackTable
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.onnx_graph.server_feed import server_feed

SIDE = 6


def rule(check: str = "preprocessing", **parameters: Any) -> Rule:
    table = RuleTable(clause="Rules 8", text="", check=check, parameters=parameters)
    book = Rulebook(
        schema="facechallenge-rulebook/1",
        id="test",
        title="",
        version="1",
        date="",
        source="",
        tracks={"A": TrackTable(title="A")},
        rules={check: table},
    )
    return book.rules_of("A")[0]


Step = tuple[str, str, Any]


def model_of(*steps: Step, layout: str = "NCHW", opset: int = 13) -> onnx.ModelProto:
    """Build input -> steps -> Conv; a step is (name, op, constants as a list or attributes as a dict)."""
    nodes, stored, value = [], [], "x"
    for i, (name, op, given) in enumerate(steps):
        constants = given if isinstance(given, list) else given.get("inputs", [])
        names = [f"c{i}_{j}" for j in range(len(constants))]
        stored += [
            numpy_helper.from_array(np.asarray(values), key) for key, values in zip(names, constants, strict=True)
        ]
        attributes = {} if isinstance(given, list) else {key: v for key, v in given.items() if key != "inputs"}
        nodes.append(helper.make_node(op, [value, *names], [f"v{i}"], name=name, **attributes))
        value = f"v{i}"
    kernel = np.random.default_rng(3).standard_normal((4, 3, 3, 3)).astype(np.float32)
    stored.append(numpy_helper.from_array(kernel, "kernel"))
    nodes.append(helper.make_node("Conv", [value, "kernel"], ["y"], name="stem"))
    shape: list[str | int | None] = ["N", 3, SIDE, SIDE] if layout == "NCHW" else ["N", SIDE, SIDE, 3]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def facts_of(model: onnx.ModelProto, folder: Path) -> PreprocessingFacts:
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name="", sha256="", bytes=1)
    return gather(Context(path, folder, Facts.of(package), RunOptions()))


def f(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(values, np.float32).reshape(1, -1, 1, 1) if len(values) > 1 else np.float32(values[0])  # type: ignore[return-value]


SUB, MUL = ("Sub_0", "Sub", [f(127.5)]), ("Mul_1", "Mul", [f(0.0078125)])
IMAGENET_MEAN, IMAGENET_STD = f(123.675, 116.28, 103.53), f(58.395, 57.12, 57.375)

FITTING: dict[str, tuple[Step, ...]] = {
    "nothing, the server normalises": (),
    "named as the server expects": (SUB, MUL),
    "mxnet's names": (("_minusscalar0", "Sub", [f(127.5)]), ("_mulscalar0", "Mul", [f(0.0078125)])),
    "a division": (("Sub_a", "Sub", [IMAGENET_MEAN]), ("Div_b", "Div", [IMAGENET_STD])),
    "batch normalisation of what the server feeds": (
        ("bn", "BatchNormalization", [np.ones(3, "f"), np.zeros(3, "f"), np.zeros(3, "f"), np.full(3, 0.25, "f")]),
    ),
    "undone, then done again": (
        ("/Mul", "Mul", [f(127.5)]),
        ("/Add", "Add", [f(127.5)]),
        ("/Div", "Div", [f(255.0)]),
    ),
    "a cast and padding between": (
        ("cast", "Cast", {"to": TensorProto.FLOAT}),
        SUB,
        ("pad", "Pad", [np.array([0, 0, 1, 1, 0, 0, 1, 1])]),
        MUL,
    ),
}

MISFITS: dict[str, tuple[tuple[Step, ...], str]] = {
    "exporter's names": ((("/Sub", "Sub", [f(127.5)]), ("/Mul", "Mul", [f(0.0078125)])), "more than once"),
    "no names": ((("", "Sub", [f(127.5)]), ("", "Div", [f(128.0)])), "more than once"),
    "only scaled": ((("Div_0", "Div", [f(255.0)]),), "more than once"),
    "added instead of subtracted": (
        (("Add_0", "Add", [f(-127.5)]), ("Mul_1", "Mul", [f(0.0078125)])),
        "more than once",
    ),
    "one 1x1 depthwise convolution": (
        (("conv0", "Conv", {"inputs": [np.full((3, 1, 1, 1), 1 / 128, "f"), np.full(3, -1, "f")], "group": 3}),),
        "more than once",
    ),
    "batch normalisation of raw pixels": (
        (("bn", "BatchNormalization", [np.ones(3, "f"), np.zeros(3, "f"), *np.full((2, 3), 4000, "f")]),),
        "more than once",
    ),
    "names without a normalisation": (
        (("Sub_0", "Sub", [f(0.0)]), ("Mul_1", "Mul", [f(1.0)])),
        "Nothing normalises",
    ),
    "only the mean, a second time": ((("/Sub", "Sub", [f(127.5)]),), "mean is taken away more than once"),
    "one channel forgotten": ((SUB, ("Mul_1", "Mul", [f(0.0078125, 0.0078125, 1)])), "Nothing normalises"),
}


@pytest.mark.parametrize("name", FITTING)
def test_one_normalisation_passes(name: str, tmp_path: Path) -> None:
    outcome = preprocessing(Facts.of(facts_of(model_of(*FITTING[name]), tmp_path)), rule())

    assert outcome.status is Status.PASSED, outcome


@pytest.mark.parametrize("name", MISFITS)
def test_another_number_of_normalisations_fails(name: str, tmp_path: Path) -> None:
    steps, words = MISFITS[name]

    outcome = preprocessing(Facts.of(facts_of(model_of(*steps), tmp_path)), rule())

    assert outcome.status is Status.FAILED, outcome
    assert words in outcome.message
    assert outcome.remedy


WIDE: dict[str, tuple[Step, ...]] = {
    "a mean taken away": (("Sub_0", "Sub", [IMAGENET_MEAN]), ("Mul_1", "Mul", [f(1.0)])),
    "the range of video": (("Sub_0", "Sub", [f(128.0)]), ("Mul_1", "Mul", [f(255 / 219)])),
}


@pytest.mark.parametrize("name", WIDE)
def test_pixels_that_a_graph_changes_and_leaves_wide_are_undecided(name: str, tmp_path: Path) -> None:
    """A network may have been trained on them: nothing in the graph says so, and nothing says otherwise."""
    outcome = preprocessing(Facts.of(facts_of(model_of(*WIDE[name]), tmp_path)), rule())

    assert outcome.status is Status.UNDECIDED, outcome
    assert "may be handed in" in outcome.message
    assert "The accuracy on a testset shows which it is." in outcome.remedy


@pytest.mark.parametrize("name", WIDE)
def test_what_the_remedy_for_wide_pixels_says_passes(name: str, tmp_path: Path) -> None:
    """The network is the same where its first layer's weights are 128 times as large."""
    steps = (*WIDE[name], ("scaled", "Mul", [f(0.0078125)]))
    outcome = preprocessing(Facts.of(facts_of(model_of(*steps), tmp_path)), rule())

    assert outcome.status is Status.PASSED, outcome


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        (0.5, Status.PASSED), (0.499, Status.UNDECIDED), (0.1251, Status.UNDECIDED), (0.1249, Status.FAILED),
        (16.0, Status.PASSED), (16.01, Status.UNDECIDED), (63.9, Status.UNDECIDED), (64.1, Status.UNDECIDED),
    ],
)  # fmt: skip
def test_limits_of_the_spread(spread: float, expected: Status, tmp_path: Path) -> None:
    """A network may have been trained beyond a limit; the known mistakes miss it by 16 times and more."""
    steps = (("Sub_0", "Sub", [f(127.5)]), ("Mul_1", "Mul", [np.float64(spread / 255).astype(np.float64)]))
    facts = facts_of(model_of(*steps), tmp_path)

    assert preprocessing(Facts.of(facts), rule()).status is expected


@pytest.mark.parametrize(
    ("offset", "status"),
    [(8.0, Status.PASSED), (8.01, Status.UNDECIDED), (-8.01, Status.UNDECIDED), (32.1, Status.FAILED)],
)
def test_limits_of_the_offset(offset: float, status: Status, tmp_path: Path) -> None:
    """The server feeds -1 to 1, which lie 2 apart: a middle at 8 is 4 times that away from zero."""
    facts = facts_of(model_of(("Add_0", "Add", [np.float64(offset).astype(np.float64)])), tmp_path)

    outcome = preprocessing(Facts.of(facts), rule())
    assert outcome.status is status
    if status is Status.UNDECIDED:
        assert "the middle of black and white lies 4.005 times as far from zero as they lie apart" in outcome.message
        assert outcome.limit == "middle at most 4 times"


@pytest.mark.parametrize(("steps", "status"), [((), Status.FAILED), ((SUB, MUL), Status.PASSED)])
def test_a_challenge_that_feeds_raw_pixels(steps: tuple[Step, ...], status: Status, tmp_path: Path) -> None:
    facts = facts_of(model_of(*steps), tmp_path)

    assert preprocessing(Facts.of(facts), rule(feed="raw")).status is status


@pytest.mark.parametrize(
    "steps",
    [
        (SUB, MUL),
        (("Sub_a", "Sub", [IMAGENET_MEAN]), ("Div_b", "Div", [IMAGENET_STD])),
        (("bn", "BatchNormalization", [np.full(3, 2, "f"), np.arange(3, dtype="f"), *np.full((2, 3), 9, "f")]),),
        (("swap", "Gather", {"inputs": [np.array([2, 1, 0])], "axis": 1}), ("Mul", "Mul", [f(1, 2, 3)])),
        (
            ("swap", "Slice", [np.array([-1]), np.array([-9]), np.array([1]), np.array([-1])]),
            ("a", "Add", [f(1, 2, 3)]),
        ),
        (
            (
                "conv",
                "Conv",
                {"inputs": [np.eye(3, dtype="f")[::-1].reshape(3, 3, 1, 1).copy(), np.arange(3.0, dtype="f")]},
            ),
        ),
    ],
)
def test_the_map_is_what_the_runtime_computes(steps: tuple[Step, ...], tmp_path: Path) -> None:
    model = model_of(*steps)
    (layer,) = facts_of(model, tmp_path).layers
    model.graph.output.append(helper.make_tensor_value_info(model.graph.node[-1].input[0], TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(5).uniform(0, 255, (2, 3, SIDE, SIDE)).astype(np.float32)

    seen = session.run(None, {"x": pixels})[1]

    for i, channel in enumerate(layer.channels):
        np.testing.assert_allclose(
            seen[:, i], pixels[:, channel.source] * channel.gain + channel.offset, rtol=1e-5, atol=1e-6
        )


def test_a_constant_computed_from_constants_is_read(tmp_path: Path) -> None:
    model = model_of(SUB, MUL)
    model.graph.node.insert(0, helper.make_node("Neg", ["c0_0"], ["minus"]))
    model.graph.node.insert(1, helper.make_node("Neg", ["minus"], ["mean"]))
    model.graph.node[2].input[1] = "mean"

    assert facts_of(model, tmp_path).layers[0].channels[0].offset == pytest.approx(-127.5 * 0.0078125)


def test_channels_last_then_transposed(tmp_path: Path) -> None:
    steps = (("t", "Transpose", {"perm": [0, 3, 1, 2]}), SUB, MUL)

    outcome = preprocessing(Facts.of(facts_of(model_of(*steps, layout="NHWC"), tmp_path)), rule())

    assert outcome.status is Status.PASSED


@pytest.mark.parametrize(
    "step", [("pow", "Pow", [f(0.5)]), ("mean_image", "Sub", [np.arange(36, dtype="f").reshape(6, 6)])]
)
def test_what_cannot_be_followed_is_undecided(step: Step, tmp_path: Path) -> None:
    facts = Facts.of(facts_of(model_of(step), tmp_path))

    assert preprocessing(facts, rule()).status is Status.UNDECIDED
    assert rgb_order(facts, rule("rgb_order")).status is Status.UNDECIDED


def test_a_ninth_name_is_not_read(tmp_path: Path) -> None:
    padding: tuple[Step, ...] = tuple((f"id{i}", "Identity", []) for i in range(7))

    assert facts_of(model_of(*padding, SUB, MUL), tmp_path).server_std == 127.5
    assert facts_of(model_of(*padding[:6], SUB, MUL), tmp_path).server_std == 1.0


@pytest.mark.parametrize(
    ("names", "std"),
    [
        (("Sub_0", "Mul_1"), 1.0),
        (("Mul_0", "Sub_1"), 1.0),
        (("_minus0", "Div_1"), 1.0),
        (("Sub_0",), 127.5),
        (("Mul_0", "Div_1"), 127.5),
        (("/Sub", "/Mul"), 127.5),
        (("sub", "mul"), 127.5),
        (("", ""), 127.5),
    ],
)
def test_names_decide_what_the_server_feeds(names: tuple[str, ...], std: float) -> None:
    assert server_feed(names)[:2] == ((0.0, 1.0) if std == 1 else (127.5, 127.5))


@pytest.mark.parametrize(
    ("steps", "order"),
    [
        ((), "RGB"),
        ((("swap", "Gather", {"inputs": [np.array([2, 1, 0])], "axis": 1}),), "BGR"),
        ((("swap", "Slice", [np.array([-1]), np.array([-4]), np.array([1]), np.array([-1])]),), "BGR"),
        ((("conv", "Conv", {"inputs": [np.eye(3, dtype="f")[::-1].reshape(3, 3, 1, 1).copy()]}),), "BGR"),
    ],
)
def test_order_of_channels(steps: tuple[Step, ...], order: str, tmp_path: Path) -> None:
    outcome = rgb_order(Facts.of(facts_of(model_of(*steps), tmp_path)), rule("rgb_order"))

    assert outcome.status is Status.PASSED
    assert outcome.measured == order
    assert ("turns RGB into BGR" in " ".join(outcome.notes)) == (order == "BGR")


def test_split_and_concat_swap_channels(tmp_path: Path) -> None:
    model = model_of()
    model.graph.node.insert(0, helper.make_node("Split", ["x"], ["r", "g", "b"], axis=1))
    model.graph.node.insert(1, helper.make_node("Concat", ["b", "g", "r"], ["bgr"], axis=1))
    model.graph.node[2].input[0] = "bgr"

    assert [c.source for c in facts_of(model, tmp_path).layers[0].channels] == [2, 1, 0]


def test_facts_survive_json(tmp_path: Path) -> None:
    facts = facts_of(model_of(SUB, MUL), tmp_path)

    assert msgspec.json.decode(msgspec.json.encode(facts), type=PreprocessingFacts) == facts


def test_a_layer_that_scales_by_itself_does_not_mind(tmp_path: Path) -> None:
    norm = ("norm", "InstanceNormalization", [np.ones(3, "f"), np.zeros(3, "f")])
    steps = (("/Sub", "Sub", [f(127.5)]), ("/Mul", "Mul", [f(0.0078125)]), norm)

    assert preprocessing(Facts.of(facts_of(model_of(*steps), tmp_path)), rule()).status is Status.PASSED
