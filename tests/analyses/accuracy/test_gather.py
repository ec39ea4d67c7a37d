"""From testsets to facts, with tiny models; the TARs are held against float64 brute force."""

import pickle
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from pytest_facechallenge.analyses.accuracy import kept_verification
from pytest_facechallenge.analyses.accuracy.gather import gather
from pytest_facechallenge.analyses.accuracy.parametrize import build_request, expand_cases
from pytest_facechallenge.analyses.accuracy.request import AccuracyOptions, TestsetSpec
from pytest_facechallenge.checks.accuracy import accuracy
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, SetResult
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.rulebook import RuleTable
from pytest_facechallenge.embedding import EmbeddingError
from pytest_facechallenge.embedding.image import Preprocessing, decode, fill
from pytest_facechallenge.testsets.feature_format import map_rows, read_header
from tests.analyses.accuracy import world
from tests.analyses.accuracy.test_parametrize import BOOK, manifest, rule


def measure(tmp_path: Path, model: Path, *texts: str, track: str = "B", **settings: Any) -> AccuracyFacts:
    request = build_request([(BOOK, rule("accuracy", track))], [TestsetSpec.parse(text) for text in texts], **settings)
    facts = gather(world.context(model, tmp_path / "work", AccuracyOptions(request=request)))
    return msgspec.json.decode(msgspec.json.encode(facts), type=AccuracyFacts)  # facts survive the journey as JSON


def result(facts: AccuracyFacts, name: str) -> SetResult:
    (found,) = [each for each in facts.sets if each.set == name]
    assert found.error == ""
    return found


RAW = Preprocessing(mean=0.0, std=1.0)


def embeddings(
    model: Path, blobs: Iterable[bytes], how: Preprocessing | None = None, *, mirror: bool = False
) -> npt.NDArray[np.float64]:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    rows = []
    for blob in blobs:
        slot = np.empty((1, 3, 112, 112), np.float32)
        fill(slot[0], decode(blob), msgspec.structs.replace(how or Preprocessing(), mirror=mirror))
        rows.append(session.run(None, {"input": slot})[0][0])
    return np.array(rows, dtype=np.float64)


def brute_tar(genuine: npt.NDArray[np.float64], impostor: npt.NDArray[np.float64], far: str) -> float:
    """TAR at FAR < far by sorting all scores."""
    exact = Fraction(far) * len(impostor)
    allowed = -(-exact.numerator // exact.denominator) - 1
    return float((genuine > np.sort(impostor)[::-1][allowed]).mean())


def cosine(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    unit = rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))
    scores: npt.NDArray[np.float64] = unit @ unit.T
    return scores


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return world.model(tmp_path / "model.onnx")


def test_nothing_asked_for_gives_empty_facts(tmp_path: Path, model: Path) -> None:
    assert gather(world.context(model, tmp_path / "work")) == AccuracyFacts()


