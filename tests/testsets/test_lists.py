"""LFW pairs files, the IJB layout, LFR19 file lists."""

from pathlib import Path

import pytest

from pytest_facechallenge.testsets import TestsetError, read_testset


def touch(path: Path, content: bytes = b"image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def lfw(folder: Path, header: str, *lines: str) -> Path:
    path = folder / "pairs.txt"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


LFW_LINES = ("Ann\t1\t2", "Ann\t1\tBob\t3", "Bob\t3\t4", "Ann\t2\tBob\t4")


@pytest.mark.parametrize("inside", ["", "images"])
def test_lfw_pairs_name_images_and_folds(tmp_path: Path, inside: str) -> None:
    for name in ("Ann/Ann_0001.jpg", "Ann/Ann_0002.png", "Bob/Bob_0003.jpg", "Bob/Bob_0004.jpg"):
        touch(tmp_path / inside / name, name.encode())
    lfw(tmp_path, "2\t1", *LFW_LINES)
    testset = read_testset(tmp_path)
    assert testset.form == "LFW pairs"
    assert testset.entry_names == ["Ann/Ann_0001.jpg", "Ann/Ann_0002.png", "Bob/Bob_0003.jpg", "Bob/Bob_0004.jpg"]
    assert testset.pairs is not None
    assert testset.pairs.left.tolist() == [0, 0, 2, 1]
    assert testset.pairs.right.tolist() == [1, 2, 3, 3]
    assert testset.pairs.same.tolist() == [True, False, True, False]
    assert testset.pairs.folds == 2
    assert testset.images.read(1) == b"Ann/Ann_0002.png"


def test_a_missing_lfw_image_is_found_when_it_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "Ann" / "Ann_0001.jpg")
    testset = read_testset(lfw(tmp_path, "1", "Ann\t1\t2", "Ann\t1\tBob\t3"))
    assert testset.entry_names == ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0003.jpg"]
    with pytest.raises(FileNotFoundError):
        testset.images.read(2)


def test_lfw_errors(tmp_path: Path) -> None:
    touch(tmp_path / "Ann" / "Ann_0001.jpg")
    with pytest.raises(TestsetError, match=r"announces 2 x 2 x 1 = 4 pairs, found 3 lines"):
        read_testset(lfw(tmp_path, "2\t1", *LFW_LINES[:3]))
    with pytest.raises(TestsetError, match=r"line 3: expected 'person number number'.*found 'Ann one Bob 3'"):
        read_testset(lfw(tmp_path, "1\t1", "Ann\t1\t1", "Ann\tone\tBob\t3"))
    with pytest.raises(TestsetError, match="expected a folder 'Zoe' with images"):
        read_testset(lfw(tmp_path, "1\t1", "Zoe\t1\t1", "Zoe\t1\tBob\t3"))


BOM = b"\xef\xbb\xbf"


def windows(path: Path) -> None:
    """Rewrite a text file as Windows editors do: a byte order mark, and line ends of two characters."""
    path.write_bytes(BOM + path.read_bytes().replace(b"\n", b"\r\n"))


def test_lists_made_on_windows_are_read_like_others(tmp_path: Path) -> None:
    for name in ("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0003.jpg", "Bob/Bob_0004.jpg"):
        touch(tmp_path / "lfw" / name)
    windows(lfw(tmp_path / "lfw", "2\t1", *LFW_LINES))
    assert len(read_testset(tmp_path / "lfw").entry_names) == 4
    root = ijb(tmp_path / "ijb", "1.jpg 10 5\n2.jpg 7 6\n", "10 7 1\n7 10 0\n")
    for name in ("face_tid_mid", "template_pair_label"):
        windows(root / "meta" / f"ijbc_{name}.txt")
    assert read_testset(root).entry_names == ["template 7", "template 10"]
    touch(tmp_path / "list" / "a" / "1.jpg")
    (tmp_path / "list" / "filelist.txt").write_bytes(BOM + b"a\\1.jpg anna\r\na\\2.jpg bert\r\n")
    assert read_testset(tmp_path / "list").entry_names == ["a/1.jpg", "a/2.jpg"]
    touch(tmp_path / "videos" / "v1" / "0.jpg")
    (tmp_path / "videos" / "filelist.txt").write_bytes(BOM + b"v1\r\n")
    assert read_testset(tmp_path / "videos").form == "LFR19 videos"


