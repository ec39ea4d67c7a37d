"""Packaging, validity and size: one submission that keeps each rule exactly, and those just beyond."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper

from pytest_facechallenge.checks.package import model_size
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.rulebook import Rule
from tests.support.gathering import gather, judge, rule
from tests.support.models import network, pack, save

MODEL = network().SerializeToString()


def test_bare_model_is_a_package(tmp_path: Path) -> None:
    assert judge(network(), "package", tmp_path).status is Status.PASSED


def test_zip_of_model_onnx_alone_is_a_package(tmp_path: Path) -> None:
    outcome = judge(pack(tmp_path / "s.zip", {"model.onnx": MODEL}), "package", tmp_path)
    assert outcome.status is Status.PASSED


def test_system_junk_is_noted_only(tmp_path: Path) -> None:
    path = pack(tmp_path / "s.zip", {"model.onnx": MODEL, "__MACOSX/._model.onnx": b"x", ".DS_Store": b"x"})
    outcome = judge(path, "package", tmp_path)
    assert outcome.status is Status.PASSED
    assert "__MACOSX" in outcome.notes[0]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"model.onnx": MODEL, "readme.txt": b"hello"}, "readme.txt"),
        ({"net.onnx": MODEL}, "net.onnx"),
        ({"model.onnx": MODEL, "b.onnx": MODEL}, "2 models"),
        ({"folder/model.onnx": MODEL}, "folder/model.onnx"),
        ({"weights.bin": b"1"}, "no model"),
        ({"../model.onnx": MODEL}, ".."),
        ({"/model.onnx": MODEL}, "absolute"),
        ({"C:\\model.onnx": MODEL}, "absolute or foreign"),
        ({"a" * 300 + ".onnx": MODEL}, "too long"),
        ({"model.onnx/x": b"1", "model.onnx": MODEL}, "cannot be unpacked: Is a directory"),
        ({"model.onnx": MODEL, "model.onnx/x": b"1"}, "cannot be unpacked: File exists"),
    ],
)
def test_anything_but_one_model_onnx_is_found(tmp_path: Path, entries: dict[str, bytes], said: str) -> None:
    outcome = judge(pack(tmp_path / "s.zip", entries), "package", tmp_path)
    assert outcome.status is Status.FAILED
    facts = gather(tmp_path / "s.zip", tmp_path / "work", {"package"})
    assert said in " ".join(facts.need(PackageFacts).problems)
    assert not any(path.name == "model.onnx" and "work" not in path.parts for path in tmp_path.rglob("model.onnx"))


def test_two_entries_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("model.onnx", MODEL)
        archive.writestr("model.onnx", MODEL)
    outcome = judge(path, "package", tmp_path)
    assert outcome.status is Status.FAILED
    assert "twice" in outcome.message


def test_link_in_archive_is_never_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    info = zipfile.ZipInfo("model.onnx")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    facts = gather(path, tmp_path / "work", {"package"})
    assert "link" in facts.need(PackageFacts).problems[0]
    assert facts.need(PackageFacts).model_path == ""


def test_encrypted_entry(tmp_path: Path) -> None:
    data = bytearray(pack(tmp_path / "s.zip", {"model.onnx": MODEL}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature) + offset
        struct.pack_into("<H", data, place, struct.unpack_from("<H", data, place)[0] | 1)
    (tmp_path / "s.zip").write_bytes(data)
    assert "encrypted" in gather(tmp_path / "s.zip", tmp_path, {"package"}).need(PackageFacts).problems[0]


def test_lying_size(tmp_path: Path) -> None:
    data = bytearray(pack(tmp_path / "s.zip", {"model.onnx": MODEL}).read_bytes())
    place = data.find(b"PK\x01\x02") + 24
    struct.pack_into("<I", data, place, 10)
    (tmp_path / "s.zip").write_bytes(data)
    problems = gather(tmp_path / "s.zip", tmp_path / "work", {"package"}).need(PackageFacts).problems
    assert "cannot be unpacked" in problems[0] or "is said to have" in problems[0]


def test_bomb_is_stopped(tmp_path: Path) -> None:
    blank = io.BytesIO()
    with zipfile.ZipFile(blank, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        with archive.open("model.onnx", "w") as out:
            for _ in range(160):
                out.write(bytes(1 << 20))
    (tmp_path / "s.zip").write_bytes(blank.getvalue())
    facts = gather(tmp_path / "s.zip", tmp_path / "work", {"package"})
    assert "times the archive's size" in facts.need(PackageFacts).problems[0]
    assert not list((tmp_path / "work").rglob("model.onnx"))


def test_folder_with_one_model(tmp_path: Path) -> None:
    save(network(), tmp_path / "entry" / "model.onnx")
    assert judge(tmp_path / "entry", "package", tmp_path).status is Status.PASSED


def test_folder_with_two_models_judges_the_last_by_name(tmp_path: Path) -> None:
    save(network(), tmp_path / "entry" / "a.onnx")
    save(network(dim=32), tmp_path / "entry" / "b.onnx")
    outcome = judge(tmp_path / "entry", "package", tmp_path)
    assert outcome.status is Status.FAILED
    assert "found 2" in outcome.message
    assert gather(tmp_path / "entry", tmp_path, {"package"}).need(PackageFacts).model_name == "b.onnx"


def test_link_in_folder_is_not_followed(tmp_path: Path) -> None:
    outside = save(network(), tmp_path / "outside.onnx")
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "model.onnx").symlink_to(outside)
    facts = gather(tmp_path / "entry", tmp_path, {"package"})
    assert facts.need(PackageFacts).model_path == ""
    assert "link" in facts.need(PackageFacts).problems[0]


def test_weights_in_a_side_file_are_found_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(network(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    outcome = judge(path, "package", tmp_path)
    assert outcome.status is Status.FAILED
    assert "weights.bin" in outcome.message
    total = path.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    assert f"{total:,} bytes" in judge(path, "model-size", tmp_path).measured


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "missing.bin"])
def test_external_data_outside_or_missing(tmp_path: Path, location: str) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(network(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path.parent / "secret.bin").write_bytes(bytes(1 << 20))
    model = onnx.load(str(path), load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    assert judge(path, "package", tmp_path).status is Status.FAILED
    assert judge(path, "package", tmp_path).remedy
    for explained in ("model-size", "onnx-valid"):
        outcome = judge(path, explained, tmp_path)
        assert (outcome.status, outcome.because_of) == (Status.UNDECIDED, "package")
    assert location in judge(path, "package", tmp_path).message


def side_file_model(path: Path, shift: int, location: str = "weights.bin") -> onnx.ModelProto:
    """Return a model whose second tensor begins ``shift`` bytes into the first one's side file."""
    model = network()
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    first, second = ({e.key: e for e in t.external_data} for t in model.graph.initializer[:2])
    second["offset"].value = str(int(first["offset"].value) + shift)
    second["length"].value = first["length"].value
    second["location"].value = location
    model.graph.initializer[1].dims[:] = model.graph.initializer[0].dims
    path.write_bytes(model.SerializeToString())
    return model


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin"])
def test_two_weights_in_the_halves_of_one_float(tmp_path: Path, location: str) -> None:
    path = tmp_path / "model.onnx"
    side_file_model(path, 2, location)
    outcome = judge(path, "model-size", tmp_path, track="lfr19/deepglint-light")
    assert outcome.status is Status.FAILED
    assert "partly those of" in outcome.message