def test_all_to_all_equals_brute_force(tmp_path: Path, model: Path) -> None:
    people = world.people(15, 3, noise=60)
    world.write_folders(tmp_path / "faces", people)
    found = result(measure(tmp_path, model, str(tmp_path / "faces")), "faces")
    scores = cosine(embeddings(model, [blob for images in people for blob in images]))
    who = np.repeat(np.arange(15), 3)
    upper = np.triu(np.ones_like(scores, dtype=bool), 1)
    same = who[:, None] == who
    expected = brute_tar(scores[upper & same], scores[upper & ~same], "1e-2")
    assert 0 < expected < 1
    assert found.points[0].tar == expected
    assert (found.images, found.identities) == (45, 15)
    assert found.pairs is not None
    assert (found.pairs.genuine, found.pairs.impostor) == (45, 45 * 44 // 2 - 45)
    assert (found.pairs.genuine_ordered, found.pairs.impostor_ordered) == (90, 45 * 44 - 90)
    worst = found.hardest_genuine[0]
    assert worst.score == pytest.approx(scores[upper & same].min(), abs=1e-6)
    assert worst.left.split("/")[0] == worst.right.split("/")[0]
    assert found.hardest_impostor[0].score == pytest.approx(scores[upper & ~same].max(), abs=1e-6)
    assert found.eer is not None
    assert found.histogram is not None
    assert sum(found.histogram.impostor) == found.pairs.impostor
    assert len(found.histogram.impostor) == len(found.histogram.genuine) == 200
    assert found.curve[0].far <= found.curve[-1].far
    assert len(msgspec.json.encode(found)) < 25_000, "facts are read by people and kept for years"


def test_masked_against_non_masked_equals_brute_force(tmp_path: Path, model: Path) -> None:
    people = world.people(20, 2, masked=1, noise=40)
    world.write_mask_pair(tmp_path / "mask", people, 2)
    found = result(measure(tmp_path, model, str(tmp_path / "mask")), "mask")
    rows = embeddings(model, [blob for images in people for blob in images])
    scores = cosine(rows)
    probe = np.arange(60) % 3 == 2
    who = np.repeat(np.arange(20), 3)
    same = (who[:, None] == who)[np.ix_(probe, ~probe)]
    crossed = scores[np.ix_(probe, ~probe)]
    expected = brute_tar(crossed[same], crossed[~same], "1e-2")
    assert 0 < expected < 1
    assert found.points[0].tar == expected
    assert (found.probe_images, found.gallery_images, found.images) == (20, 40, 60)
    assert {pair.left.split("/")[0] for pair in found.hardest_impostor} == {"mask"}


def test_groups_are_scored_alone_and_together(tmp_path: Path, model: Path) -> None:
    people = world.people(12, 3, noise=60)
    root = world.write_folders(tmp_path / "mr", people)
    races = ["African", "south_asian", "Elsewhere"]
    lines = [f"person{number:03d}/{at}.png,p{number},{races[number % 3]}" for number in range(12) for at in range(3)]
    manifest(root, "\n".join(["path,identity,race", *lines]) + "\n")
    facts = measure(tmp_path, model, str(root))
    assert {each.set: (each.images, each.identities) for each in facts.sets} == {
        "mr-all": (36, 12),
        "african": (12, 4),
        "indian": (12, 4),
    }
    rows = embeddings(model, [blob for number in range(0, 12, 3) for blob in people[number]])
    scores = cosine(rows)
    who = np.repeat(np.arange(4), 3)
    upper = np.triu(np.ones_like(scores, dtype=bool), 1)
    same = who[:, None] == who
    assert result(facts, "african").points[0].tar == brute_tar(scores[upper & same], scores[upper & ~same], "1e-2")


def test_a_image_can_be_in_several_sets(tmp_path: Path, model: Path) -> None:
    root = world.write_folders(tmp_path / "x", world.people(6, 2))
    sets = ["children", "Children; MR-ALL", "all"]
    lines = [f"person{number:03d}/{at}.png,p{number},{sets[number % 3]}" for number in range(6) for at in range(2)]
    manifest(root, "\n".join(["path,identity,set", *lines]) + "\n")
    facts = measure(tmp_path, model, str(root))
    assert {each.set: (each.images, each.identities) for each in facts.sets} == {"children": (8, 4), "mr-all": (8, 4)}


def test_each_challenge_s_own_feed_is_measured(tmp_path: Path, model: Path) -> None:
    """One challenge's server normalises, the other's scripts feed 0..255: the same testset is embedded both ways."""
    people = world.people(15, 3, noise=60)
    world.write_folders(tmp_path / "faces", people)
    book = msgspec.structs.replace(BOOK, id="raw", rules={**BOOK.rules, "preprocessing": RAW_RULE})
    rules = [(each, next(r for r in each.rules_of("B") if r.id == "accuracy")) for each in (BOOK, book)]
    spec = TestsetSpec.parse(str(tmp_path / "faces"))
    request = build_request(rules, [spec], colour_order=False)
    facts = gather(world.context(model, tmp_path / "work", AccuracyOptions(request=request)))
    who = np.repeat(np.arange(15), 3)
    upper = np.triu(np.ones((45, 45), dtype=bool), 1)
    same = who[:, None] == who
    found = {}
    for result in facts.sets:
        how = RAW if result.raw else Preprocessing()
        scores = cosine(embeddings(model, [blob for images in people for blob in images], how))
        found[result.raw] = brute_tar(scores[upper & same], scores[upper & ~same], "1e-2")
        assert result.points[0].tar == found[result.raw]
    assert found[True] != found[False]
    for each, accuracy_rule in rules:
        first = expand_cases(accuracy_rule, each, [spec])[0]
        outcome = accuracy(Facts.of(facts), first)
        assert outcome.measured.startswith(f"{100 * found[each.id == 'raw']:.3f} %")


RAW_RULE = RuleTable(clause="Testing", text="", check="preprocessing", parameters={"feed": "raw"})


def test_a_verification_bin_gets_its_fold_accuracy(tmp_path: Path, model: Path) -> None:
    people = world.people(20, 2, noise=50)
    blobs: list[bytes] = []
    same = []
    for number in range(20):
        blobs += [people[number][0], people[number][1] if number % 2 else people[(number + 1) % 20][1]]
        same.append(number % 2 == 1)
    path = tmp_path / "lfw.bin"
    path.write_bytes(pickle.dumps((blobs, same)))
    found = result(measure(tmp_path, model, str(path)), "lfw")
    assert found.protocol == "pairs"
    assert found.folds is not None
    assert len(found.folds.accuracies) == 10
    assert 0.5 < found.folds.mean <= 1
    assert found.points[0].undecided


def test_ijb_templates_are_pooled_before_they_are_compared(tmp_path: Path, model: Path) -> None:
    people = world.people(6, 4, noise=60)
    (tmp_path / "ijb" / "meta").mkdir(parents=True)
    (tmp_path / "ijb" / "crops").mkdir()
    lines, pairs = [], []
    for number, images in enumerate(people):
        for at, blob in enumerate(images):
            (tmp_path / "ijb" / "crops" / f"{number}-{at}.png").write_bytes(blob)
            lines.append(f"{number}-{at}.png {10 * number + at // 2} {at}")
        pairs.append(f"{10 * number} {10 * number + 1} 1")
        pairs += [f"{10 * number} {10 * other + 1} 0" for other in range(6) if other != number]
    (tmp_path / "ijb" / "meta" / "t_face_tid_mid.txt").write_text("\n".join(lines))
    (tmp_path / "ijb" / "meta" / "t_template_pair_label.txt").write_text("\n".join(pairs))
    found = result(measure(tmp_path, model, str(tmp_path / "ijb")), "ijb")
    assert [point.far for point in found.points] == ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1"]
    rows = embeddings(model, [blob for images in people for blob in images])
    templates = rows.reshape(12, 2, -1).sum(axis=1)
    scores = cosine(templates)[::2, 1::2]
    impostor = np.sort(scores[~np.eye(6, dtype=bool)])[::-1]
    assert found.points[-1].tar == float((np.diag(scores) > impostor[3]).mean())  # at FAR <= 1e-1 of 30 pairs: 3
    assert found.hardest_genuine[0].left.startswith("template ")


def lfr19(folder: Path, people: list[list[bytes]], *, labels: bool = True) -> Path:
    folder.mkdir(parents=True)
    lines = []
    for number, images in enumerate(people):
        for at, blob in enumerate(images):
            (folder / f"{at}-{number}.png").write_bytes(blob)
            lines.append(f"{at}-{number}.png" + (f" p{number}" if labels else ""))
    (folder / "filelist.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_lfr19_images_are_flipped_and_written_in_the_official_format(tmp_path: Path, model: Path) -> None:
    people = world.people(6, 2)
    root = lfr19(tmp_path / "list", people)
    out = tmp_path / "features.bin"
    facts = measure(tmp_path, model, f"children={root}", write_features=str(out))
    assert facts.testsets[0].written_features == str(out)
    assert facts.sets[0].flip
    raw = out.read_bytes()
    assert np.frombuffer(raw[:16], "<i4").tolist() == [12, 32, 128, 5]
    blobs = [blob for images in people for blob in images]
    both = embeddings(model, blobs, RAW) + embeddings(model, blobs, RAW, mirror=True)
    expected = both / np.sqrt((both**2).sum(axis=1, keepdims=True))
    assert np.allclose(np.frombuffer(raw[16:], "<f4").reshape(12, 32), expected, atol=1e-6)


def test_lfr19_videos_are_pooled_and_written(tmp_path: Path, model: Path) -> None:
    people = world.people(4, 3)
    root = world.write_folders(tmp_path / "videos", people)
    (root / "filelist.txt").write_text("\n".join(f"person{number:03d}" for number in (2, 0, 1, 3)))
    out = tmp_path / "features.bin"
    facts = measure(tmp_path, model, str(root), write_features=str(out))
    assert "identities are needed" in facts.sets[0].error
    rows = embeddings(model, [blob for number in (2, 0, 1, 3) for blob in people[number]], RAW)
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    sums = rows.reshape(4, 3, -1).sum(axis=1)
    expected = sums / np.sqrt((sums**2).sum(axis=1, keepdims=True))
    assert np.allclose(map_rows(out, read_header(out)), expected, atol=1e-6)


def test_labels_bring_identities_to_a_list_without(tmp_path: Path, model: Path) -> None:
    root = lfr19(tmp_path / "list", world.people(6, 2), labels=False)
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"p{number // 2}" for number in range(12)))
    assert result(measure(tmp_path, model, str(root), labels=str(labels)), "list").identities == 6
    labels.write_text("one\ntwo\n")
    facts = measure(tmp_path, model, str(root), labels=str(labels))
    assert "expected an identity for each of 12 rows, found 2 lines" in facts.testsets[0].error


