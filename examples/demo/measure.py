"""Measures the demo's network on the demo's testset by brute force: `python measure.py`. Needs onnxruntime.

It scores every pair in float64 and counts: the slow and plain way, to compare the plugin's figures with. A pair is
accepted when its cosine similarity is above the threshold, and the threshold is the lowest one with a false accept rate
strictly below the limit.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from faces import GROUPS
from make_world import HERE
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = list[dict[str, str]]
    Scores = NDArray[np.float64]


def embed(model: Path, folder: Path, rows: Rows, *, swap: bool = False) -> Scores:
    """Return normalised embeddings [N, D]; `swap` feeds BGR instead of RGB."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = []
    for start in range(0, len(rows), 32):
        pixels = []
        for row in rows[start : start + 32]:
            with Image.open(folder / row["path"]) as image:
                pixels.append(np.asarray(image)[:, :, ::-1] if swap else np.asarray(image))
        batch = (np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
        parts.append(session.run(None, {name: batch})[0].astype(np.float64))
    features: Scores = np.concatenate(parts)
    normalised: Scores = features / np.linalg.norm(features, axis=1, keepdims=True)
    return normalised


def tar(genuine: Scores, impostor: Scores, far: float) -> float:
    """Return the true accept rate at a false accept rate strictly below `far`; NaN without impostor pairs."""
    allowed = int(np.ceil(far * len(impostor))) - 1  # the largest count with count / pairs < far
    if allowed < 0:
        return float("nan")
    threshold = np.partition(impostor, len(impostor) - 1 - allowed)[len(impostor) - 1 - allowed]
    return float((genuine > threshold).mean())


def split_pairs(features: Scores, rows: Rows, *, cross: bool) -> tuple[Scores, Scores]:
    """Return genuine and impostor scores of all unordered pairs, or of masked against non-masked images."""
    identity = np.asarray([row["identity"] for row in rows])
    masked = np.asarray([row["masked"] == "1" for row in rows], np.bool_)
    same = identity[:, None] == identity[None, :]
    wanted = masked[:, None] & ~masked[None, :] if cross else np.triu(np.ones(same.shape, np.bool_), 1)
    scores = features @ features.T
    return scores[wanted & same], scores[wanted & ~same]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "model.onnx")
    parser.add_argument("--testset", type=Path, default=HERE / "testset")
    parser.add_argument("--bgr", action="store_true", help="feed BGR, to see what the wrong channel order costs")
    options = parser.parse_args()
    with (options.testset / "manifest.csv").open(newline="", encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest))
    features = embed(options.model, options.testset, rows, swap=options.bgr)

    def show(title: str, keep: list[int], *, cross: bool = False) -> None:
        genuine, impostor = split_pairs(features[keep], [rows[i] for i in keep], cross=cross)
        rates = "  ".join(f"{tar(genuine, impostor, far):.4f}" for far in (1e-2, 1e-3, 1e-4, 1e-5))
        print(f"{title:34} {len(keep):5} {len(genuine):7} {len(impostor):8}  {rates}")

    print(f"{'pairs':34} {'pics':>5} {'genuine':>7} {'impostor':>8}  1e-2    1e-3    1e-4    1e-5")
    of_set = {name: [i for i, row in enumerate(rows) if row["set"] == name] for name in ("mask", "children", "mr")}
    show("mask, masked to non-masked", of_set["mask"], cross=True)
    show("mask, non-masked to non-masked", [i for i in of_set["mask"] if rows[i]["masked"] == "0"])
    show("children", of_set["children"])
    for group in GROUPS:
        show(f"mr {group}", [i for i in of_set["mr"] if rows[i]["race"] == group])
    show("mr all", of_set["mr"])


if __name__ == "__main__":
    main()
