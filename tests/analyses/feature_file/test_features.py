"""LFR19 feature files: format, facts, checks."""

import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from pytest_facechallenge.analyses.accuracy.request import Point
from pytest_facechallenge.analyses.feature_file.gather import gather
from pytest_facechallenge.analyses.feature_file.request import FeatureFileOptions
from pytest_facechallenge.checks import feature_file as checks
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.feature_file import FeatureFileFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.testsets.feature_format import FeatureFileError, map_rows, read_header, write_features
from pytest_facechallenge.testsets.labels import LabelsError, read_labels
from tests.analyses.accuracy import world
from tests.analyses.accuracy.test_parametrize import BOOK, rule


def unit_rows(people: int = 20, each: int = 3, width: int = 16, noise: float = 0.3) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(people, width)), each, axis=0) + noise * rng.normal(size=(people * each, width))
    return np.array(rows / np.sqrt((rows**2).sum(axis=1, keepdims=True)), dtype=np.float32)


def write_raw(path: Path, header: tuple[int, int, int, int], rows: npt.NDArray[np.float32]) -> Path:
    path.write_bytes(struct.pack("<4i", *header) + rows.tobytes())
    return path


def look(tmp_path: Path, path: Path, labels: str = "") -> FeatureFileFacts:
    request = FeatureFileOptions(path=str(path), labels=labels, points=(Point("1e-2", "<"),))
    found = gather(world.context(tmp_path / "none.onnx", tmp_path / "work", request))
    return msgspec.json.decode(msgspec.json.encode(found), type=FeatureFileFacts)


def limited(limit: int | None = None, **parameters: Any) -> Rule:
    return msgspec.structs.replace(rule("testset_images"), limit=limit, parameters=parameters)


def labels_file(tmp_path: Path, count: int = 20, each: int = 3) -> str:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(f"person{number // each}" for number in range(count * each)) + "\n")
    return str(path)


def test_what_is_written_is_the_official_format(tmp_path: Path) -> None:
    rows = unit_rows()
    path = tmp_path / "sub" / "features.bin"
    write_features(path, rows)
    assert path.read_bytes() == struct.pack("<4i", 60, 16, 64, 5) + rows.astype("<f4").tobytes()
    assert read_header(path).problems() == ()
    assert np.array_equal(map_rows(path, read_header(path)), rows)
    assert [entry.name for entry in path.parent.iterdir()] == ["features.bin"]


def test_writing_is_the_same_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_features(tmp_path / "whole.bin", unit_rows())
    monkeypatch.setattr("pytest_facechallenge.testsets.feature_format._BLOCK", 7)
    write_features(tmp_path / "pieces.bin", unit_rows())
    assert (tmp_path / "whole.bin").read_bytes() == (tmp_path / "pieces.bin").read_bytes()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ((60, 16, 16, 5), "the third number must be columns * 4 = 64, found 16"),
        ((60, 16, 64, 6), "the fourth number must be 5"),
        ((61, 16, 64, 5), "61 rows of 16 values are 3,920 bytes with the header, the file has 3,856"),
        ((59, 16, 64, 5), "59 rows of 16 values"),
        ((0, 16, 64, 5), "must be above 0"),
        ((60, -16, -64, 5), "must be above 0"),
    ],
)
def test_a_wrong_header_fails(tmp_path: Path, header: tuple[int, int, int, int], words: str) -> None:
    found = look(tmp_path, write_raw(tmp_path / "f.bin", header, unit_rows()))
    outcome = checks.feature_header(Facts.of(found), limited())
    assert outcome.status is Status.FAILED
    assert words in outcome.message


def test_a_good_file_passes_and_big_endian_does_not(tmp_path: Path) -> None:
    write_features(tmp_path / "f.bin", unit_rows())
    assert checks.feature_header(Facts.of(look(tmp_path, tmp_path / "f.bin")), limited()).status is Status.PASSED
    (tmp_path / "b.bin").write_bytes(struct.pack(">4i", 60, 16, 64, 5) + unit_rows().tobytes())
    assert checks.feature_header(Facts.of(look(tmp_path, tmp_path / "b.bin")), limited()).status is Status.FAILED


