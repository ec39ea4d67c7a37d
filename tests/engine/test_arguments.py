"""From names to sources: what is one, what takes only its own entry along, and names at a cost that is linear."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_facechallenge.engine.arguments import TargetError, distinct, find_submissions, short_names

posix = pytest.mark.skipif(os.name != "posix", reason="files of POSIX systems")


def paths(count: int) -> list[str]:
    """Return long paths that differ in the middle."""
    before, after = "/".join(["d" * 20] * 150), "/".join(["x" * 10] * 40)
    return [f"/{before}/{number}/{after}/model.onnx" for number in range(count)]


def test_many_long_names_are_told_apart() -> None:
    names = short_names(paths(3_000))
    assert len(set(names)) == 3_000


def test_names_are_distinct_after_cleaning() -> None:
    assert short_names(["/a/m\n.onnx", "/b/m\\n.onnx"]) == ["m\\n.onnx", "m\\n.onnx (2)"]
    assert distinct(["a", "a", "a (2)"]) == ["a", "a (2)", "a (2) (2)"]
    long = short_names([f"/{'n' * 250}{number}.onnx" for number in range(3)])
    assert len(set(long)) == 3
    assert all(len(name) < 220 for name in long)


@posix
def test_entries_that_cannot_be_read_are_judged_alone(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "model.onnx").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "lost.zip").symlink_to(tmp_path / "nowhere")
    (tmp_path / "note.txt").write_text("no submission")
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.zip")
    Path(odd).write_bytes(b"")
    found = {os.fsencode(path.name) for path in find_submissions((str(tmp_path),), tmp_path)[0]}
    expected = {b"good", b"pipe.zip", b"lost.zip", b"\xff\xfe.zip"}
    assert found == (expected if os.geteuid() == 0 else expected | {b"closed"})


@posix
@pytest.mark.parametrize("name", ["pipe", "device", "empty", "text.md", "lost"])
def test_what_is_no_submission(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "pipe":
        os.mkfifo(path)
    elif name in ("device", "lost"):
        path.symlink_to("/dev/zero" if name == "device" else tmp_path / "nowhere")
    else:
        path.write_text("" if name == "empty" else "# text")
    with pytest.raises(TargetError, match=r"a \.onnx file, a \.zip or a folder is expected"):
        find_submissions((name,), tmp_path)


@pytest.mark.parametrize(("name", "head"), [("model", b"\x08\x06\x12"), ("m.bin", b"PK\x03\x04")])
def test_the_first_bytes_decide_under_another_name(tmp_path: Path, name: str, head: bytes) -> None:
    (tmp_path / name).write_bytes(head)
    assert find_submissions((name,), tmp_path) == ([tmp_path / name], ())


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/model.onnx"], ["model.onnx"]),
        (["/x/alice/model.onnx", "/x/bob/model.onnx"], ["alice/model.onnx", "bob/model.onnx"]),
        (["/x/1/a/m.onnx", "/x/2/a/m.onnx", "/x/n.onnx"], ["1/a/m.onnx", "2/a/m.onnx", "n.onnx"]),
        (["/a/m.onnx", "/a/m.onnx"], ["/a/m.onnx", "/a/m.onnx"]),
    ],
)
def test_short_names(paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == names