def test_features_with_a_missing_row_are_not_written(tmp_path: Path, model: Path) -> None:
    root = lfr19(tmp_path / "list", world.people(3, 2))
    (root / "0-1.png").unlink()
    out = tmp_path / "features.bin"
    facts = measure(tmp_path, model, str(root), write_features=str(out))
    assert not out.exists()
    assert any("was not written: 1 of 6 rows" in finding for finding in facts.testsets[0].findings)


def test_images_that_cannot_be_used_are_listed_and_counted(tmp_path: Path, model: Path) -> None:
    root = world.write_folders(tmp_path / "faces", world.people(10, 3))
    (root / "person001" / "0.png").write_bytes(b"garbage")
    (root / "person002" / "1.png").write_bytes(world.encode(np.zeros((64, 64, 3), np.uint8)))
    facts = measure(tmp_path, model, str(root))
    assert [(problem.name, problem.kind) for problem in facts.testsets[0].problems] == [
        ("person001/0.png", "unreadable"),
        ("person002/1.png", "size"),
    ]
    assert (facts.testsets[0].images, facts.testsets[0].problem_count) == (30, 2)
    found = result(facts, "faces")
    assert (found.images, found.excluded) == (28, 2)


def test_the_same_file_twice_is_told_and_still_compared(tmp_path: Path, model: Path) -> None:
    root = world.write_folders(tmp_path / "faces", world.people(4, 2))
    clean = measure(tmp_path, model, str(root))
    assert clean.testsets[0].findings == ()
    (root / "person000" / "1.png").write_bytes((root / "person000" / "0.png").read_bytes())
    (root / "person002" / "1.png").write_bytes((root / "person001" / "0.png").read_bytes())
    for name in ("person001/1.png", "person003/0.png"):  # what cannot be read is no copy of the other unreadable one
        (root / name).unlink()
        (root / name).symlink_to(tmp_path / "nowhere")
    facts = measure(tmp_path, model, str(root))
    copies, labels = facts.testsets[0].findings
    assert copies.startswith("2 images are byte for byte the same as another one")
    assert "person000/0.png = person000/1.png" in copies
    assert labels.startswith("1 of these are listed under two identities")
    assert labels.endswith("person001/0.png = person002/1.png")
    assert [problem.name for problem in facts.testsets[0].problems] == ["person001/1.png", "person003/0.png"]
    assert (facts.sets[0].images, facts.sets[0].excluded) == (6, 2)
    assert facts.sets[0].hardest_impostor[0].score == pytest.approx(1)