def test_digits_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "Ann" / "Ann_0001.jpg")
    with pytest.raises(TestsetError, match="line 2: expected 'person number number'"):
        read_testset(lfw(tmp_path, "1\t1", "Ann\t\u00b2\t1", "Ann\t1\tBob\t3"))
    with pytest.raises(TestsetError, match="not a testset of a known kind"):
        read_testset(lfw(tmp_path, "\u00b2\t1", "Ann\t1\t1", "Ann\t1\tBob\t3"))
    with pytest.raises(TestsetError, match="line 1: expected 'image template medium'"):
        read_testset(ijb(tmp_path / "ijb", f"1.jpg {10**30} 1\n", "1 1 1\n"))


def test_a_missing_first_image_or_person_does_not_cost_the_rest(tmp_path: Path) -> None:
    root = ijb(tmp_path / "ijb", "no.jpg 10 5\n2.jpg 7 6\n", "10 7 1\n")
    testset = read_testset(root)
    assert testset.images.read(1) == b"2"
    with pytest.raises(FileNotFoundError):
        testset.images.read(0)
    touch(tmp_path / "lfw" / "Bob" / "Bob_0003.jpg")
    assert len(read_testset(lfw(tmp_path / "lfw", "1\t1", "Ann\t1\t2", "Ann\t1\tBob\t3"))) == 3


def test_half_an_ijb_layout_is_not_taken_for_identities(tmp_path: Path) -> None:
    root = ijb(tmp_path, "1.jpg 10 5\n", "10 10 1\n")
    touch(root / "meta" / "ijbb_face_tid_mid.txt")
    with pytest.raises(TestsetError, match=r"one of each, found meta/ijbb_face_tid_mid\.txt, meta/ijbc_face"):
        read_testset(root)
    (root / "meta" / "ijbc_template_pair_label.txt").write_text("")
    (root / "meta" / "ijbb_face_tid_mid.txt").unlink()
    with pytest.raises(TestsetError, match=r"a line 'template template 0.1' for each pair, found none"):
        read_testset(root)
    (root / "meta" / "ijbc_template_pair_label.txt").unlink()
    with pytest.raises(TestsetError, match=r"one of each, found meta/ijbc_face_tid_mid\.txt"):
        read_testset(root)


def test_columns_of_a_list(tmp_path: Path) -> None:
    path = tmp_path / "filelist.txt"
    path.write_text("my face.jpg\tAnn Lee\nother.jpg\tBob\n")
    assert read_testset(path).entry_names == ["my face.jpg", "other.jpg"]
    path.write_text("my face.jpg Ann\nother.jpg Bob\n")
    with pytest.raises(TestsetError, match=r"found 3 columns: 'my face\.jpg Ann'; where a path has spaces, put a tab"):
        read_testset(path)


def test_a_list_of_videos_is_one_although_the_first_is_missing(tmp_path: Path) -> None:
    touch(tmp_path / "v1" / "0.jpg")
    (tmp_path / "filelist.txt").write_text("v0\nv1\n")
    with pytest.raises(TestsetError, match="at least one frame for each video, not so: v0"):
        read_testset(tmp_path)


def ijb(folder: Path, media: str, pairs: str) -> Path:
    touch(folder / "meta" / "ijbc_face_tid_mid.txt", media.encode())
    touch(folder / "meta" / "ijbc_template_pair_label.txt", pairs.encode())
    for number in (1, 2, 3):
        touch(folder / "loose_crop" / f"{number}.jpg", str(number).encode())
    return folder


