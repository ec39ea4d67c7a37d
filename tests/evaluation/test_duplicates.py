"""The copies of evaluation/duplicates are copies, and the page says what the product says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from evaluation.duplicates import copies
from evaluation.duplicates.figures import Figure, table
from pytest_facechallenge.fingerprints.relation import ALIKE_BEHAVIOUR, SAME_BEHAVIOUR
from pytest_facechallenge.inference.session import open_session
from tests.support.models import network

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "duplicates.md").read_text(encoding="utf-8")
WIDTH = 64
EXACT = ("other names and order", "another operator set", "BatchNormalization unfolded",
         "channels permuted and rescaled", "both")  # fmt: skip


def separable() -> onnx.ModelProto:
    """Return a network with a depthwise convolution, biases and PRelu between two layers."""
    model = network(dim=WIDTH)
    rng = np.random.Generator(np.random.PCG64(7))
    extra = {
        "depth": rng.standard_normal((8, 1, 3, 3)).astype(np.float32),
        "depth_bias": rng.standard_normal(8).astype(np.float32),
        "slope": rng.uniform(0.1, 0.5, (8, 1, 1)).astype(np.float32),
    }
    at = next(index for index, node in enumerate(model.graph.node) if node.name == "conv1")
    model.graph.node[at].input[0] = "curved"
    model.graph.node.insert(at, helper.make_node("PRelu", ["deep", "slope"], ["curved"], "curve"))
    inner = helper.make_node("Conv", ["r0", "depth", "depth_bias"], ["deep"], "deep", group=8, pads=[1] * 4)
    model.graph.node.insert(at, inner)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in extra.items())
    return model


def embedded(model: onnx.ModelProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the embeddings of three images."""
    onnx.checker.check_model(model)
    session = open_session(model.SerializeToString(), threads=1)
    images = np.random.Generator(np.random.PCG64(1)).standard_normal((3, 3, 112, 112)).astype(np.float32)
    found: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = session.run(None, {"input": images})[0]
    return found


@pytest.mark.parametrize("kind", EXACT)
def test_an_exact_copy_computes_the_same_in_another_form(kind: str) -> None:
    model = separable()
    copy = copies.kinds(WIDTH)[kind](model)
    mine, other = embedded(model), embedded(copy)
    assert np.abs(mine - other).max() < 1e-4 * np.abs(mine).max()
    kernels = [[numpy_helper.to_array(t).tobytes() for t in each.graph.initializer] for each in (model, copy)]
    if kind in EXACT[2:]:
        assert len(set(kernels[0]) & set(kernels[1])) <= len(kernels[0]) // 2, "the stored numbers are others"


def test_the_other_copies_are_near() -> None:
    model = separable()
    mine = embedded(model)
    kinds = copies.kinds(WIDTH)
    assert np.allclose(
        np.linalg.norm(embedded(kinds["embedding rotated"](model)), axis=1), np.linalg.norm(mine, axis=1)
    )
    assert np.array_equal(embedded(kinds["a quarter of the embedding"](model)), mine[:, : WIDTH // 4])
    for kind, most in (("noise of 0.1 %", 0.02), ("noise of 5 %", 0.6), ("rounded to float16", 0.01)):
        apart = np.abs(embedded(kinds[kind](model)) - mine).max() / np.abs(mine).max()
        assert 0 < apart < most, kind


def rows(group: str) -> list[list[str]]:
    """Return the cells of the lines of a group of the page's table."""
    found, inside = [], False
    figures = PAGE.partition("<!-- figures -->")[2].partition("<!-- end of figures -->")[0]
    for line in figures.splitlines():
        if line.startswith("| **"):
            inside = line.startswith(f"| **{group}**")
        elif inside and line.startswith("| "):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_the_lines_lie_between_what_was_measured() -> None:
    independent, made = rows("independent work"), rows("made from the other")
    assert sum(int(row[1]) for row in independent) > 100
    assert max(float(row[4]) for row in independent) < ALIKE_BEHAVIOUR - 0.05
    assert all(row[6] == f"{row[1]} independent" for row in independent)
    copied = [row for row in made if not row[0].startswith("distilled")]
    assert {row[0] for row in copied} >= set(copies.kinds(WIDTH)), "every kind was measured"
    assert all(row[6] == f"{row[1]} copy" for row in copied)
    by_behaviour = [float(row[2]) for row in copied if row[0] != "a quarter of the embedding"]
    assert min(by_behaviour) > SAME_BEHAVIOUR + 0.05


def test_faces_would_not_tell_what_noise_does() -> None:
    lines = PAGE.partition("## Why no images of testsets")[2].partition("## What")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][2:]
    gaps = {row[0]: float(row[-1]) for row in cells}
    noise = gaps.pop("noise, as fingerprints use it")
    assert len(gaps) == 4
    assert noise > 0.2
    assert all(gap < 0 for about, gap in gaps.items() if "faces" in about)


def test_the_page_says_the_lines_that_are_drawn() -> None:
    assert re.search(rf"likeness of {SAME_BEHAVIOUR} or more, or half of the layers", PAGE)
    assert re.search(rf"likeness of {ALIKE_BEHAVIOUR} or more, or three layers", PAGE)


def test_a_table_has_a_line_for_each_kind() -> None:
    found = table([Figure("a", False, 0.1, 0, 9, "independent"), Figure("a", False, 0.3, 1, 9, "undecided"),
                   Figure("b", True, 1, 9, 9, "copy")])  # fmt: skip
    assert "| a | 2 | 0.100 | 0.200 | 0.300 | 0 of 9 to 1 of 9 | 1 independent, 1 undecided |" in found
    assert "| b | 1 | 1.000 | 1.000 | 1.000 | 9 of 9 | 1 copy |" in found