@pytest.mark.parametrize("content", [b"", b"short", struct.pack("<4i", 5, 16, 64, 5)])
def test_a_file_without_rows_is_told_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.bin").write_bytes(content)
    facts = Facts.of(look(tmp_path, tmp_path / "f.bin"))
    assert checks.feature_header(facts, limited()).status is Status.FAILED
    assert checks.feature_rows(facts, limited(5)).status is Status.UNDECIDED


def test_a_missing_file_is_told_so(tmp_path: Path) -> None:
    facts = Facts.of(look(tmp_path, tmp_path / "nowhere.bin"))
    assert checks.feature_header(facts, limited()).status is Status.FAILED


@pytest.mark.parametrize(("limit", "status"), [(60, Status.PASSED), (61, Status.FAILED), (59, Status.FAILED)])
def test_the_number_of_rows(tmp_path: Path, limit: int, status: Status) -> None:
    write_features(tmp_path / "f.bin", unit_rows())
    assert checks.feature_rows(Facts.of(look(tmp_path, tmp_path / "f.bin")), limited(limit)).status is status


@pytest.mark.parametrize(("limit", "status"), [(16, Status.PASSED), (512, Status.PASSED), (15, Status.FAILED)])
def test_the_width(tmp_path: Path, limit: int, status: Status) -> None:
    write_features(tmp_path / "f.bin", unit_rows())
    assert checks.feature_width(Facts.of(look(tmp_path, tmp_path / "f.bin")), limited(limit)).status is status


def test_rows_without_a_direction_are_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_facechallenge.analyses.feature_file.gather._BLOCK_BYTES", 7 * 8 * 16)
    rows = unit_rows()
    rows[3, 2] = np.nan
    rows[8, 0] = np.inf
    rows[50] = 0
    write_features(tmp_path / "f.bin", rows)
    found = look(tmp_path, tmp_path / "f.bin", labels_file(tmp_path))
    assert (found.non_finite_rows, found.zero_rows, found.first_bad_rows) == (2, 1, (3, 8, 50))
    outcome = checks.feature_finite(Facts.of(found), limited())
    assert outcome.status is Status.FAILED
    assert [each.where for each in outcome.evidence] == ["row 3", "row 8", "row 50"]
    assert checks.feature_score(Facts.of(found), limited()).status is Status.FAILED


def test_norms(tmp_path: Path) -> None:
    rows = unit_rows()
    write_features(tmp_path / "f.bin", rows)
    facts = Facts.of(look(tmp_path, tmp_path / "f.bin"))
    assert checks.feature_finite(facts, limited()).status is Status.PASSED
    assert checks.feature_norms(facts, limited()).status is Status.PASSED
    rows[7] *= 1.01
    write_features(tmp_path / "f.bin", rows)
    outcome = checks.feature_norms(Facts.of(look(tmp_path, tmp_path / "f.bin")), limited())
    assert outcome.status is Status.FAILED
    assert "1 rows are not normalised" in outcome.message


def score(tmp_path: Path, rows: npt.NDArray[np.float32], labels: str, **parameters: Any) -> Outcome:
    write_features(tmp_path / "f.bin", rows)
    book = msgspec.structs.replace(BOOK, ranking=None, sets={"mask": BOOK.sets["mask"]})
    wanted = msgspec.structs.replace(limited(**parameters), book=book)
    return checks.feature_score(Facts.of(look(tmp_path, tmp_path / "f.bin", labels)), wanted)


def test_a_wrong_row_count_is_scored_all_the_same(tmp_path: Path) -> None:
    labels = labels_file(tmp_path)
    outcome = score(tmp_path, unit_rows(), labels)
    assert outcome.status is Status.PASSED
    assert "Not comparable" in " ".join(outcome.notes)
    facts = Facts.of(look(tmp_path, tmp_path / "f.bin", labels))
    assert checks.feature_rows(facts, limited(1862120)).status is Status.FAILED


