"""One cause, one finding: what a cause explains is undecided because of the rule that owns it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pytest_facechallenge.checks.batch import batch
from pytest_facechallenge.checks.causes import CAUSES
from pytest_facechallenge.checks.registry import CHECKS
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.facts.behaviour import BatchFacts, BatchRun, LoadFacts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts, MarkedNode, ValueDeclaration
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.facts.server import ServerFacts
from pytest_facechallenge.core.outcome import Status, VerdictWord
from pytest_facechallenge.core.verdict import verdict
from pytest_facechallenge.engine.explanations import owner_rule, steps_of
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.engine.judge import judge_rule
from tests.support.findings import broken, explained, findings
from tests.support.gathering import rule
from tests.support.models import network, pack, save

IMAGE = ValueDeclaration(name="data", dtype="float", shape=("N", 3, 112, 112))
INTERFACE = InterfaceFacts(
    ir_version=6, opsets={"ai.onnx": 11}, producer="", inputs=(IMAGE,), outputs=(IMAGE,), nodes=9, all_nodes=9,
    operators={}, functions=0,
)  # fmt: skip
PACKAGE = PackageFacts(form="onnx", entries=(), model_path="m", model_name="m", sha256="", bytes=1)
LOAD = LoadFacts(error="", asked="cpu", providers=(), runtime="")


def test_causes_have_names_and_sentences_of_their_own() -> None:
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)
    assert len({cause.about for cause in CAUSES}) == len(CAUSES)
    assert all(cause.about.endswith(".") for cause in CAUSES)


def test_no_rule_asks_for_timing_or_testsets_because_of_a_cause() -> None:
    late = {"latency", "server_latency", "accuracy", "server", "implicit_batch"}
    for check in load_checks().values():
        assert not late & (set(steps_of(check)) - set(check.steps))
    declared = load_checks()["declared_organization"]
    assert steps_of(declared) == ("declaration",)


def test_a_rule_on_a_track_without_the_owner_is_judged_itself() -> None:
    load_checks()
    book = load_rulebooks()["mfr21"]
    rules = {name: table for name, table in book.rules.items() if name != "input"}
    other = msgspec.structs.replace(rule("batch"), book=msgspec.structs.replace(book, rules=rules))
    assert owner_rule(other, "input_shape") is None
    assert owner_rule(rule("batch"), "input_shape") is not None


def test_two_inputs(tmp_path: Path) -> None:
    extra = [helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["N", 10])]
    found = findings(save(network(extra_inputs=extra), tmp_path / "model.onnx"), tmp_path / "work")
    assert broken(found) == {"input"}
    assert set(explained(found).values()) == {"input"}


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_an_input_of_another_type_than_the_weights(tmp_path: Path, dtype: int) -> None:
    found = findings(save(network(dtype=dtype), tmp_path / "model.onnx"), tmp_path / "work")
    assert broken(found) == {"input"}
    assert explained(found)["onnx-valid"] == "input"


def test_two_inputs_explain_that_pixels_are_not_followed(tmp_path: Path) -> None:
    extra = [helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["N", 10])]
    found = findings(save(network(extra_inputs=extra), tmp_path / "model.onnx"), tmp_path / "work")
    assert {explained(found)[name] for name in ("preprocessing", "rgb-order")} == {"input"}


def test_a_reshape_that_folds_the_batch_into_one_row(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["embedding", "to"], ["row"], "bake")
    model = network(tail=[node], output="row", constants={"to": np.array([1, -1])}, declared_output=["N", "D"])
    found = findings(save(model, tmp_path / "model.onnx"), tmp_path / "work", probed=True)
    assert broken(found) == {"batch"}
    assert found["embedding-dim"].status is Status.PASSED
    assert found["embedding-dim"].measured == "64 values"
    said = " ".join(f"{seen.where} {seen.what}" for seen in found["batch"].evidence)
    assert "node 'bake' reshapes to [1,-1] (initializer 'to')" in said
    assert "gave [1,64], [2,64], [7,64], [32,64]" in said
    assert {explained(found).get(name) for name in ("helper-verdict", "no-implicit-batch")} == {"batch"}
    assert "output" in explained(found) or found["output"].status is Status.PASSED


def test_float16_weights_alone_are_one_finding(tmp_path: Path) -> None:
    model = network()
    held = next(tensor for tensor in model.graph.initializer if tensor.name == "fc")
    half = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(held).astype(np.float16), "fc_half")
    model.graph.initializer.remove(held)
    model.graph.initializer.append(half)
    model.graph.node.insert(0, helper.make_node("Cast", ["fc_half"], ["fc"], "wide", to=TensorProto.FLOAT))
    found = findings(save(model, tmp_path / "model.onnx"), tmp_path / "work")
    assert broken(found) == {"no-float16"}
    assert explained(found) == {"helper-verdict": "no-float16"}


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
        (b"\x80\x02}q\x00.", "PyTorch checkpoint"),
        (b"just a text\n", "Export the model again"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes, remedy: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    found = findings(path, tmp_path / "work")
    assert broken(found) == {"onnx-valid"}
    assert remedy in found["onnx-valid"].remedy
    assert set(explained(found).values()) == {"onnx-valid"}
    assert all(outcome.because_of or name == "onnx-valid" for name, outcome in found.items())


def test_a_checkpoint_that_torch_saved(tmp_path: Path) -> None:
    path = pack(tmp_path / "net.zip", {"archive/data.pkl": b"x", "archive/data/0": b"x", "archive/version": b"3"})
    found = findings(path, tmp_path / "work")
    assert broken(found) == {"package"}
    assert "PyTorch checkpoint" in found["package"].message
    assert set(explained(found).values()) == {"package"}


def test_a_folder_inside_the_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "s.zip", {"submission/model.onnx": network().SerializeToString()})
    found = findings(path, tmp_path / "work")
    assert broken(found) == {"package"}
    assert "lies in a folder of the archive, 'submission'" in found["package"].message


def test_an_unreadable_declaration_is_one_finding() -> None:
    facts = Facts.of(DeclarationFacts(path="d.toml", looked_for=(), problem="it has no schema"))
    load_checks()
    rules = [each for each in load_rulebooks()["mfr21"].rules_of("A") if CHECKS[each.check].steps == ("declaration",)]
    outcomes = {each.id: judge_rule(facts, each) for each in rules}
    assert len(outcomes) > 5
    assert broken(outcomes) == {"training-set"}
    assert set(explained(outcomes).values()) == {"training-set"}
    said = verdict(list(outcomes), outcomes, {})
    assert (said.word, said.broken) == (VerdictWord.NON_COMPLIANT, ("training-set",))
    assert {each.because_of for each in said.open} == {"training-set"}
    assert not any(each.remedy for each in said.open)


@pytest.mark.parametrize("kind", [FailureKind.CRASHED, FailureKind.TIMEOUT, FailureKind.MEMORY])
def test_a_worker_that_died(kind: FailureKind) -> None:
    died = StepFailure(step="batch", kind=kind, message="it ended")
    later = [StepFailure(step=step, kind=kind, message="it ended") for step in ("images", "repeat")]
    facts = Facts.of(PACKAGE, INTERFACE, LOAD, died, *later)
    found = {name: judge_rule(facts, rule(name)) for name in ("batch", "cosine-similarity", "deterministic", "output")}
    assert found["batch"].because_of == ""
    assert {found[name].because_of for name in found if name != "batch"} == {"batch"}


def test_a_rule_that_passes_needs_no_explanation() -> None:
    facts = Facts.of(PACKAGE, msgspec.structs.replace(INTERFACE, inputs=(IMAGE, IMAGE)))
    assert judge_rule(facts, rule("package")).status is Status.PASSED


def trained(version: str, difference: float) -> Facts:
    run = BatchRun(
        size=2, error="", shapes=((2, 8),), dtypes=("float32",), finite=True, companions="images 1, 0", worst_row=0,
        worst_cosine_distance=0.5, worst_relative_difference=0.5,
    )  # fmt: skip
    node = MarkedNode(node="bn", op="BatchNormalization", why="is in training mode", depends_on_runtime=True)
    server = ServerFacts(ran=True, version=version, stage="done", row_difference=difference)
    interface = msgspec.structs.replace(INTERFACE, mixing=(node,))
    return Facts.of(interface, LOAD, BatchFacts(runs=(run,), mean=127.5, std=127.5), server)


def test_the_server_s_own_runtime_decides_what_depends_on_it() -> None:
    assert batch(trained("1.6.0", 1e-6), rule("batch")).status is Status.PASSED
    assert "local runtime" in batch(trained("1.6.0", 1e-6), rule("batch")).notes[0]
    assert batch(trained("1.6.0", 0.5), rule("batch")).status is Status.FAILED
    assert batch(trained("1.9.0", 1e-6), rule("batch")).status is Status.FAILED
    assert batch(trained("1.6.0", -1.0), rule("batch")).status is Status.FAILED


def test_a_node_that_mixes_nothing_explains_nothing() -> None:
    cause = next(each for each in CAUSES if each.name == "statistics of the batch")
    facts = trained("1.6.0", 1e-6)
    assert cause.owner(facts, rule("no-implicit-batch")) == "batch"
    (run,) = facts.need(BatchFacts).runs
    calm = BatchFacts(runs=(msgspec.structs.replace(run, worst_relative_difference=1e-6),), mean=127.5, std=127.5)
    assert cause.owner(Facts.of(facts.need(InterfaceFacts), LOAD, calm), rule("no-implicit-batch")) == ""


def test_nothing_is_said_twice(tmp_path: Path) -> None:
    found = findings(save(network(shape=(112, 112, 3)), tmp_path / "model.onnx"), tmp_path / "work")
    messages = [outcome.message for outcome in found.values() if outcome.status is Status.FAILED]
    remedies = [outcome.remedy for outcome in found.values() if outcome.remedy]
    assert len(messages) == len(set(messages)) == 1
    assert len(remedies) == 1
    for outcome in found.values():
        seen = {each.what for each in outcome.evidence}
        assert not seen & set(outcome.notes)


def test_a_cause_that_raises_takes_no_finding_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(_facts: Facts, _rule: object, _seen: object = ()) -> None:
        raise KeyError("no observation gives this")

    monkeypatch.setattr("pytest_facechallenge.engine.judge._explained", raises)
    runs = (BatchRun(size=32, error="a batch does not run", companions="images 1 to 32"),)
    facts = Facts.of(LOAD, BatchFacts(runs=runs, mean=0.0, std=1.0), INTERFACE, PACKAGE)
    outcome = judge_rule(facts, rule("batch"))
    assert outcome.status is Status.FAILED
    assert "KeyError: 'no observation gives this'" in outcome.notes[-1]