def test_pairs_and_videos_may_name_a_image_twice(tmp_path: Path, model: Path) -> None:
    blobs = [images[0] for images in world.people(2, 1)]
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((blobs * 2, [True, False])))
    world.write_folders(tmp_path / "videos", [[blob] * 3 for blob in blobs])
    (tmp_path / "videos" / "filelist.txt").write_text("person000 p\nperson001 q\n")
    facts = measure(tmp_path, model, str(tmp_path / "lfw.bin"), str(tmp_path / "videos"))
    assert [testset.findings for testset in facts.testsets] == [(), ()]


def test_listed_pairs_lose_only_those_with_unusable_images(tmp_path: Path, model: Path) -> None:
    blobs = [blob for images in world.people(20, 2) for blob in images]
    blobs[5] = b"garbage"
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps((blobs, [True, False] * 10)))
    found = result(measure(tmp_path, model, str(tmp_path / "lfw.bin")), "lfw")
    assert (found.excluded, found.excluded_pairs) == (1, 1)
    assert found.pairs is not None
    assert found.pairs.genuine + found.pairs.impostor == 19


def test_embeddings_without_a_direction_are_named(tmp_path: Path) -> None:
    model = world.model(tmp_path / "nan.onnx", broken="nan")
    world.write_folders(tmp_path / "faces", world.people(3, 2))
    facts = measure(tmp_path, model, str(tmp_path / "faces"))
    assert facts.sets[0].unusable_count == 6
    assert facts.sets[0].unusable[0] == "person000/0.png"
    assert "finite" in facts.sets[0].error