def test_the_score_is_that_of_the_rows(tmp_path: Path) -> None:
    rows = unit_rows(noise=1.0)
    unit = rows.astype(np.float64)
    unit /= np.sqrt((unit**2).sum(axis=1, keepdims=True))
    scores = unit @ unit.T
    who = np.repeat(np.arange(20), 3)
    upper = np.triu(np.ones((60, 60), dtype=bool), 1)
    same = who[:, None] == who
    impostor = np.sort(scores[upper & ~same])[::-1]
    expected = (scores[upper & same] > impostor[17]).mean()  # FAR < 1e-2 of 1,710 pairs: 17 false accepts
    assert 0 < expected < 1
    assert score(tmp_path, rows, labels_file(tmp_path)).measured.startswith(f"{100 * expected:.3f} % (")


def test_thresholds_of_the_score(tmp_path: Path) -> None:
    labels = labels_file(tmp_path)
    assert score(tmp_path, unit_rows(noise=0.01), labels, threshold=0.99).status is Status.PASSED
    assert score(tmp_path, unit_rows(noise=3.0), labels, threshold=0.99).status is Status.FAILED
    assert score(tmp_path, unit_rows(), labels, threshold="weak").status is Status.UNDECIDED
    assert score(tmp_path, unit_rows(), "").status is Status.UNDECIDED
    assert score(tmp_path, unit_rows(people=3), labels_file(tmp_path, 3)).status is Status.UNDECIDED


def test_labels_of_another_length_are_told(tmp_path: Path) -> None:
    outcome = score(tmp_path, unit_rows(), labels_file(tmp_path, 19))
    assert outcome.status is Status.UNDECIDED
    assert "an identity for each of 60 rows, found 57 lines" in outcome.message


def test_labels_are_one_a_line_or_a_second_column(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("b\na\nb\n")
    assert read_labels(path).tolist() == [1, 0, 1]
    path.write_text("x.jpg b\ny.jpg a\nz.jpg b\n")
    assert read_labels(path, 3).tolist() == [1, 0, 1]
    path.write_text("x.jpg b\ny.jpg\n")
    with pytest.raises(LabelsError, match="line 2"):
        read_labels(path)
    with pytest.raises(LabelsError, match="cannot be used"):
        read_labels(tmp_path / "nowhere")


def test_without_a_feature_file_nothing_applies(tmp_path: Path) -> None:
    assert gather(world.context(tmp_path / "none.onnx", tmp_path / "work")) == FeatureFileFacts()
    facts = Facts.of(FeatureFileFacts())
    for check in (
        checks.feature_header,
        checks.feature_rows,
        checks.feature_width,
        checks.feature_finite,
        checks.feature_norms,
        checks.feature_score,
    ):
        assert check(facts, limited(1)).status is Status.NOT_APPLICABLE


def test_a_file_cut_off_inside_a_row_keeps_the_whole_rows(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "f.bin", (60, 16, 64, 5), unit_rows())
    path.write_bytes(path.read_bytes()[:-10])
    assert map_rows(path, read_header(path)).shape == (59, 16)
    path.write_bytes(b"abc")
    with pytest.raises(FeatureFileError, match="expected a header of 16 bytes, the file has 3"):
        read_header(path)


def test_identities_with_spaces_are_not_taken_for_paths_and_identities(tmp_path: Path) -> None:
    """All Lees would be one person, and nobody would notice."""
    path = tmp_path / "labels.txt"
    path.write_text("Ann Lee\nAnn Lee\nBob Lee\n")
    with pytest.raises(LabelsError, match="the path 'Ann' comes up more than once"):
        read_labels(path)
    path.write_text("a.jpg Lee\nb.jpg Lee\n")
    assert read_labels(path).tolist() == [0, 0]
