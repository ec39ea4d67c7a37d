"""A tiny world made in code: people as patterns of colour, images of them, masks, and a model that sees patterns."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions

SIDE = 112
CELLS = 7


def person(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A person: one colour for each cell of a 7 x 7 grid."""
    return rng.uniform(40, 215, size=(CELLS, CELLS, 3))


def image(
    who: npt.NDArray[np.float64], rng: np.random.Generator, *, noise: float = 20.0, masked: bool = False
) -> npt.NDArray[np.uint8]:
    """An image of a person: noise on the colours, and a grey lower half with a mask."""
    cells = who + rng.normal(0, noise, size=who.shape)
    if masked:
        cells[CELLS // 2 + 1 :] = 128 + rng.normal(0, noise, size=(CELLS // 2, CELLS, 3))
    scale = SIDE // CELLS
    return np.repeat(np.repeat(cells, scale, 0), scale, 1).clip(0, 255).astype(np.uint8)


def encode(pixels: npt.NDArray[np.uint8], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def people(count: int, each: int, *, seed: int = 0, noise: float = 20.0, masked: int = 0) -> list[list[bytes]]:
    """Encoded images: ``count`` people with ``each`` plain and then ``masked`` masked images."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        who = person(rng)
        found.append([encode(image(who, rng, noise=noise, masked=number >= each)) for number in range(each + masked)])
    return found


def write_folders(root: Path, people_: list[list[bytes]]) -> Path:
    for number, images in enumerate(people_):
        folder = root / f"person{number:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        for at, blob in enumerate(images):
            (folder / f"{at}.png").write_bytes(blob)
    return root


def write_mask_pair(root: Path, people_: list[list[bytes]], plain: int) -> Path:
    write_folders(root / "nonmask", [images[:plain] for images in people_])
    write_folders(root / "mask", [images[plain:] for images in people_])
    return root


def model(
    path: Path,
    *,
    width: int = 32,
    bgr: bool = False,
    batch: int | str = "N",
    broken: str = "",
    seed: int = 1,
) -> Path:
    """Write a model: mean colours of the cells, then a fixed linear layer. ``broken`` may be "nan" or "rows"."""
    rng = np.random.default_rng(seed)
    # The channels are weighted differently, so that their order matters.
    weights = rng.normal(size=(3, CELLS * CELLS, width)) * np.array([3.0, 1.0, 0.1])[:, None, None]
    weights = (weights[::-1] if bgr else weights).reshape(3 * CELLS * CELLS, width).astype(np.float32)
    initializers = [numpy_helper.from_array(weights, "weights")]
    scale = SIDE // CELLS
    nodes = [
        helper.make_node("AveragePool", ["input"], ["cells"], kernel_shape=[scale, scale], strides=[scale, scale]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["linear"]),
    ]
    last = "linear"
    if broken == "nan":
        nodes.append(helper.make_node("Log", [last], ["logged"]))
        last = "logged"
    if broken == "rows":
        initializers.append(numpy_helper.from_array(np.array([1, -1], dtype=np.int64), "shape"))
        nodes.append(helper.make_node("Reshape", [last, "shape"], ["reshaped"]))
        last = "reshaped"
    nodes.append(helper.make_node("Identity", [last], ["embedding"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)],
        initializers,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), path)
    return path


def context(model_path: Path, workdir: Path, *options: AnalysisOptions) -> Context:
    """A gathering function's context for that model."""
    workdir.mkdir(parents=True, exist_ok=True)
    package = PackageFacts(
        form="onnx", entries=(), model_path=str(model_path), model_name=model_path.name, sha256="", bytes=0
    )
    return Context(model_path, workdir, Facts.of(package), RunOptions(threads=1, device="cpu").with_analyses(*options))


def facts_of(accuracy: AccuracyFacts) -> Facts:
    return Facts.of(accuracy)
