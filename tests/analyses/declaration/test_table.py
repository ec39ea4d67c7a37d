"""One table with the declarations of many submissions, as CSV and as TOML; what is wrong is said with its line."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from pytest_facechallenge.analyses.declaration.table import declaration_of, read_table

CSV = """\
entry,purpose,training.dataset,training.external_data,organization.name,submission.time,submission.number_that_day
team-a.zip,entry,MS1M-V3,no,2001,2021-07-01T10:00:00+08:00,2

team-b,practice,Glint360K,TRUE,"Faces, Inc.",,
"""
TOML = """\
[entries."team-a.zip"]
[entries."team-a.zip".training]
dataset = "MS1M-V3"
external_data = false
[entries."team-a.zip".organization]
name = "2001"
[entries."team-a.zip".submission]
time = 2021-07-01T10:00:00+08:00
number_that_day = 2

[entries.team-b]
purpose = "practice"
training = { dataset = "Glint360K", external_data = true }
organization = { name = "Faces, Inc." }
"""


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    """Write a table and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_both_forms_state_the_same(tmp_path: Path) -> None:
    of_csv = read_table(written(tmp_path, "\ufeff" + CSV))
    of_toml = read_table(written(tmp_path, TOML, "table.toml"))
    assert of_csv == of_toml
    first = of_csv["team-a.zip"]
    assert first.organization.name == "2001"
    assert first.submission.time == datetime.datetime(
        2021, 7, 1, 10, tzinfo=datetime.timezone(datetime.timedelta(hours=8))
    )
    assert (first.purpose, first.training.external_data, first.submission.number_that_day) == ("entry", False, 2)


def test_a_submission_is_found_by_its_name_with_and_without_the_suffix(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, CSV))
    for path, name in (("/e/team-a.zip", "team-a.zip"), ("/e/team-b.onnx", "team-b"), ("/e/team-b", "team-b")):
        found = declaration_of(Path(path), table)
        assert found is not None
        assert found[0] == name
    assert declaration_of(Path("/e/team-a.onnx"), table) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("team,purpose\na,entry\n", r"line 1: columns of different names are expected, one of them 'entry'"),
        ("", r"line 1: columns .* found nothing"),
        ("entry,purpose\na,entry,more\n", r"line 2: 2 fields are expected, found 3"),
        ("entry,purpose\na,entry\na,entry\n", r"line 3: there is a second row for 'a'"),
        ("entry,purpose\na,fun\n", r"line 2 \(a\): .*purpose"),
        ("entry,training.data\na,MS1M-V3\n", r"line 2 \(a\): .*data"),
        ("entry,submission.number_that_day\na,first\n", r"line 2 \(a\): .*number_that_day"),
        ("entry,submission.time\na,yesterday\n", r"line 2 \(a\): .*time"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_table(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("entries = 3", r"a table \[entries\.\"NAME\"\] for each submission is expected, found entries"),
        ("[entries]\na = 1", "is expected"),
        ("[entries.a]\npurpose = 'fun'", r"\[entries\.\"a\"\] \(a\): .*purpose"),
        ("[entries", "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_toml_table_is_said_with_its_entry(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_table(written(tmp_path, text, "table.toml"))
