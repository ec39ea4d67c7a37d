"""Which sets a testset serves, and the tests that the accuracy rule becomes."""

import pickle
from pathlib import Path

import msgspec
import pytest

from pytest_facechallenge.analyses.accuracy.parametrize import (
    ThresholdError,
    build_request,
    check_names,
    expand_cases,
    parse_min_tar,
)
from pytest_facechallenge.analyses.accuracy.request import AccuracyOptions, AccuracyRequest, Point, TestsetSpec
from pytest_facechallenge.analyses.accuracy.run_options import cases as cases_of
from pytest_facechallenge.analyses.accuracy.run_options import resolve
from pytest_facechallenge.analyses.accuracy.set_matching import plan_sets
from pytest_facechallenge.analyses.feature_file.request import resolve as resolve_features
from pytest_facechallenge.core.analysis import Scope
from pytest_facechallenge.core.rulebook import Rule, Rulebook
from pytest_facechallenge.core.rulebook_file import load
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.testsets import TestsetError
from tests.analyses.accuracy import world

BOOK = load(Path(__file__).parent / "book.toml")


def rule(check: str, track: str = "A", book: Rulebook = BOOK) -> Rule:
    return next(each for each in book.rules_of(track) if each.check == check)


def manifest(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    return folder


def served(text: str, track: str = "A") -> list[str]:
    return [wanted.name for wanted in plan_sets(BOOK, track, TestsetSpec.parse(text))]


def cases(track: str, *texts: str, **min_tar: float | str) -> dict[str, tuple[str, object]]:
    specs = [TestsetSpec.parse(text) for text in texts]
    thresholds = {name.replace("_", "-"): value for name, value in min_tar.items()}
    expanded = expand_cases(rule("accuracy", track), BOOK, specs, thresholds)
    return {each.case: (each.level, each.parameters.get("threshold")) for each in expanded}


def test_a_name_on_the_command_line_decides(tmp_path: Path) -> None:
    root = manifest(tmp_path / "x", "path,identity,race\na.png,p,African\n")
    assert served(f"children={root}") == ["children"]
    assert served(f"Mr_All={root}") == ["mr-all", "african"]
    assert served(f"all={root}") == ["mr-all", "african"]


def test_the_set_column_goes_before_the_name(tmp_path: Path) -> None:
    root = manifest(tmp_path / "x", "path,identity,set\na.png,p,Mask\nb.png,p,children;mask\n")
    assert sorted(served(f"mr-all={root}")) == ["children", "mask"]


def test_the_race_column_brings_the_parts_by_any_of_their_names(tmp_path: Path) -> None:
    root = manifest(tmp_path / "x", "path,identity,race\na.png,p,african\nb.png,q,South_Asian\nc.png,r,Martian\n")
    sets = plan_sets(BOOK, "A", TestsetSpec.parse(str(root)))
    assert [wanted.name for wanted in sets] == ["mr-all", "african", "indian"]
    assert sets[0].select == {}
    assert sets[2].select == {"race": ("southasian",)}


def test_declared_parts_make_up_the_whole(tmp_path: Path) -> None:
    root = manifest(tmp_path / "x", "path,identity,set\na.png,p,african\nb.png,q,South Asian\nc.png,q,elsewhere\n")
    sets = {wanted.name: wanted for wanted in plan_sets(BOOK, "A", TestsetSpec.parse(str(root)))}
    assert sorted(sets) == ["african", "elsewhere", "indian", "mr-all"]
    assert set(sets["mr-all"].select["set"]) == {"african", "southasian"}
    assert not sets["elsewhere"].official


def test_a_mask_pair_or_column_is_the_cross_set(tmp_path: Path) -> None:
    world.write_mask_pair(tmp_path / "pair", world.people(2, 1, masked=1), 1)
    assert served(str(tmp_path / "pair")) == ["mask"]
    assert served(str(manifest(tmp_path / "x", "path,identity,masked\na.png,p,1\nb.png,p,0\n"))) == ["mask"]


def test_what_is_none_of_the_sets_is_measured_under_its_own_name(tmp_path: Path) -> None:
    world.write_folders(tmp_path / "faces", world.people(2, 1))
    (found,) = plan_sets(BOOK, "A", TestsetSpec.parse(str(tmp_path / "faces")))
    assert (found.name, found.official, found.protocol) == ("faces", False, "all-to-all")
    assert found.points == (Point("1e-2", "<"), Point("1e-3", "<"))
    assert list(cases("B", str(tmp_path / "faces"))) == ["faces@1e-2", "faces@1e-3"]


def test_lists_of_pairs_get_folds_and_points(tmp_path: Path) -> None:
    (tmp_path / "agedb_30.bin").write_bytes(pickle.dumps(([b"x"] * 40, [True] * 20)))
    assert list(cases("B", str(tmp_path / "agedb_30.bin"))) == [
        "agedb_30@10-fold",
        "agedb_30@1e-3",
        "agedb_30@1e-2",
    ]


def test_one_testset_can_be_several_sets(tmp_path: Path) -> None:
    table = msgspec.structs.replace(BOOK.sets["children"], title="IJB-C", protocol="pairs", comparison="<=")
    sets = {f"ijbc-{far}": msgspec.structs.replace(table, far=far) for far in ("1e-5", "1e-4")}
    book = msgspec.structs.replace(BOOK, sets={**BOOK.sets, **sets})
    root = tmp_path / "IJBC"
    (root / "meta").mkdir(parents=True)
    for name in ("ijbc_face_tid_mid.txt", "ijbc_template_pair_label.txt"):
        (root / "meta" / name).write_text("")
    for text in (str(root), f"ijb-c={root}"):
        assert [each.name for each in plan_sets(book, "A", TestsetSpec.parse(text))] == ["ijbc-1e-5", "ijbc-1e-4"]
    spec = TestsetSpec.parse(f"ijbc-1e-4={root}")
    assert [each.name for each in plan_sets(book, "A", spec)] == ["ijbc-1e-4"]
    expanded = expand_cases(rule("accuracy", "B"), book, [spec], {"ijbc": 0.9, "ijbc-1e-4": 0.8})
    assert {each.case: each.parameters["threshold"] for each in expanded} == {"ijbc-1e-4": 0.8, "ijbc-1e-5": 0.9}


@pytest.mark.parametrize(("track", "expected"), [("A", ["image"]), ("B", [])])
def test_a_list_of_images_is_the_track_s_image_set(tmp_path: Path, track: str, expected: list[str]) -> None:
    table = msgspec.structs.replace(BOOK.sets["children"], title="")
    sets = {
        "image": msgspec.structs.replace(table, tracks=["A"]),
        "video": msgspec.structs.replace(table, tracks=["B"]),
    }
    book = msgspec.structs.replace(BOOK, sets=sets)
    (tmp_path / "filelist.txt").write_text("a.jpg p\n")
    found = plan_sets(book, track, TestsetSpec.parse(str(tmp_path)))
    assert [each.name for each in found if each.official] == expected
    assert found[0].flip
    together = msgspec.structs.replace(book, sets=dict.fromkeys(("video", "image"), table))
    assert [each.name for each in plan_sets(together, track, TestsetSpec.parse(str(tmp_path)))] == ["image"]


def test_a_set_of_another_track_is_not_served(tmp_path: Path) -> None:
    sets = {**BOOK.sets, "mask": msgspec.structs.replace(BOOK.sets["mask"], tracks=["B"])}
    book = msgspec.structs.replace(BOOK, sets=sets)
    world.write_mask_pair(tmp_path, world.people(2, 1, masked=1), 1)
    spec = TestsetSpec.parse(f"mask={tmp_path}")
    assert plan_sets(book, "A", spec) == ()
    assert [wanted.name for wanted in plan_sets(book, "B", spec)] == ["mask"]


def test_thresholds_come_from_the_rulebook_and_the_command_line_goes_before(tmp_path: Path) -> None:
    world.write_mask_pair(tmp_path, world.people(2, 1, masked=1), 1)
    assert cases("A", str(tmp_path))["mask"] == ("rule", 0.5)
    assert cases("A", str(tmp_path), mask=0.7)["mask"] == ("rule", 0.7)
    assert cases("B", str(tmp_path))["mask"] == ("measurement", None)
    assert cases("B", str(tmp_path), MASK="strong")["mask"] == ("rule", "strong")


def test_a_threshold_without_a_testset_is_not_forgotten(tmp_path: Path) -> None:
    assert cases("A") == {"mask": ("rule", 0.5), "mr-all": ("rule", "middling")}
    assert cases("B", children=0.9) == {"children": ("rule", 0.9)}
    assert cases("B") == {"": ("measurement", None)}


def test_two_testsets_for_one_set_are_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        world.write_mask_pair(tmp_path / name, world.people(2, 1, masked=1), 1)
    found = cases("B", str(tmp_path / "one"), str(tmp_path / "two"))
    assert list(found) == ["mask:one", "mask:two"]


def test_a_point_of_a_stranger_can_have_its_own_threshold(tmp_path: Path) -> None:
    world.write_folders(tmp_path / "faces", world.people(2, 1))
    specs = [TestsetSpec.parse(str(tmp_path / "faces"))]
    min_tar: dict[str, float | str] = {"faces@1e-3": 0.2}
    expanded = expand_cases(rule("accuracy", "B"), BOOK, specs, min_tar)
    assert {each.case: each.parameters["threshold"] for each in expanded} == {"faces@1e-2": None, "faces@1e-3": 0.2}
    check_names(min_tar, expanded, [BOOK])


def test_a_threshold_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    world.write_folders(tmp_path / "faces", world.people(2, 1))
    expanded = expand_cases(rule("accuracy", "B"), BOOK, [TestsetSpec.parse(str(tmp_path / "faces"))])
    with pytest.raises(ThresholdError, match=r"facse=…: nothing of that name is measured; names: .*faces"):
        check_names({"facse": 0.5}, expanded, [BOOK])


def test_the_ranking_score_has_a_threshold_of_its_own() -> None:
    (plain,) = expand_cases(rule("ranking_score"), BOOK, [])
    assert (plain.level, plain.parameters["threshold"]) == ("measurement", None)
    (judged,) = expand_cases(rule("ranking_score"), BOOK, [], {"ranking-score": 0.4})
    assert (judged.level, judged.parameters["threshold"]) == ("rule", 0.4)


def test_other_rules_come_back_as_they_are() -> None:
    other = rule("testset_images")
    assert expand_cases(other, BOOK, []) == [other]


def test_least_tars_are_numbers_or_rows() -> None:
    books = {"small": BOOK}
    assert parse_min_tar(["mask=0.60", "mr-all=weak"], books) == {"mask": 0.6, "mr-all": "weak"}
    for text, words in {
        "mask": "expected NAME=VALUE",
        "mask=60": "write 60 % as 0.60",
        "mask=nan": "between 0 and 1",
        "mask=R999": "rows: middling; strong; weak",
    }.items():
        with pytest.raises(ThresholdError, match=words):
            parse_min_tar([text], books)


def test_specs_are_names_and_absolute_paths(tmp_path: Path) -> None:
    assert TestsetSpec.parse("mask=sub/x", tmp_path) == TestsetSpec("mask", str(tmp_path / "sub" / "x"))
    assert TestsetSpec.parse("sub/x", tmp_path).label == "x"
    (tmp_path / "a=b").mkdir()
    assert TestsetSpec.parse("a=b", tmp_path) == TestsetSpec("", str(tmp_path / "a=b"))
    with pytest.raises(ValueError, match=r"expected \[NAME=\]PATH"):
        TestsetSpec.parse("=x", tmp_path)


def test_a_missing_testset_is_an_error_at_collection(tmp_path: Path) -> None:
    with pytest.raises(TestsetError, match="no such file or folder"):
        cases("A", f"mask={tmp_path / 'nowhere'}")


def test_one_request_serves_several_tracks(tmp_path: Path) -> None:
    world.write_mask_pair(tmp_path, world.people(2, 1, masked=1), 1)
    rules = [(BOOK, rule("accuracy", track)) for track in ("A", "B")]
    request = build_request(rules, [TestsetSpec.parse(str(tmp_path))], cache="c")
    assert len(request.testsets[0].sets) == 1
    options = RunOptions().with_analyses(AccuracyOptions(request=request))
    assert options.of(AccuracyOptions).request == request
    assert RunOptions().of(AccuracyOptions).request == AccuracyRequest()


def test_rulebooks_that_know_more_names_of_a_group_share_its_scores(tmp_path: Path) -> None:
    """Without sharing, the second rulebook's rule found the first one's result, which lacks its operating point."""
    bare = {name: msgspec.structs.replace(table, aliases=[], far="1e-1") for name, table in BOOK.sets.items()}
    other = msgspec.structs.replace(BOOK, id="other", sets=bare)
    root = manifest(tmp_path / "x", "path,identity,race\na.png,p,Indian\nb.png,q,African\n")
    rules = [(BOOK, rule("accuracy", "A")), (other, rule("accuracy", "A", other))]
    request = build_request(rules, [TestsetSpec.parse(str(root))])
    found = {wanted.name: wanted.points for wanted in request.testsets[0].sets}
    assert found["indian"] == (Point("1e-2", "<"), Point("1e-1", "<"))
    assert len(request.testsets[0].sets) == len(found) == 3


def test_rulebooks_that_mean_other_images_by_a_name_are_scored_apart(tmp_path: Path) -> None:
    martians = msgspec.structs.replace(BOOK.sets["indian"], group={"race": "Martian"}, aliases=[])
    other = msgspec.structs.replace(BOOK, id="other", sets={**BOOK.sets, "indian": martians})
    root = manifest(tmp_path / "x", "path,identity,race\na.png,p,Indian\nb.png,q,Martian\n")
    rules = [(BOOK, rule("accuracy", "A")), (other, rule("accuracy", "A", other))]
    request = build_request(rules, [TestsetSpec.parse(str(root))])
    chosen = [wanted.select for wanted in request.testsets[0].sets if wanted.name == "indian"]
    assert chosen == [{"race": ("indian",)}, {"race": ("martian",)}]


def test_a_run_s_options_become_cases_and_requests(tmp_path: Path) -> None:
    world.write_mask_pair(tmp_path / "pair", world.people(2, 1, masked=1), 1)
    (tmp_path / "labels.txt").write_text("p\n")
    (tmp_path / "f.bin").write_bytes(b"")
    scope = Scope({"small": BOOK}, (("small", "A"), ("small", "B")))
    given = {
        "testset": ["mask=pair"],
        "min_tar": ["mask=0.7"],
        "features": "f.bin",
        "labels": "labels.txt",
        "cache": "cache",
    }
    values = values_from(given, tmp_path)
    options = resolve(values, scope)
    assert [(case.case, case.parameters["threshold"]) for case in cases_of(rule("accuracy"), options, None)] == [
        ("mask", 0.7),
        ("mr-all", "middling"),
    ]
    request = options.request
    assert request.testsets[0].path == str(tmp_path / "pair")
    assert (request.cache, request.labels) == (str(tmp_path / "cache"), str(tmp_path / "labels.txt"))
    features = resolve_features(values, scope)
    assert (features.path, features.labels) == (str(tmp_path / "f.bin"), str(tmp_path / "labels.txt"))
    assert set(features.points) == {Point("1e-2", "<"), Point("1e-3", "<")}
    assert asked(tmp_path, "A") == AccuracyOptions()
    with pytest.raises(ThresholdError, match="nothing of that name is measured"):
        asked(tmp_path, "B", min_tar=["lfw=0.7"])


def asked(base: Path, track: str, **given: object) -> AccuracyOptions:
    return resolve(values_from(given, base), Scope({"small": BOOK}, (("small", track),)))


def test_a_wrong_path_is_told_before_anything_runs(tmp_path: Path) -> None:
    """Also without a threshold, which is looked up in the cases: it came up as an internal error of pytest."""
    with pytest.raises(TestsetError, match="no such file or folder"):
        asked(tmp_path, "A", testset=["mask=nowhere"])


def test_options_that_nothing_would_use_are_refused(tmp_path: Path) -> None:
    world.write_folders(tmp_path / "faces", world.people(2, 1))
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "filelist.txt").write_text("a.jpg\n")
    (tmp_path / "labels.txt").write_text("p\n")
    with pytest.raises(ValueError, match=r"write-features .*out\.bin needs --facechallenge-testset with LFR19"):
        asked(tmp_path, "A", testset=["faces"], write_features="out.bin")
    with pytest.raises(ValueError, match=r"labels .*labels\.txt needs something to label"):
        asked(tmp_path, "A", testset=["faces"], labels="labels.txt")
    with pytest.raises(ValueError, match=r"labels file .*none\.txt .* does not exist"):
        asked(tmp_path, "A", testset=["list"], labels="none.txt")
    asked(tmp_path, "A", labels="labels.txt", testset=["list"])
    asked(tmp_path, "A", labels="labels.txt", features="f.bin")
    request = asked(tmp_path, "A", testset=["list"], write_features="out.bin").request
    assert request.write_features == str(tmp_path / "out.bin")
