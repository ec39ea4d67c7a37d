"""Testsets and declarations as people have them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from pytest_facechallenge.checks.preprocessing import rgb_order
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, ColourOrder
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.engine.judge import judge_rule
from tests.situations.told import Told
from tests.support.gathering import gather, rule
from tests.support.models import network, save

PEOPLE = ("Aaron_A", "Jean-Zoë_Müller")


def _jpeg() -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(data, "JPEG")
    return data.getvalue()


def _bin(folder: Path, content: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "faces.bin").write_bytes(pickle.dumps(content, protocol=2))
    return folder / "faces.bin"


def odd_bin(folder: Path) -> Path:
    """One image is missing."""
    return _bin(folder, ([_jpeg()] * 3, [True, False]))


def path_bin(folder: Path) -> Path:
    """Paths in place of images."""
    return _bin(folder, (["a/1.jpg"] * 4, [True, False]))


def pixel_bin(folder: Path) -> Path:
    """Decoded pixels."""
    return _bin(folder, ([np.zeros((112, 112, 3), np.uint8)] * 4, [True, False]))


def _images(folder: Path, form: str) -> None:
    for person in PEOPLE:
        (folder / person).mkdir(parents=True)
        for number in (1, 2):
            (folder / person / form.format(person, number)).write_bytes(_jpeg())


def _list(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "pairs.txt").write_bytes(text.encode(encoding))
    return folder


def _numbered(head: str = "") -> str:
    one, other = PEOPLE
    return f"{head}{one}\t1\t2\n{one}\t1\t{other}\t2\n{other}\t1\t2\n{one}\t2\t{other}\t1\n"


def flat_list(folder: Path) -> Path:
    """A path, a path and 1 or 0 on each line."""
    form = "{}_{:04d}.jpg"
    _images(folder, form)
    names = [[f"{person}/{form.format(person, number)}" for number in (1, 2)] for person in PEOPLE]
    pairs = [(names[0][0], names[0][1], 1), (names[0][0], names[1][1], 0), (names[1][0], names[1][1], 1)]
    return _list(folder, "".join(f"{one} {other} {same}\n" for one, other, same in pairs))


def latin_list(folder: Path) -> Path:
    """No header, Latin-1, and the names that MTCNN's cropping gives."""
    _images(folder, "{}_{:04d}_0.png")
    return _list(folder, _numbered(), "latin-1")


def wrong_header(folder: Path) -> Path:
    """The first line counts other pairs than there are."""
    _images(folder, "{}_{:04d}.jpg")
    return _list(folder, _numbered("2\t3\n"))


def nothing(folder: Path) -> Path:
    """A network, whose testset is told by its facts."""
    return save(network(), folder / "model.onnx")


def grey(path: Path, work: Path, _rule: str) -> Told:
    """Judge the order of channels beside a testset that cannot tell it."""
    work.mkdir(parents=True, exist_ok=True)
    facts = gather(path, work, {"preprocessing"})
    order = ColourOrder(testset="mine", images=60, far="1e-1", tar_rgb=1.0, tar_bgr=1.0, low=0.0, high=0.0, units=20)
    both = Facts.of(*facts.gathered.values(), AccuracyFacts(colour_order=order))
    outcome = rgb_order(both, rule("rgb-order"))
    assert outcome.status is Status.PASSED
    return Told(frozenset(), " ".join(outcome.notes), outcome.remedy)


def declared(path: Path, work: Path, name: str) -> Told:
    """Judge the rules about the declaration."""
    load_checks()
    work.mkdir(parents=True, exist_ok=True)
    facts = gather(path, work, {"declaration"})
    rules = [each for each in load_rulebooks()["mfr21"].rules_of("A") if each.check.startswith("declared_")]
    found = {each.id: judge_rule(facts, each) for each in rules}
    failed = frozenset(each for each, outcome in found.items() if outcome.status is Status.FAILED)
    return Told(failed, found[name].message, found[name].remedy)
