"""fvcore's opinion, by the real fvcore, and the interpreter that shows it a submission."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.analyses.flops_crosscheck.gather import crosscheck, gather
from pytest_facechallenge.analyses.flops_crosscheck.options import CrosscheckOptions
from pytest_facechallenge.analyses.flops_crosscheck.torch_interpreter import module_of
from pytest_facechallenge.checks.flops import flops_crosscheck
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.facts.flops import CrosscheckFacts, GroupCount
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.onnx_graph.ir import from_model
from pytest_facechallenge.refnets import build, save

from .build import model
from .rules import rule

MODULE = """
import torch

def net(width=8):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), torch.nn.BatchNorm2d(width), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(width, 16))

def wide():
    return net(12)

def broken():
    raise RuntimeError("no weights here")
"""
SUBMISSION = (
    "g (float[N,3,112,112] x, float[8,3,3,3] w, float[8] wb, float[8,16] wf, float[16] wg) => (y) "
    "{ c = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w, wb)\n r = Relu(c)\n p = GlobalAveragePool(r)\n f = Flatten(p)\n"
    "y = Gemm(f, wf, wg) }"
)
CONV_MACS = 8 * 3 * 9 * 56 * 56


@pytest.fixture
def submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_net.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    onnx.save(model(SUBMISSION), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def groups(found: CrosscheckFacts) -> dict[str, tuple[int | None, int | None, int | None]]:
    return {group.group: (group.ours, group.submission, group.module) for group in found.groups}


@pytest.mark.parametrize("name", ["mobilefacenet-small", "vit-tiny"])
def test_fvcore_finds_the_same_products_in_a_network(name: str, tmp_path: Path) -> None:
    save(name, tmp_path / "model.onnx")
    found = crosscheck(tmp_path / "model.onnx")
    assert found.problem == ""
    for kind, (ours, theirs, _) in groups(found).items():
        assert ours == theirs or (kind == "normalisation" and ours is None)
    assert sum(group.ours or 0 for group in found.groups) == facts_of(from_model(build(name), Path())).macs
    assert flops_crosscheck(Facts.of(found), rule(None)).status is Status.PASSED


def test_fvcore_on_the_participants_module(submission: Path) -> None:
    found = crosscheck(submission, "own_net:net")
    assert (found.problem, found.module_problem) == ("", "")
    assert groups(found)["convolutions"] == (CONV_MACS, CONV_MACS, CONV_MACS)
    assert groups(found)["matrix products"] == (128, 128, 128)
    assert any("normalisation: fvcore adds" in line and "the module" in line for line in found.explanations)
    assert flops_crosscheck(Facts.of(found), rule(None)).status is Status.PASSED


def test_module_that_is_not_the_submission(submission: Path) -> None:
    found = crosscheck(submission, "own_net:wide")
    outcome = flops_crosscheck(Facts.of(found), rule(None))
    assert outcome.status is Status.FAILED
    assert f"fvcore finds {CONV_MACS * 12 // 8:,} MACs in the module, we find {CONV_MACS:,}" in outcome.message


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("own_net", "write package.module:factory"),
        ("own_net:nothing", "AttributeError"),
        ("no_such_net:net", "ModuleNotFoundError"),
        ("own_net:broken", "RuntimeError: no weights here"),
        ("own_net:MODULE_NAME.x", "gave no module"),
        ("builtins:dict", "it gave dict"),
    ],
)
def test_module_that_cannot_be_had(submission: Path, reference: str, says: str) -> None:
    found = crosscheck(submission, reference)
    assert says in found.module_problem
    assert groups(found)["convolutions"] == (CONV_MACS, CONV_MACS, None)
    assert flops_crosscheck(Facts.of(found), rule(None)).status is Status.UNDECIDED


def test_operator_that_the_interpreter_does_not_know(tmp_path: Path) -> None:
    onnx.save(model("g (float[N,3,4,4] x) => (y) { y = com.microsoft.QuickGelu(x) }"), tmp_path / "model.onnx")
    found = crosscheck(tmp_path / "model.onnx")
    assert "does not know 'QuickGelu_0' (com.microsoft.QuickGelu)" in found.problem
    assert flops_crosscheck(Facts.of(found), rule(None)).status is Status.UNDECIDED


def test_without_fvcore(submission: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "fvcore":
            raise ImportError("No module named 'fvcore'", name="fvcore")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    found = crosscheck(submission, "own_net:net")
    assert "fvcore is not installed" in found.problem
    assert "pytest-facechallenge[fvcore]" in found.problem
    assert flops_crosscheck(Facts.of(found), rule(None)).status is Status.UNDECIDED


def test_only_when_asked(submission: Path) -> None:
    from pytest_facechallenge.core.facts.package import PackageFacts

    package = PackageFacts(
        form="onnx", entries=(), model_path=str(submission), model_name="model.onnx", sha256="", bytes=1
    )
    ours = facts_of(from_model(model(SUBMISSION), Path()))

    def asked(*options: CrosscheckOptions) -> CrosscheckFacts:
        run = RunOptions().with_analyses(*options)
        return gather(Context(submission, submission.parent, Facts.of(package, ours), run))

    assert not asked().asked
    assert asked(CrosscheckOptions(requested=True)).module_factory == ""
    assert asked(CrosscheckOptions(requested=True, factory="own_net:net")).module_problem == ""
    assert flops_crosscheck(Facts.of(asked()), rule(None)).status is Status.NOT_APPLICABLE


def test_einsum_is_compared_within_the_digits_that_fvcore_has(tmp_path: Path) -> None:
    """fvcore reads 602,112 from a report that says 1.204e+06 operations."""
    text = 'g (float[N,3,112,112] x, float[16,3] w) => (y) { y = Einsum<equation="nchw,oc->nohw">(x, w) }'
    onnx.save(model(text), tmp_path / "model.onnx")
    found = crosscheck(tmp_path / "model.onnx")
    assert groups(found)["matrix products"] == (602_112, 602_000, None)
    assert any("a report of four digits" in line for line in found.explanations)
    assert flops_crosscheck(Facts.of(found), rule(None)).status is Status.PASSED


ATTENTION = """
import torch

