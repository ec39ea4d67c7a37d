"""What a repair shows and writes: the command, the option of pytest, refusals, and a sentence for each fault."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge import mending, repair
from pytest_facechallenge.checks.registry import CHECKS
from pytest_facechallenge.cli import main
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.facts.repair import Agreement, Proof, RepairFacts
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.repair_report import RepairReport, why_not
from pytest_facechallenge.reports.repaired import render
from pytest_facechallenge.reports.view import View
from tests.support.models import network, pack, save

#: A few rules, and the server's runtime: what these tests look at.
RULES = """
schema = "facechallenge-rulebook/1"
id = "few"
title = "Few rules"
version = "1"
date = "2026-11-29"
source = "the tests"

[runtime]
onnxruntime = "1.6.0"
min_opset = 7
max_opset = 13
max_ir_version = 7
max_ml_opset = 2
cuda = "10.2"
cudnn = "8.0.5"
gpu = "Tesla V100"

[tracks.x]
title = "X"

[rules.embedding-dim]
clause = "1"
text = "At most 512 values."
check = "embedding_dim"
limit = 512

[rules.no-float16]
clause = "2"
text = "No float16."
check = "no_float16"

[rules.package]
clause = "3"
text = "One model."
check = "package"
"""
OPTIONS = ("--latency=modelled", "--device=cpu", "--threads=1")


def few(folder: Path) -> Path:
    """Write the rulebook of a few rules."""
    path = folder / "few.toml"
    path.write_text(RULES, encoding="utf-8")
    return path


def test_every_check_has_a_reason_of_its_own() -> None:
    load_checks()
    mended_or_not = {name: why_not(name) for name in CHECKS}
    assert "the network itself has to be changed" not in mended_or_not.values()
    assert why_not("a_check_of_your_own") == "the network itself has to be changed"


def test_the_command_writes_and_shows_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(network(opset=20, ir_version=10, batch=1), tmp_path / "net.onnx")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "declaration.toml").write_text(
        'schema = "facechallenge-declaration/2"\npurpose = "practice"\n[training]\ndataset = "MS1M-V3"\n'
    )
    out = tmp_path / "out"
    assert main(["repair", str(path), "--out", str(out), "--track", "A", *OPTIONS]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "net.onnx: mended copy in" in shown
    for row in ("batch: the batch of 1 is symbolic", "opset: opset 13 in place of 20", "ir version: IR version 7"):
        assert f"mended {row}" in shown
    assert "before and after, one by one: the same to the last bit" in shown
    assert shown.count("proof onnxruntime") == 1
    assert "INCOMPLETE (for practice) submission.zip mfr21/A" in shown
    assert "training-set" not in shown.partition("open ")[2]  # the declaration was taken along
    assert sorted(each.name for each in out.iterdir()) == ["declaration.toml", "model.onnx", "submission.zip"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("taken", ["model.onnx", "submission.zip"])
def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: str) -> None:
    path = save(network(batch=1), tmp_path / "net.onnx")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / taken).write_text("mine")
    assert main(["repair", str(path), "--out", str(tmp_path / "out"), "--track", "A"]) == 4
    error = capsys.readouterr().err
    assert f"{taken} is there already and is not overwritten" in error
    assert (tmp_path / "out" / taken).read_text() == "mine"
    assert [each.name for each in (tmp_path / "out").iterdir()] == [taken]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = save(network(batch=1), tmp_path / "net.onnx")
    with pytest.raises(NotADirectoryError, match="name a folder"):
        repair(path, path, "mfr21/A")


def test_one_submission_at_a_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(network(), tmp_path / "entries" / f"{name}.onnx")
    with pytest.raises(ValueError, match="one submission is mended at a time"):
        repair(tmp_path / "entries", tmp_path / "out", "mfr21/A")


def half() -> onnx.ModelProto:
    """Return the network with float16 weights, cast to float32 where they are used."""
    model = network()
    for tensor in model.graph.initializer:
        if tensor.name == "fc":
            narrow = numpy_helper.to_array(tensor).astype("float16")
            tensor.CopyFrom(numpy_helper.from_array(narrow, "fc16"))
    model.graph.node.insert(0, helper.make_node("Cast", ["fc16"], ["fc"], "cast", to=TensorProto.FLOAT))
    return model


def flipped() -> onnx.ModelProto:
    """Return the network that adds the embedding of the mirrored image."""
    model = network()
    for node in list(model.graph.node):
        again = model.graph.node.add()
        again.CopyFrom(node)
        again.name = f"{node.name}_again"
        for names in (again.input, again.output):
            stored = {tensor.name for tensor in model.graph.initializer}
            renamed = ["mirrored" if name == "input" else name if name in stored else f"{name}_again" for name in names]
            del names[:]
            names.extend(renamed)
    bounds = {"first": -1, "last": -(2**31), "axis": 3, "step": -1}
    model.graph.initializer.extend(numpy_helper.from_array(np.array([value]), name) for name, value in bounds.items())
    model.graph.node.insert(0, helper.make_node("Slice", ["input", *bounds], ["mirrored"], "mirror"))
    model.graph.node.append(helper.make_node("Add", ["embedding", "embedding_again"], ["sum"], "sum"))
    model.graph.output[0].name = "sum"
    return model


@pytest.mark.parametrize(
    ("rule", "made", "why"),
    [
        ("embedding-dim", lambda: network(dim=640), "another width has to be trained"),
        ("no-float16", half, "hand in the float32 weights"),
        ("no-implicit-batch", flipped, "a second pass over the image is part of the network"),
    ],
    ids=["640 values", "float16", "flip test"],
)
def test_what_cannot_be_mended_says_why(tmp_path: Path, rule: str, made: object, why: str) -> None:
    assert callable(made)
    path = save(made(), tmp_path / "model.onnx")
    track = "mfr21/A" if rule == "no-implicit-batch" else "few/x"
    done = repair(path, tmp_path / "out", track, rulebooks=[few(tmp_path)], device="cpu", threads=1, latency="modelled")
    assert done.model is None
    assert "nothing that can be mended" in done.why_not
    assert not (tmp_path / "out").exists()
    assert why in {each.rule: each.why for each in done.not_mended}[rule]
    assert f"{rule}: " in render(done, "model.onnx", View(width=120))


def test_what_is_left_broken_is_said_beside_what_was_mended(tmp_path: Path) -> None:
    path = save(network(dim=640, batch=1), tmp_path / "model.onnx")
    done = repair(path, tmp_path / "out", "few/x", rulebooks=[few(tmp_path)], device="cpu", threads=1)
    assert done.model is not None
    assert [each.rule for each in done.not_mended] == ["embedding-dim"]
    shown = " ".join(render(done, "model.onnx", View(width=80)).split())
    assert "mended batch:" in shown
    assert "not embedding-dim: the number of values is the width of the last layer" in shown
    assert "NON-COMPLIANT" in shown


def test_a_model_in_a_folder_of_its_archive_is_packed_anew(tmp_path: Path) -> None:
    inner = save(network(), tmp_path / "net.onnx").read_bytes()
    path = pack(tmp_path / "entry.zip", {"entry/model.onnx": inner})
    done = repair(path, tmp_path / "out", "few/x", rulebooks=[few(tmp_path)], device="cpu", threads=1)
    assert done.why_not == ""
    assert done.facts is not None
    assert [each.name for each in done.facts.repairs] == ["package"]
    assert done.report is not None
    assert done.report.submissions[0].tracks[0].verdict.broken == ()


def test_the_option_of_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECHALLENGE_LATENCY", "modelled")
    monkeypatch.setenv("FACECHALLENGE_DEVICE", "cpu")
    path = save(network(opset=20, ir_version=10), pytester.path / "model.onnx")
    rules = ("-k", "server-runtime or package")
    base = (f"--facechallenge-model={path}", "--track=A", "--facechallenge-repair=out", *rules)
    result = pytester.runpytest(*base)
    assert result.ret == pytest.ExitCode.TESTS_FAILED  # the verdict on what was handed in decides
    result.stdout.fnmatch_lines(
        ["model.onnx: mended copy in*", "  mended    opset: *", "  proof     onnxruntime*",
         "INCOMPLETE*submission.zip*", "NON-COMPLIANT*model.onnx*"]
    )  # fmt: skip
    assert (pytester.path / "out" / "submission.zip").is_file()
    again = pytester.runpytest(*base)
    assert again.ret == pytest.ExitCode.USAGE_ERROR
    assert "is there already and is not overwritten" in again.stderr.str()


def test_the_given_interpreter_proves_it_as_well(tmp_path: Path) -> None:
    """This interpreter stands for the server's: it has an onnxruntime."""
    path = save(network(batch=1), tmp_path / "model.onnx")
    done = repair(
        path, tmp_path / "out", "few/x", rulebooks=[few(tmp_path)], device="cpu", threads=1,
        server_python=sys.executable,
    )  # fmt: skip
    assert done.facts is not None
    assert done.facts.local is not None
    assert done.facts.server is not None
    assert done.facts.server.runtime == done.facts.local.runtime
    for proof in (done.facts.local, done.facts.server):
        for found in (proof.before_after, proof.alone_together):
            assert found.trouble == ""
            assert 0 <= found.difference <= 1e-5
            assert 0 <= found.cosine_distance <= 1e-9
    assert " ".join(render(done, "model.onnx", View()).split()).count("proof onnxruntime") == 2