def test_tied_weights_in_a_side_file_are_no_overlap(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    side_file_model(path, 0)
    facts = gather(path, tmp_path, {"interface"})
    assert not any(entry.problem for entry in facts.need(InterfaceFacts).external)


def test_a_bad_reference_behind_many_good_ones_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    constants = {f"k{i}": np.ones(4, np.float32) for i in range(250)}
    onnx.save(network(constants=constants), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    model.graph.initializer[-1].external_data[0].value = "/etc/passwd"
    path.write_bytes(model.SerializeToString())
    assert "absolute" in judge(path, "package", tmp_path).message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git-lfs pointer"),
        (b"just a text\n", "plain text"),
        (b"<html>sign in</html>", "plain text"),
        (MODEL[: len(MODEL) // 2], "no ONNX protobuf"),
        (b"\x80\x02}q\x00.", "PyTorch checkpoint"),
        (b"\x08\x06", "no graph"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    outcome = judge(path, "onnx-valid", tmp_path)
    assert outcome.status is Status.FAILED
    assert said in outcome.message


def _nodes(count: int) -> onnx.ModelProto:
    names = ["input", *(f"v{i}" for i in range(count - 3)), "rows", "flat", "embedding"]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in zip(names[: count - 2], names[1 : count - 1], strict=True)]
    nodes += [helper.make_node("GlobalAveragePool", [nodes[-1].output[0]], ["pooled"])]
    nodes += [helper.make_node("Flatten", ["pooled"], ["embedding"])]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["N", 3])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


def test_eight_nodes_are_enough_and_seven_are_not(tmp_path: Path) -> None:
    assert len(_nodes(8).graph.node) == 8
    assert judge(_nodes(8), "onnx-valid", tmp_path).status is Status.PASSED
    outcome = judge(_nodes(7), "onnx-valid", tmp_path)
    assert outcome.status is Status.FAILED
    assert "7 nodes" in outcome.message


def test_complaint_of_the_checker_alone_is_a_note(tmp_path: Path) -> None:
    # The checker wants sorted nodes; runtimes sort them.
    model = network()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    outcome = judge(model, "onnx-valid", tmp_path)
    assert outcome.status is Status.PASSED
    assert "complains" in outcome.notes[0]


def _sized(total: int, limit: int) -> Status:
    package = PackageFacts(form="onnx", entries=(), model_path="m", model_name="m", sha256="", bytes=total - 10)
    interface = InterfaceFacts(
        ir_version=6, opsets={}, producer="", inputs=(), outputs=(), nodes=9, all_nodes=9, operators={}, functions=0,
        external_bytes=10,
    )  # fmt: skip
    judged: Rule = msgspec.structs.replace(rule("model-size"), limit=limit)
    return model_size(Facts.of(package, interface), judged).status


def test_model_size_at_the_limit_and_one_byte_beyond() -> None:
    limit = rule("model-size").limit
    assert limit == 2**30
    assert _sized(2**30, 2**30) is Status.PASSED
    assert _sized(2**30 + 1, 2**30) is Status.FAILED


def test_light_tracks_want_strictly_less_than_20_mb() -> None:
    light = rule("model-size", "lfr19/deepglint-light")
    assert (light.limit, light.comparison) == (20 * 1024**2, "<")
    assert light.within(20 * 1024**2 - 1)
    assert not light.within(20 * 1024**2)
    assert rule("model-size", "lfr19/deepglint-large").not_applicable