def test_ijb_entries_are_templates(tmp_path: Path) -> None:
    testset = read_testset(ijb(tmp_path, "1.jpg 10 5\n2.jpg 7 6\n3.jpg 10 5\n", "10 7 1\n7 10 0\n"))
    assert testset.form == "IJB"
    assert testset.entry_names == ["template 7", "template 10"]
    assert testset.pooling is not None
    assert testset.pooling.kind == "template"
    assert testset.pooling.entry.tolist() == [1, 0, 1]
    assert testset.pooling.medium.tolist() == [5, 6, 5]
    assert testset.pairs is not None
    assert testset.pairs.left.tolist() == [1, 0]
    assert testset.pairs.right.tolist() == [0, 1]
    assert testset.pairs.same.tolist() == [True, False]
    assert testset.images.read(2) == b"3"


def test_ijb_errors(tmp_path: Path) -> None:
    with pytest.raises(TestsetError, match="template 9 is in a pair but has no image"):
        read_testset(ijb(tmp_path, "1.jpg 10 5\n", "10 9 1\n"))
    with pytest.raises(TestsetError, match=r"line 2: expected 'image template medium', found '2\.jpg x 1'"):
        read_testset(ijb(tmp_path, "1.jpg 10 5\n2.jpg x 1\n", "10 10 1\n"))
    with pytest.raises(TestsetError, match="three columns"):
        read_testset(ijb(tmp_path, "1.jpg 10 5\n", "10 10\n"))
    with pytest.raises(TestsetError, match=r"expected the image 'no\.jpg' in one of its folders"):
        read_testset(ijb(tmp_path, "no.jpg 10 5\n", "10 10 1\n"))


def test_lfr19_images_keep_the_list_s_order(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "a/1.jpg"):
        touch(tmp_path / name, name.encode())
    (tmp_path / "filelist.txt").write_text("b/2.jpg anna\na/1.jpg bert\n\n", encoding="utf-8")
    testset = read_testset(tmp_path)
    assert testset.form == "LFR19 images"
    assert testset.entry_names == ["b/2.jpg", "a/1.jpg"]
    assert testset.identities is not None
    assert testset.identities.tolist() == [0, 1]
    assert testset.images.read(0) == b"b/2.jpg"


def test_lfr19_videos_gather_their_frames(tmp_path: Path) -> None:
    for name in ("v2/01.jpg", "v2/00.jpg", "v1/x.jpg"):
        touch(tmp_path / name)
    (tmp_path / "filelist.txt").write_text("v2\nv1\n", encoding="utf-8")
    testset = read_testset(tmp_path / "filelist.txt")
    assert testset.form == "LFR19 videos"
    assert testset.entry_names == ["v2", "v1"]
    assert [testset.images.name(number) for number in range(3)] == ["v2/00.jpg", "v2/01.jpg", "v1/x.jpg"]
    assert testset.pooling is not None
    assert testset.pooling.entry.tolist() == [0, 0, 1]
    assert testset.identities is None
    assert "has no identities" in testset.findings[0]


def test_lfr19_errors(tmp_path: Path) -> None:
    touch(tmp_path / "v1" / "0.jpg")
    (tmp_path / "filelist.txt").write_text("v1\nv9\n", encoding="utf-8")
    with pytest.raises(TestsetError, match="at least one frame for each video, not so: v9"):
        read_testset(tmp_path)
    (tmp_path / "filelist.txt").write_text("a.jpg x\nb.jpg\n", encoding="utf-8")
    with pytest.raises(
        TestsetError, match="line 2: expected an identity in the second column on every line or on none"
    ):
        read_testset(tmp_path)


PEOPLE = ("Ann_Lee", "Jean-Zoë_Müller", "Al_Tikriti_O'Neil")
NUMBERED = "Ann_Lee\t1\t2\nJean-Zoë_Müller\t1\tAnn_Lee\t2\nAl_Tikriti_O'Neil\t1\t2\nAnn_Lee\t1\tAl_Tikriti_O'Neil\t2\n"
PATHS = "".join(
    f"{one}/{one}_000{i}.jpg {other}/{other}_000{j}.jpg {same}\n"
    for one, i, other, j, same in (
        (PEOPLE[0], 1, PEOPLE[0], 2, 1),
        (PEOPLE[1], 1, PEOPLE[0], 2, 0),
        (PEOPLE[2], 1, PEOPLE[2], 2, 1),
        (PEOPLE[0], 1, PEOPLE[2], 2, 0),
    )
)


