"""Images are embedded once for the same pixels, and not for what no selected test reads: the runs are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_facechallenge.analyses.accuracy import entries
from pytest_facechallenge.analyses.accuracy.gather import gather
from pytest_facechallenge.analyses.accuracy.parametrize import build_request, expand_cases
from pytest_facechallenge.analyses.accuracy.request import AccuracyOptions, AccuracyRequest, SetRequest, TestsetSpec
from pytest_facechallenge.analyses.accuracy.selection import narrowed
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.embedding import Embedder, Preprocessing
from tests.analyses.accuracy import world
from tests.analyses.accuracy.test_parametrize import BOOK, rule


class Counted:
    """Counts the images that go through the model."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.images = 0
        run = Embedder.run

        def counting(embedder: Embedder, slot: Any, count: int) -> Any:
            self.images += count
            return run(embedder, slot, count)

        patch.setattr(Embedder, "run", counting)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return world.model(tmp_path / "model.onnx")


@pytest.fixture
def faces(tmp_path: Path) -> TestsetSpec:
    world.write_folders(tmp_path / "faces", world.people(10, 3, noise=60))
    return TestsetSpec.parse(str(tmp_path / "faces"))


def measured(tmp_path: Path, model: Path, request: AccuracyRequest) -> AccuracyFacts:
    return gather(world.context(model, tmp_path / "work", AccuracyOptions(request=request)))


def with_feeds(request: AccuracyRequest, *feeds: tuple[bool, bool]) -> AccuracyRequest:
    """Return the request with its one set as often as it is to be fed: flip and raw of each."""
    (testset,) = request.testsets
    sets = tuple(msgspec.structs.replace(testset.sets[0], flip=flip, raw=raw) for flip, raw in feeds)
    testsets = (msgspec.structs.replace(testset, sets=sets),)
    return msgspec.structs.replace(request, testsets=testsets, colour_order=False)


def plain_request(*specs: TestsetSpec) -> AccuracyRequest:
    return build_request([(BOOK, rule("accuracy", "B"))], specs)


@pytest.mark.parametrize(
    ("feeds", "times"),
    [
        ([(False, False)], 1),
        ([(False, False), (False, True)], 2),
        ([(True, False)], 2),
        ([(False, False), (True, False)], 2),
        ([(True, True), (False, True), (True, False), (False, False)], 4),
    ],
)
def test_plain_images_are_embedded_once_for_all_who_read_them(
    tmp_path: Path, model: Path, faces: TestsetSpec, counted: Counted, feeds: list[tuple[bool, bool]], times: int
) -> None:
    request = with_feeds(plain_request(faces), *feeds)
    found = measured(tmp_path, model, request)
    assert counted.images == 30 * times
    assert [(each.flip, each.raw) for each in found.sets] == sorted(feeds, key=lambda feed: (feed[1], feed[0]))
    for each in found.sets:
        (alone,) = measured(tmp_path, model, with_feeds(request, (each.flip, each.raw))).sets
        assert alone.points == each.points


def test_tracks_that_feed_the_same_pixels_embed_once(
    tmp_path: Path, model: Path, faces: TestsetSpec, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that normalises by itself is fed 0..255 by MFR21's server as it is by LFR19's scripts."""
    monkeypatch.setattr(
        "pytest_facechallenge.analyses.accuracy.gather.server_preprocessing",
        lambda _context: (Preprocessing(mean=0.0, std=1.0), "the model normalises"),
    )
    found = measured(tmp_path, model, with_feeds(plain_request(faces), (False, False), (False, True), (True, True)))
    assert counted.images == 2 * 30
    assert [(each.flip, each.raw) for each in found.sets] == [(False, False), (False, True), (True, True)]
    assert found.sets[0].points == found.sets[1].points


def selected(options: AccuracyOptions, rules: list[Rule]) -> AccuracyRequest:
    found = narrowed(options, rules)
    assert isinstance(found, AccuracyOptions)
    return found.request


def test_only_the_selected_sets_are_embedded(tmp_path: Path, model: Path, counted: Counted) -> None:
    specs = []
    for name, count in (("one", 4), ("other", 6)):
        world.write_folders(tmp_path / name, world.people(count, 3, noise=60))
        specs.append(TestsetSpec.parse(str(tmp_path / name)))
    options = AccuracyOptions(testsets=tuple(specs), request=plain_request(*specs))
    cases = expand_cases(rule("accuracy", "B"), BOOK, specs)
    only = [case for case in cases if case.parameters["testset"] == "one"]
    found = measured(tmp_path, model, selected(options, only))
    assert counted.images == 12
    assert {each.testset for each in found.sets} == {"one"}
    assert found.colour_order is None
    everything = [*cases, rule("accuracy", "B")]
    assert selected(options, everything).testsets[1].sets[0].wanted


def test_the_order_of_colours_alone_embeds_the_images_that_it_compares(
    tmp_path: Path, model: Path, faces: TestsetSpec, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_facechallenge.analyses.accuracy.colour_order.MAX_IMAGES", 12)
    options = AccuracyOptions(testsets=(faces,), request=plain_request(faces))
    whole = measured(tmp_path, model, options.request)
    assert counted.images == 30 + 12
    counted.images = 0
    colours = msgspec.structs.replace(rule("accuracy", "B"), check="rgb_order")
    alone = measured(tmp_path, model, selected(options, [colours]))
    assert counted.images == 12 + 12
    assert alone.colour_order == whole.colour_order
    assert alone.sets == ()


def test_the_rule_on_images_looks_at_every_image_and_scores_nothing(
    tmp_path: Path, model: Path, faces: TestsetSpec, counted: Counted
) -> None:
    options = AccuracyOptions(testsets=(faces,), request=plain_request(faces))
    images = msgspec.structs.replace(rule("accuracy", "B"), check="testset_images")
    found = measured(tmp_path, model, selected(options, [images]))
    assert counted.images == 30
    assert (found.sets, found.colour_order) == ((), None)


def test_somebody_elses_check_may_read_anything(faces: TestsetSpec) -> None:
    options = AccuracyOptions(testsets=(faces,), request=plain_request(faces))
    theirs = msgspec.structs.replace(rule("accuracy", "B"), check="their_own")
    assert narrowed(options, [theirs]) is options


def test_the_latest_embeddings_are_those_of_the_same_images_and_pixels() -> None:
    latest = entries.Latest()
    images, embedded = object(), object()
    latest.keep(images, Preprocessing(), embedded)  # type: ignore[arg-type]
    assert latest.of(images, Preprocessing()) is embedded  # type: ignore[arg-type]
    assert latest.of(object(), Preprocessing()) is None  # type: ignore[arg-type]
    assert latest.of(images, Preprocessing(mean=0.0)) is None  # type: ignore[arg-type]
    latest.forget()
    assert latest.of(images, Preprocessing()) is None  # type: ignore[arg-type]


def test_a_request_says_what_is_wanted_by_default() -> None:
    assert SetRequest(name="a", official=True, protocol="pairs", points=()).wanted
