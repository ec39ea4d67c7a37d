from pathlib import Path

import numpy as np
import pytest

from pytest_facechallenge.testsets import TestsetError, read_testset, recognise
from tests.analyses.accuracy import world


def test_a_folder_per_identity_gives_images_and_identities(tmp_path: Path) -> None:
    root = world.write_folders(tmp_path / "faces", world.people(3, 2))
    testset = read_testset(root)
    assert testset.form == "identity folders"
    assert testset.name == "faces"
    assert testset.entry_names[:3] == ["person000/0.png", "person000/1.png", "person001/0.png"]
    assert testset.identities is not None
    assert testset.identities.tolist() == [0, 0, 1, 1, 2, 2]
    assert testset.images.read(0) == (root / "person000" / "0.png").read_bytes()
    assert testset.findings == ()


def test_what_is_no_image_is_reported_and_system_files_are_not(tmp_path: Path) -> None:
    root = world.write_folders(tmp_path / "faces", world.people(2, 1))
    (root / "person000" / "notes.txt").write_text("x")
    (root / "person001" / "Thumbs.db").write_text("x")
    (root / "loose.png").write_bytes(b"")
    (root / "nobody").mkdir()
    findings = "\n".join(read_testset(root).findings)
    assert "person000/notes.txt" in findings
    assert "nobody/ (no image in it)" in findings
    assert "loose.png" in findings
    assert "Thumbs.db" not in findings


def test_nothing_that_may_be_a_image_is_passed_over_silently(tmp_path: Path) -> None:
    root = world.write_folders(tmp_path / "faces", world.people(2, 1))
    world.write_folders(root / "person000", world.people(1, 1))
    world.write_folders(root / ".hidden", world.people(1, 1))
    (root / "person001" / "gone.png").symlink_to(tmp_path / "nowhere")
    (root / "person001" / "._0.png").write_bytes(b"what macOS knows of 0.png")
    testset = read_testset(root)
    assert testset.entry_names == ["person000/0.png", "person001/0.png", "person001/gone.png"]
    with pytest.raises(FileNotFoundError):
        testset.images.read(2)
    (finding,) = testset.findings
    assert "person000/person000/" in finding, "images one level too deep"
    assert ".hidden/" in finding
    assert "._0.png" not in finding


@pytest.mark.parametrize(("masked", "plain"), [("mask", "nonmask"), ("Masked", "non-masked"), ("mask", "no_mask")])
def test_a_mask_pair_knows_its_sides(tmp_path: Path, masked: str, plain: str) -> None:
    people = world.people(2, 2, masked=1)
    world.write_folders(tmp_path / plain, [images[:2] for images in people])
    world.write_folders(tmp_path / masked, [images[2:] for images in people])
    testset = read_testset(tmp_path)
    assert testset.form == "mask pair"
    sides = testset.masked()
    assert sides is not None
    assert sides.tolist() == [True, True, False, False, False, False]
    assert testset.identities is not None
    assert np.array_equal(testset.identities, [0, 1, 0, 0, 1, 1])


def test_a_mask_pair_without_a_common_identity_is_refused(tmp_path: Path) -> None:
    world.write_folders(tmp_path / "nonmask", world.people(1, 1))
    (tmp_path / "mask" / "somebody-else").mkdir(parents=True)
    (tmp_path / "mask" / "somebody-else" / "0.png").write_bytes(world.people(1, 1)[0][0])
    with pytest.raises(TestsetError, match=r"share no identity.*somebody-else.*person000"):
        read_testset(tmp_path)


def test_a_third_folder_makes_it_no_mask_pair(tmp_path: Path) -> None:
    for name in ("mask", "nonmask", "other"):
        world.write_folders(tmp_path / name, world.people(1, 1))
    with pytest.raises(TestsetError, match="not a testset of a known kind"):
        recognise(tmp_path)


@pytest.mark.parametrize("content", [None, "empty", "text"])
def test_an_unknown_kind_says_what_was_expected_and_found(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "thing"
    if content is not None:
        path.mkdir()
    if content == "text":
        (path / "readme.txt").write_text("hello")
    with pytest.raises(TestsetError) as raised:
        read_testset(path)
    message = str(raised.value)
    assert "a folder with one sub-folder per identity" in message
    assert {None: "no such file", "empty": "an empty folder", "text": "'readme.txt'"}[content] in message