def test_a_feature_file_that_cannot_be_written_costs_no_score(tmp_path: Path, model: Path) -> None:
    root = lfr19(tmp_path / "list", world.people(6, 2))
    facts = measure(tmp_path, model, f"children={root}", write_features=str(tmp_path / "model.onnx" / "features.bin"))
    assert any("was not written" in finding for finding in facts.testsets[0].findings)
    assert result(facts, "children").images == 12


def test_features_with_nan_are_not_written(tmp_path: Path) -> None:
    root = lfr19(tmp_path / "list", world.people(3, 2))
    out = tmp_path / "features.bin"
    facts = measure(tmp_path, world.model(tmp_path / "nan.onnx", broken="nan"), str(root), write_features=str(out))
    assert not out.exists()
    assert any("was not written: 6 of 6 rows" in finding for finding in facts.testsets[0].findings)


def test_images_outside_of_every_set_are_told(tmp_path: Path, model: Path) -> None:
    root = world.write_folders(tmp_path / "x", world.people(3, 2))
    lines = [f"person{n:03d}/{at}.png,p{n},{'' if n == 1 else 'children'}" for n in range(3) for at in range(2)]
    manifest(root, "\n".join(["path,identity,set", *lines]) + "\n")
    facts = measure(tmp_path, model, str(root))
    assert "2 of 6 entries belong to none" in facts.testsets[0].findings[0]


def test_the_colour_order_is_compared_on_one_set(tmp_path: Path, model: Path) -> None:
    people = world.people(20, 3)
    root = world.write_folders(tmp_path / "x", people)
    lines = [
        f"person{n:03d}/{at}.png,p{n % 12},{'children' if n < 12 else 'mr-all'}" for n in range(20) for at in range(3)
    ]
    manifest(root, "\n".join(["path,identity,set", *lines]) + "\n")
    order = measure(tmp_path, model, str(root)).colour_order
    assert order is not None
    assert (order.images, order.units) == (36, 12)


def test_a_set_says_what_its_testset_lacks(tmp_path: Path, model: Path) -> None:
    world.write_folders(tmp_path / "faces", world.people(3, 2))
    facts = measure(tmp_path, model, f"mask={tmp_path / 'faces'}")
    assert "a manifest column 'masked' is needed" in facts.sets[0].error


def test_a_broken_testset_does_not_stop_the_others(tmp_path: Path, model: Path) -> None:
    root = manifest(tmp_path / "broken", "path,identity\na.png,p\n")
    world.write_folders(tmp_path / "faces", world.people(3, 2))
    specs = [str(root), str(tmp_path / "faces")]
    facts = measure(tmp_path, model, *specs)
    assert "none of the 1 images can be used" in facts.testsets[0].error
    assert facts.testsets[1].error == ""
    assert [each.testset for each in facts.sets] == ["faces"]


def test_a_model_that_does_not_load_fails_the_step(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"x")
    world.write_folders(tmp_path / "faces", world.people(2, 2))
    with pytest.raises(EmbeddingError, match="does not load"):
        measure(tmp_path, tmp_path / "bad.onnx", str(tmp_path / "faces"))


def test_the_server_s_preprocessing_is_taken_from_its_step(tmp_path: Path, model: Path) -> None:
    from pytest_facechallenge.core.facts.base import StepFacts

    class Preprocessing(StepFacts, frozen=True, kw_only=True):
        server_mean: float = 0.0
        server_std: float = 1.0

    world.write_folders(tmp_path / "faces", world.people(3, 2))
    request = build_request([(BOOK, rule("accuracy", "B"))], [TestsetSpec.parse(str(tmp_path / "faces"))])
    context = world.context(model, tmp_path / "work", AccuracyOptions(request=request))
    assert (gather(context).mean, gather(context).std) == (127.5, 127.5)
    context.facts.gathered["preprocessing"] = Preprocessing()
    facts = gather(context)
    assert (facts.mean, facts.std) == (0.0, 1.0)
    assert "organisers' rule" in facts.preprocessing_source


