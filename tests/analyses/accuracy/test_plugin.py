"""Whole runs of pytest with a testset, thresholds and feature files: what a user types, and what comes back."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analyses.accuracy import world

BOOK = Path(__file__).with_name("book.toml").read_text(encoding="utf-8")
FEATURE_RULES = """
[rules.preprocessing]
clause = "Metric"
text = "Pixels of 0..255."
check = "preprocessing"
level = "note"
parameters = { feed = "raw", least_spread = 0.5, most_spread = 16.0 }

[rules.feature-rows]
clause = "Metric"
text = "One row a line."
check = "feature_rows"
limit = 21

[rules.feature-score]
clause = "Metric"
text = "The score of the file."
check = "feature_score"
level = "measurement"
"""


@pytest.fixture
def judged(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with a model, a rulebook, a mask pair and an LFR19 list of 20 images."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    root = pytester.path
    world.model(root / "model.onnx")
    world.write_mask_pair(root / "pair", world.people(20, 2, masked=1, noise=60), 2)
    (root / "book.toml").write_text(BOOK.replace('id = "small"', 'id = "tiny"', 1) + FEATURE_RULES, encoding="utf-8")
    (root / "list").mkdir()
    lines = []
    for person, images in enumerate(world.people(10, 2, seed=1, noise=60)):
        for number, blob in enumerate(images):
            (root / "list" / f"{person}-{number}.png").write_bytes(blob)
            lines.append(f"{person}-{number}.png p{person}")
    (root / "list" / "filelist.txt").write_text("\n".join(lines) + "\n")
    return pytester


def run(judged: pytest.Pytester, *arguments: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    start = judged.runpytest_subprocess if any(each.startswith("-n") for each in arguments) else judged.runpytest
    result = start("--facechallenge-rules=book.toml", "--facechallenge-json=r.json", "-q", *arguments)
    path = judged.path / "r.json"
    submission = json.loads(path.read_text(encoding="utf-8"))["submissions"][0] if path.exists() else {}
    return result, submission


def outcomes(submission: dict[str, Any]) -> dict[str, tuple[str, str]]:
    rows = submission["tracks"][0]["rules"]
    return {row["rule"] + (f"[{row['case']}]" if row["case"] else ""): (row["status"], row["measured"]) for row in rows}


def test_one_test_per_set_with_thresholds_from_both_places(judged: pytest.Pytester) -> None:
    arguments = ("--facechallenge-model=model.onnx", "--track=tiny/A", "--facechallenge-testset=mask=pair")
    _, submission = run(judged, *arguments)
    found = outcomes(submission)
    status, measured = found["accuracy[mask]"]  # its threshold in the rulebook is 0.5
    assert status == ("passed" if float(measured.split()[0]) >= 50 else "failed")
    assert found["accuracy[mr-all]"] == ("undecided", "")  # a threshold without its testset
    # The facts are the same, so they need not be gathered again.
    (judged.path / "r.json").rename(judged.path / "first.json")
    again = ("--facechallenge-facts=first.json", "--track=tiny/A", "--facechallenge-min-tar=mask=1.0")
    result, submission = run(judged, *again)
    assert outcomes(submission)["accuracy[mask]"][0] == "failed"
    result.stdout.fnmatch_lines(["NON-COMPLIANT  model.onnx  tiny/A  *accuracy?mask?*"])
    assert result.ret == 1


def test_workers_compute_each_thing_once_and_a_second_run_nothing(judged: pytest.Pytester) -> None:
    arguments = (
        "--facechallenge-model=model.onnx",
        "--track=tiny/B",
        "--facechallenge-testset=mask=pair",
        "--facechallenge-cache=cache",
        "-k=accuracy or testset or ranking",
    )
    _, first = run(judged, *arguments, "-n=2")
    _, second = run(judged, *arguments)
    embedded = [each["facts"]["accuracy"]["testsets"][0]["embedding"] for each in (first, second)]
    assert [(each["computed"], each["cached"]) for each in embedded] == [(60, 0), (0, 60)]
    assert outcomes(first) == outcomes(second)


def test_features_written_by_one_run_are_judged_by_another(judged: pytest.Pytester) -> None:
    result, written = run(
        judged,
        "--facechallenge-model=model.onnx",
        "--track=tiny/B",
        "--facechallenge-testset=children=list",
        "--facechallenge-write-features=out.bin",
        "-vv",
    )
    result.stdout.fnmatch_lines(["*the features of 20 entries*"])
    labels = [f"p{row // 2}" for row in range(20)]
    (judged.path / "labels.txt").write_text("\n".join(labels) + "\n")
    result, alone = run(
        judged, "--facechallenge-features=out.bin", "--facechallenge-labels=labels.txt", "--track=tiny/B"
    )
    found = outcomes(alone)
    assert found["feature-rows"][0] == "failed"  # 20 of 21, and scored all the same
    points = alone["facts"]["feature_file"]["score"]["points"]
    of_model = written["facts"]["accuracy"]["sets"][0]
    assert of_model["flip"]
    (own,) = of_model["points"]
    (same,) = [point for point in points if point["far"] == own["far"]]
    assert (same["tar"], same["genuine_pairs"]) == (own["tar"], own["genuine_pairs"]), "written as it was scored"
    assert result.ret == 1


def test_testsets_that_cannot_be_used_are_told_in_the_summary(judged: pytest.Pytester) -> None:
    """Without -v, and although no rule of the track fails by it."""
    book = (judged.path / "book.toml").read_text(encoding="utf-8")
    measuring = book.replace('check = "testset_images"', 'check = "testset_images"\nlevel = "measurement"')
    (judged.path / "book.toml").write_text(measuring, encoding="utf-8")
    blobs = [image for images in world.people(4, 2) for image in images]
    for name, content in (
        ("odd", (blobs[:-1], [True] * 4)),
        ("paths", (["a/1.jpg"] * 8, [True] * 4)),
        ("large", ([world.encode(np.zeros((160, 160, 3), np.uint8))] * 8, [True] * 4)),
    ):
        (judged.path / f"{name}.bin").write_bytes(pickle.dumps(content))
    result, submission = run(
        judged,
        "--facechallenge-model=model.onnx",
        "--track=tiny/B",
        *(f"--facechallenge-testset={name}.bin" for name in ("odd", "paths", "large")),
        "-k=testset-images",
        "-vv",
    )
    text = " ".join(result.stdout.str().split())
    assert outcomes(submission)["testset-images"] == ("not-applicable", "0 of 8 usable")
    assert "expected two images for each answer, found 7 images and 4 answers; an image is missing or too many" in text
    assert "found str, the path 'a/1.jpg'; a .bin holds the images themselves" in text
    assert "none of the 8 images can be used; the first: image 0: 160x160 pixels" in text
    assert "160x160" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--facechallenge-testset=nowhere",), "*nowhere: no such file or folder; expected a folder with one*"),
        (("--facechallenge-testset=mask=",), "*expected ?NAME=?PATH for a testset*"),
        (("--facechallenge-min-tar=mask=60",), "*write 60 % as 0.60*"),
        (("--facechallenge-min-tar=mask=R50",), "*rows: *middling*"),
        (("--facechallenge-min-tar=msak=0.5",), "*nothing of that name is measured; names: *mask*"),
        (("--facechallenge-testset=pair", "--facechallenge-write-features=o.bin"), "*only its lists have a feature*"),
        (("--facechallenge-labels=labels.txt",), "*needs something to label*"),
    ],
)
def test_wrong_invocations_are_told_before_anything_runs(
    judged: pytest.Pytester, arguments: tuple[str, ...], said: str
) -> None:
    result, submission = run(judged, "--facechallenge-model=model.onnx", "--track=tiny/A", *arguments)
    assert (result.ret, submission) == (pytest.ExitCode.USAGE_ERROR, {})
    result.stderr.fnmatch_lines([said])


def test_a_selected_test_embeds_its_own_set_alone(judged: pytest.Pytester) -> None:
    base = ("--facechallenge-model=model.onnx", "--track=tiny/A", "--facechallenge-testset=mask=pair")
    arguments = (*base, "--facechallenge-testset=mine=list/filelist.txt")

    def embedded(*selection: str) -> dict[str, int | None]:
        _result, submission = run(judged, *arguments, *selection)
        testsets = submission["facts"].get("accuracy", {"testsets": []})["testsets"]
        return {each["name"]: each["embedding"] and each["embedding"]["computed"] for each in testsets}

    whole = embedded()
    assert all(whole.values())
    assert embedded("-k", "accuracy-mask") == {"mask": 60, "mine": None}
    assert embedded("-k", "model-size or package") == {}