def faces(folder: Path, form: str = "{}_{:04d}.jpg") -> None:
    for person in PEOPLE:
        for number in (1, 2):
            touch(folder / person / form.format(person, number))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.txt", ("2\t1\n" + NUMBERED).encode()),
        ("pairs.txt", NUMBERED.encode()),
        ("pairs.txt", ("2\t1\n" + NUMBERED).encode("latin-1")),
        ("pairs.txt", ("2\t1\n" + NUMBERED).encode("utf-16")),
        ("pairs.txt", ("2\t1\n" + NUMBERED).replace("\t", " ").encode()),
        ("pairs.csv", ("name,imagenum1,imagenum2,\n" + NUMBERED.replace("\t", ",")).encode()),
        ("pairs.txt", PATHS.encode()),
        ("pairs.txt", PATHS.encode("latin-1")),
        ("lfw_pair.txt", PATHS.replace("/", "\\").encode()),
        ("pairs.csv", ("image1,image2,label\n" + PATHS.replace(" ", ",")).encode()),
        ("pairs.txt", PATHS.replace(" 0\n", " -1\n").encode()),
    ],
    ids=["official", "no header", "latin-1", "utf-16", "spaces", "csv", "paths", "paths latin-1", "windows", "csv of "
         "paths", "-1"],
)  # fmt: skip
def test_lists_of_pairs_as_they_go_round(tmp_path: Path, name: str, content: bytes) -> None:
    faces(tmp_path)
    touch(tmp_path / name, content)
    testset = read_testset(tmp_path / name)
    assert testset.form == "LFW pairs"
    assert testset.pairs is not None
    assert testset.pairs.same.tolist() == [True, False, True, False]
    assert testset.pairs.folds == 2
    assert [testset.images.read(number) for number in range(len(testset.images))] == [b"image"] * 5
    left = [testset.entry_names[number] for number in testset.pairs.left.tolist()]
    assert left == [f"{person}/{person}_0001.jpg" for person in (PEOPLE[0], PEOPLE[1], PEOPLE[2], PEOPLE[0])]


def test_names_that_mtcnn_writes(tmp_path: Path) -> None:
    faces(tmp_path, "{}_{:04d}_0.png")
    touch(tmp_path / "Ann_Lee" / "Ann_Lee_0002_1.png")
    testset = read_testset(lfw(tmp_path, "2\t1", *NUMBERED.splitlines()))
    assert testset.entry_names[:2] == ["Ann_Lee/Ann_Lee_0001_0.png", "Ann_Lee/Ann_Lee_0002_0.png"]
    assert testset.images.read(4) == b"image"
    assert testset.findings == (
        "several faces were cut out of one image, and the first (_0) is compared: Ann_Lee/Ann_Lee_0002_0.png",
    )


def test_a_list_in_no_folds_says_so(tmp_path: Path) -> None:
    faces(tmp_path)
    touch(tmp_path / "pairs.txt", "\n".join(NUMBERED.splitlines()[:3]).encode())
    testset = read_testset(tmp_path)
    assert testset.pairs is not None
    assert testset.pairs.folds == 0
    assert "its pairs are in no equal folds" in testset.findings[0]


def test_a_list_without_answers_says_what_is_expected(tmp_path: Path) -> None:
    faces(tmp_path)
    text = "\n".join(line.rpartition(" ")[0] for line in PATHS.splitlines())
    touch(tmp_path / "pairs.txt", text.encode())
    with pytest.raises(TestsetError, match=r"line 1: expected .*'path path 1' .*; the answer is missing"):
        read_testset(tmp_path)


def test_a_list_of_images_in_another_encoding(tmp_path: Path) -> None:
    touch(tmp_path / "filelist.txt", "a.jpg 张伟\nb.jpg 李娜\n".encode("gbk"))
    testset = read_testset(tmp_path)
    assert testset.identity_count == 2