@pytest.mark.parametrize("bgr", [False, True])
def test_the_colour_order_that_the_model_expects_scores_higher(tmp_path: Path, bgr: bool) -> None:
    """The model looks at one channel only, and only the red one of these images tells people apart."""
    rng = np.random.default_rng(0)
    people = []
    for _ in range(60):
        cells = world.person(rng)
        images = []
        for _ in range(3):
            shown = cells + rng.normal(0, 25, size=cells.shape)
            shown[:, :, 1:] = rng.uniform(40, 215, size=(7, 7, 2))
            images.append(world.encode(np.repeat(np.repeat(shown, 16, 0), 16, 1).clip(0, 255).astype(np.uint8)))
        people.append(images)
    world.write_folders(tmp_path / "faces", people)
    order = measure(tmp_path, world.model(tmp_path / "m.onnx", bgr=bgr), str(tmp_path / "faces")).colour_order
    assert order is not None
    assert order.low is not None
    assert order.high is not None
    assert order.tar_rgb is not None
    assert order.tar_bgr is not None
    assert (order.tar_rgb > order.tar_bgr) is (not bgr)
    assert order.high < 0 if bgr else order.low > 0


@pytest.mark.parametrize("bgr", [False, True])
def test_listed_pairs_tell_the_colour_order(tmp_path: Path, bgr: bool) -> None:
    """As above, without identities: 310 genuine and 310 impostor pairs of a .bin."""
    rng = np.random.default_rng(0)
    people = []
    for _ in range(40):
        cells = world.person(rng)
        images = []
        for _ in range(2):
            shown = cells + rng.normal(0, 25, size=cells.shape)
            shown[:, :, 1:] = rng.uniform(40, 215, size=(7, 7, 2))
            images.append(world.encode(np.repeat(np.repeat(shown, 16, 0), 16, 1).clip(0, 255).astype(np.uint8)))
        people.append(images)
    blobs, same = [], []
    for number in range(310):
        one, other = number % 40, (number * 7 + 1 + number // 40) % 40
        blobs += [*people[one], people[one][0], people[other if other != one else (one + 1) % 40][1]]
        same += [True, False]
    (tmp_path / "pairs.bin").write_bytes(pickle.dumps((blobs, same)))
    order = measure(tmp_path, world.model(tmp_path / "m.onnx", bgr=bgr), str(tmp_path / "pairs.bin")).colour_order
    assert order is not None
    assert (order.why_not, order.unit, order.units) == ("", "pairs", 310)
    assert order.low is not None
    assert order.high is not None
    assert order.high < 0 if bgr else order.low > 0


def test_few_listed_pairs_do_not_tell_the_colour_order(tmp_path: Path, model: Path) -> None:
    blobs = [image for images in world.people(6, 2) for image in images]
    (tmp_path / "pairs.bin").write_bytes(pickle.dumps((blobs, [True] * 3 + [False] * 3)))
    order = measure(tmp_path, model, str(tmp_path / "pairs.bin")).colour_order
    assert order is not None
    assert order.why_not == "3 impostor and 3 genuine pairs are too few; 300 impostor pairs are needed"


def test_too_small_a_testset_does_not_tell_the_colour_order(tmp_path: Path, model: Path) -> None:
    world.write_folders(tmp_path / "faces", world.people(3, 2))
    order = measure(tmp_path, model, str(tmp_path / "faces")).colour_order
    assert order is not None
    assert order.tar_rgb is None
    assert "too few; 300 impostor pairs are needed" in order.why_not


@pytest.mark.parametrize("masked", [0, 2])
def test_a_large_verification_keeps_what_is_done_and_needs_nothing_of_it(
    masked: int, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = world.people(10, 2, noise=60, masked=masked)
    text = f"faces={world.write_folders(tmp_path / 'faces', people)}"
    if masked:
        text = f"mask={world.write_mask_pair(tmp_path / 'pair', people, 2)}"
    expected = measure(tmp_path, model, text)
    monkeypatch.setattr(kept_verification, "KEPT_FROM_PAIRS", 100)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "verifications").write_text("no folder can be made here")
    for cache in ("kept", "kept", "full"):
        found = measure(tmp_path, model, text, cache=str(tmp_path / cache))
        assert [msgspec.structs.replace(each, seconds=0.0) for each in found.sets] == [
            msgspec.structs.replace(each, seconds=0.0) for each in expected.sets
        ]
    assert len(list((tmp_path / "kept" / "verifications").glob("*/*.part"))) == len(expected.sets)


def test_a_second_run_uses_the_cache_and_gives_the_same_facts(tmp_path: Path, model: Path) -> None:
    world.write_folders(tmp_path / "faces", world.people(5, 2))
    first = measure(tmp_path, model, str(tmp_path / "faces"), cache=str(tmp_path / "cache"))
    second = measure(tmp_path, model, str(tmp_path / "faces"), cache=str(tmp_path / "cache"))
    assert second.testsets[0].embedding is not None
    assert second.testsets[0].embedding.cached == 10
    assert [each.points for each in first.sets] == [each.points for each in second.sets]