class Attention(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.scaled_dot_product_attention(x, x, x)
"""


def test_what_fvcore_leaves_out_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_attention.py").write_text(ATTENTION, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    text = (
        "g (float[N,2,6,4] x) => (y) { t = Transpose<perm=[0,1,3,2]>(x)\n a = MatMul(x, t)\n b = Softmax(a)\n"
        "y = MatMul(b, x) }"
    )
    onnx.save(model(text), tmp_path / "model.onnx")
    found = crosscheck(tmp_path / "model.onnx", "own_attention:Attention")
    assert groups(found)["matrix products"] == (576, 576, 0)
    assert found.left_out == ("aten::scaled_dot_product_attention in own_attention:Attention",)
    outcome = flops_crosscheck(Facts.of(found), rule(None))
    assert outcome.status is Status.UNDECIDED
    assert "fvcore has no count for aten::scaled_dot_product_attention" in outcome.message


def test_counts_that_differ_fail() -> None:
    found = CrosscheckFacts(asked=True, groups=(GroupCount(group="convolutions", ours=10, submission=11),))
    assert flops_crosscheck(Facts.of(found), rule(None)).status is Status.FAILED


@pytest.mark.parametrize("name", ["mobilefacenet-small", "vit-tiny"])
def test_interpreter_computes_what_the_runtime_computes(name: str) -> None:
    import torch

    made = build(name)
    image = np.random.default_rng(3).uniform(0, 255, (1, 3, 112, 112)).astype(np.float32)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {made.graph.input[0].name: image})[0]
    with torch.no_grad():
        (result,) = module_of(from_model(made, Path()))(torch.from_numpy(image))
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(result.numpy() / scale, expected / scale, atol=1e-4)


OPEN = "g (float[1,4,6,6] x"
OPERATORS = {
    "activations": OPEN + ", float[4,1,1] w) => (float[1,4,6,6] y) { a = LeakyRelu<alpha=0.2>(x)\n b = Elu(a)\n"
    "c = HardSigmoid(b)\n d = HardSwish(x)\n e = PRelu(x, w)\n f = Softplus(e)\n g = Add(c, d)\n h = Mul(g, f)\n"
    "lo = Constant<value_float = -1.0>()\n hi = Constant<value_float = 2.0>()\n y = Clip(h, lo, hi) }",
    "pooling": OPEN + ") => (float[1,4,3,3] y) { a = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)\n"
    "y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(a) }",
    "same padding": OPEN + ", float[5,4,3,3] w) => (float[1,5,3,3] y) "
    '{ y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w) }',
    "deconvolution": OPEN + ", float[4,2,3,3] w) => (float[1,R,S,T] y) "
    "{ y = ConvTranspose<strides=[2,2], pads=[1,1,1,1], output_padding=[1,1], group=2>(x, w) }",
    "split, slice, gather, concat": OPEN + ") => (float[1,R,S,T] y) { a, b = Split<axis=1>(x)\n"
    "s = Constant<value_ints = [-1]>()\n e = Constant<value_ints = [-9]>()\n k = Constant<value_ints = [3]>()\n"
    "c = Slice(a, s, e, k, s)\n i = Constant<value_ints = [1, -1]>()\n d = Gather<axis=2>(b, i)\n"
    "f = Gather<axis=2>(c, i)\n y = Concat<axis=1>(d, f) }",
    "space and depth": OPEN + ") => (float[1,R,S,T] y) { a = SpaceToDepth<blocksize=2>(x)\n"
    'b = DepthToSpace<blocksize=2, mode="CRD">(a)\n c = SpaceToDepth<blocksize=2>(b)\n'
    "y = DepthToSpace<blocksize=2>(c) }",
    "norms": OPEN
    + ", float[4] wa, float[4] wb, float[6] wc) => (float[1,4,6,6] y) { a = InstanceNormalization(x, wa, wb)\n"
    "b = LayerNormalization(a, wc, wc)\n y = LpNormalization<axis=1>(b) }",
    "reductions": OPEN + ") => (float[R] y) { a = ReduceL2<axes=[1]>(x)\n b = ReduceMax<axes=[2], keepdims=0>(a)\n"
    "c = ReduceL1<axes=[-1], keepdims=0>(b)\n d = ReduceSumSquare(c)\n f = Constant<value_ints = [-1]>()\n"
    "y = Reshape(d, f) }",
    "shapes": OPEN + ") => (float[R,S] y) { s = Shape(x)\n i = Constant<value_ints = [0]>()\n n = Gather(s, i)\n"
    "m = Constant<value_ints = [-1]>()\n k = Concat<axis=0>(n, m)\n r = Reshape(x, k)\n u = Unsqueeze(r, i)\n"
    "v = Squeeze(u, i)\n z = Constant<value_ints = [1, 2]>()\n t = Tile(v, z)\n e = Constant<value_ints = [3, 1]>()\n"
    "y = Expand(t, e) }",
    "whole numbers divided, and slices by them": OPEN + ") => (float[1,R,S,T] y) { s = Shape(x)\n"
    "i = Constant<value_ints = [3]>()\n n = Gather(s, i)\n f = Constant<value_ints = [4]>()\n d = Div(n, f)\n"
    "m = Mul(d, f)\n y = Slice(x, d, m, i) }",
    "padding and resizing": OPEN + ") => (float[1,R,S,T] y) { p = Constant<value_ints = [0,0,1,2,0,0,0,1]>()\n"
    "a = Pad(x, p)\n f = Constant<value_floats = [1.0,1.0,2.0,2.0]>()\n"
    'y = Resize<mode="linear", coordinate_transformation_mode="half_pixel">(a, , f) }',
    "products": OPEN + ", float[6,3] w, float[3] wb) => (float[R,S] y) { k = Constant<value_ints = [24,6]>()\n"
    'r = Reshape(x, k)\n g = Gemm<alpha=0.5, beta=2.0>(r, w, wb)\n y = Einsum<equation="ij,kj->ik">(g, g) }',
}


@pytest.mark.parametrize("text", OPERATORS.values(), ids=OPERATORS)
def test_interpreter_operators(text: str) -> None:
    import torch

    made = model(text)
    x = np.random.default_rng(3).normal(size=(1, 4, 6, 6)).astype(np.float32)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        (result,) = module_of(from_model(made, Path()))(torch.from_numpy(x))
    np.testing.assert_allclose(result.numpy(), session.run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)