def test_a_declaration_is_taken_only_from_where_it_is_looked_for(tmp_path: Path) -> None:
    """The sandboxed process that names it has read a stranger's model."""
    secret = tmp_path / "secret.toml"
    secret.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    told = Facts.of(DeclarationFacts(path=str(secret), looked_for=()))
    assert mending._declaration_for(told, tmp_path / "entry" / "model.onnx", "", out) == ""
    assert list(out.iterdir()) == []
    assert mending._declaration_for(told, tmp_path / "entry" / "model.onnx", str(secret), out) == ""
    assert (out / "declaration.toml").read_text() == "mine"


def test_the_server_s_runtime_is_shown_beside_the_local_one() -> None:
    proof = Proof(
        runtime="onnxruntime 1.6.0", images=4, before_after=Agreement(trouble="it does not run there"),
        alone_together=Agreement(difference=2e-6, cosine_distance=3e-12),
    )  # fmt: skip
    done = RepairReport(RepairFacts(server=proof), why_not="of a test")
    shown = " ".join(render(done, "model.onnx", View(width=80)).split())
    assert "proof onnxruntime 1.6.0, 4 images: before and after, one by one: not compared, it does not run" in shown
    assert "1 - cos <= 3.0e-12, values differ by <= 2.0e-06 of the largest" in shown
