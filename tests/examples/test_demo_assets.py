"""The demo's committed files: what the scripts write, small enough, and a network neither blind nor perfect."""

from __future__ import annotations

import csv
import importlib
import io
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from PIL import Image

from pytest_facechallenge.core.declaration import read_declaration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"
TESTSET = DEMO / "testset"
MODEL = DEMO / "model.onnx"


@pytest.fixture(scope="module", name="script")
def _script() -> Iterator[Any]:
    """Return make_world.py and measure.py as modules; the folder is on the path only while they are imported."""
    names = ("make_world", "measure")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DEMO)
        yield tuple(importlib.import_module(name) for name in names)


@pytest.fixture(scope="module", name="rows")
def _rows() -> list[dict[str, str]]:
    with (TESTSET / "manifest.csv").open(newline="", encoding="utf-8") as manifest:
        return list(csv.DictReader(manifest))


def _decode(data: bytes) -> NDArray[np.int16]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def test_sizes() -> None:
    assert MODEL.stat().st_size < 5_000_000
    assert sum(path.stat().st_size for path in TESTSET.rglob("*") if path.is_file()) < 6_000_000


def test_manifest_is_what_the_script_writes(script: Any, rows: list[dict[str, str]]) -> None:
    make_world = script[0]
    assert tuple(rows[0]) == make_world.COLUMNS
    assert [tuple(row.values()) for row in rows] == [entry.row() for entry in make_world.entries()]


def test_manifest_lists_exactly_the_images(rows: list[dict[str, str]]) -> None:
    listed = [row["path"] for row in rows]
    assert len(set(listed)) == len(listed)
    assert set(listed) == {path.relative_to(TESTSET).as_posix() for path in TESTSET.rglob("*.jpg")}


def test_images_are_112_rgb(rows: list[dict[str, str]]) -> None:
    for row in rows:
        with Image.open(TESTSET / row["path"]) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (112, 112), "RGB"), row["path"]


def test_sets(rows: list[dict[str, str]]) -> None:
    masks: dict[str, list[str]] = {}
    for row in rows:
        assert row["race"] in {"African", "Caucasian", "Indian", "Asian"}
        if row["set"] == "mask":
            masks.setdefault(row["identity"], []).append(row["masked"])
        else:
            assert row["masked"] == "0"
        assert (2 <= int(row["age"]) <= 16) == (row["set"] == "children"), row["path"]
    assert all(sorted(worn) == ["0", "0", "1"] for worn in masks.values())
    set_of = {row["identity"]: row["set"] for row in rows}
    assert all(set_of[row["identity"]] == row["set"] for row in rows)


@pytest.mark.parametrize(("name", "far"), [("children", 1e-4), ("mr", 1e-4), ("African", 1e-3), ("Asian", 1e-3)])
def test_enough_impostor_pairs(rows: list[dict[str, str]], name: str, far: float) -> None:
    """The operating points of the README have 30 impostor pairs behind each false accept; unordered pairs."""
    in_set = [row for row in rows if row["set"] == name or (row["set"] == "mr" and row["race"] == name)]
    sizes = np.unique([row["identity"] for row in in_set], return_counts=True)[1]
    assert len(in_set) * (len(in_set) - 1) // 2 - int((sizes * (sizes - 1) // 2).sum()) >= 30 / far


def test_enough_impostor_pairs_with_masks(rows: list[dict[str, str]]) -> None:
    people = len({row["identity"] for row in rows if row["set"] == "mask"})
    assert people * (people - 1) * 2 >= 30 / 1e-4


@pytest.mark.parametrize("set_name", ["mask", "children", "mr"])
def test_images_are_what_the_script_draws(script: Any, set_name: str) -> None:
    """Compared after JPEG in the installed Pillow, with room for another encoder and for rounding elsewhere."""
    make_world = script[0]
    chosen = [entry for entry in make_world.entries() if entry.set_name == set_name][:5]
    drawn = [_decode(make_world.encode(make_world.render(entry))) for entry in chosen]
    stored = [_decode((TESTSET / entry.path).read_bytes()) for entry in chosen]
    for entry, new, old in zip(chosen, drawn, stored, strict=True):
        # Per block, so that a mouth two pixels wider shows although the rest of the image is the same.
        blocks = np.abs(new - old).reshape(14, 8, 14, 8, 3).mean(axis=(1, 3, 4))
        assert float(blocks.max()) < 3.0, entry.path


def test_training_people_are_others(script: Any) -> None:
    make_world = script[0]
    tested = [make_world.person(split, 0, group="Asian") for split in ("train", "mask", "children", "mr")]
    assert len({face.half_width for face in tested}) == len(tested)


def test_model_is_one_the_server_loads() -> None:
    model = onnx.load(MODEL)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    assert model.ir_version <= 7
    assert len(model.graph.node) >= 8
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    assert {tensor.data_type for tensor in weights.values()} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert not any(tensor.external_data for tensor in weights.values())
    slopes = [tuple(weights[node.input[1]].dims) for node in model.graph.node if node.op_type == "PRelu"]
    assert slopes
    assert all(len(shape) == 3 and shape[1:] == (1, 1) for shape in slopes)


def test_model_takes_normalised_images_in_batches() -> None:
    graph = onnx.load(MODEL, load_external_data=False).graph
    (image,), (embedding,) = graph.input, graph.output
    shape = image.type.tensor_type.shape.dim
    assert shape[0].dim_param
    assert [axis.dim_value for axis in shape[1:]] == [3, 112, 112]
    assert image.type.tensor_type.elem_type == embedding.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert embedding.type.tensor_type.shape.dim[0].dim_param
    assert 0 < embedding.type.tensor_type.shape.dim[1].dim_value <= 512
    assert graph.node[0].op_type == "Conv", "the graph normalises nothing, so the server feeds -1..1"


def test_network_is_neither_blind_nor_perfect(script: Any, rows: list[dict[str, str]]) -> None:
    """On half of the mask set, at FAR 1e-4: worse across masks than without, and both far from chance and perfect."""
    measure = script[1]
    part = [row for row in rows if row["set"] == "mask"][:585]
    features = measure.embed(MODEL, TESTSET, part)
    across = measure.tar(*measure.split_pairs(features, part, cross=True), 1e-4)
    bare = [i for i, row in enumerate(part) if row["masked"] == "0"]
    without = measure.tar(*measure.split_pairs(features[bare], [part[i] for i in bare], cross=False), 1e-4)
    assert 0.1 < across < without - 0.1
    assert without < 0.99


def test_declaration_is_one_of_practice() -> None:
    declared = tomllib.loads((DEMO / "declaration.toml").read_text(encoding="utf-8"))
    assert read_declaration(declared).purpose == "practice"
