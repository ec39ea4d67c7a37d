from pathlib import Path

import pytest

from pytest_facechallenge.testsets import TestsetError, read_testset
from pytest_facechallenge.testsets.manifest import column_values


def manifest(folder: Path, text: str, name: str = "manifest.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_become_groups_and_paths_are_relative_to_the_manifest(tmp_path: Path) -> None:
    manifest(tmp_path, "\ufeffPath,Identity,Race,masked\na.png,p1,African,yes\nb.png,p2,South Asian,0\n\n")
    (tmp_path / "a.png").write_bytes(b"content")
    testset = read_testset(tmp_path)
    assert testset.form == "manifest"
    assert testset.entry_names == ["a.png", "b.png"]
    assert testset.columns["race"].tolist() == ["African", "South Asian"]
    assert testset.columns["masked"].tolist() == ["masked", "non-masked"]
    assert testset.images.read(0) == b"content"


def test_tabs_and_other_names_of_the_columns(tmp_path: Path) -> None:
    path = manifest(tmp_path, "image\tlabel\tage\na, b.png\t7\t12\n", "list.tsv")
    testset = read_testset(path)
    assert testset.entry_names == ["a, b.png"]
    assert testset.columns["age"].tolist() == ["12"]


def test_column_values_reads_no_image(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,identity,set,race\nno-such.png,p,mask,\nneither.png,p,mr-all;mask,African\n")
    assert column_values(path, ("set", "race", "age")) == {
        "set": frozenset({"mask", "mr-all;mask"}),
        "race": frozenset({"", "African"}),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"expected a header line such as 'path,identity', found an empty file"),
        ("path,race\na,b\n", r"expected a column named 'identity' or .* found 'path', 'race'"),
        ("identity,race\na,b\n", r"expected a column named 'path' or"),
        ("path,identity,race,race\n", r"named once, found 'race' twice"),
        ("path,identity\na.png\n", r"line 2: expected 2 columns \(path, identity\), found 1"),
        ("path,identity\na.png,p\n,p\n", r"line 3: expected a path and an identity, found '' and 'p'"),
        ("path,identity\na.png,p\na.png,q\n", r"line 3: 'a.png' is listed a second time \(first on line 2\)"),
        ("path,identity,masked\na.png,p,perhaps\n", r"line 2: the mask column takes 1 or 0 .* found 'perhaps'"),
        ("path,identity\n", r"expected a line for each image below the header, found none"),
    ],
)
def test_errors_say_where_and_what(tmp_path: Path, text: str, words: str) -> None:
    path = manifest(tmp_path, text)
    with pytest.raises(TestsetError, match=words) as raised:
        read_testset(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("encoding", "image", "called"),
    [
        ("latin-1", "ä.png", "Latin-1"),
        ("latin-1", "Müller.png", "Latin-1"),
        ("gbk", "张伟.png", "GBK"),
        ("utf-16", "张伟.png", "UTF-16"),
        ("utf-8", "张伟.png", ""),
        ("utf-8-sig", "张伟.png", ""),
    ],
)
def test_encodings_that_people_have(tmp_path: Path, encoding: str, image: str, called: str) -> None:
    (tmp_path / image).write_bytes(b"x")
    (tmp_path / "manifest.csv").write_bytes(f"path,identity\n{image},p\nmore.png,q\n".encode(encoding))
    testset = read_testset(tmp_path)
    assert testset.entry_names == [image, "more.png"]
    expected = (f"manifest.csv is no UTF-8; it was read as {called}",) if called else ()
    assert testset.findings == expected


def test_names_on_the_disk_tell_encodings_apart(tmp_path: Path) -> None:
    """The bytes of this name are right in both encodings, and look like GBK."""
    name = "ÄÖÜß.png"
    assert name.encode("latin-1").decode("gbk")
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "manifest.csv").write_bytes(f"path,identity\n{name},p\n".encode("latin-1"))
    assert read_testset(tmp_path).entry_names == [name]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["manifest.csv", "manifest.tsv"])
def test_columns_may_be_apart_by_semicolons_and_tabs(tmp_path: Path, name: str, separator: str) -> None:
    rows = [("path", "identity", "set"), ("a.png", "p", "x"), ("b.png", "q", "y")]
    (tmp_path / name).write_text("\n".join(separator.join(row) for row in rows) + "\n")
    testset = read_testset(tmp_path)
    assert testset.entry_names == ["a.png", "b.png"]
    assert testset.columns["set"].tolist() == ["x", "y"]


def test_a_image_by_another_spelling_is_the_same_image(tmp_path: Path) -> None:
    with pytest.raises(TestsetError, match=r"line 3: '\./a\.png' is listed a second time \(first on line 2\)"):
        read_testset(manifest(tmp_path, "path,identity\na.png,p\n./a.png,q\n"))


def test_paths_written_on_windows_are_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"image")
    testset = read_testset(manifest(tmp_path, "path,identity\na\\1.png,p\n"))
    assert testset.entry_names == ["a/1.png"]
    assert testset.images.read(0) == b"image"
