"""The page: what it says, that it loads nothing, its size, and that no text of a report becomes more than text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import msgspec
import pytest

from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, HardPair, SuppliedTestset
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.core.site import SITE
from pytest_facechallenge.engine.report import Report, digest_of
from pytest_facechallenge.reports import html_report
from pytest_facechallenge.reports.formats import FORMATS
from pytest_facechallenge.reports.html_report import render
from pytest_facechallenge.reports.page.replay import replay
from tests.reports.every_text import with_every_text
from tests.reports.page_reports import SETS, book, report, set_result, submission

PAYLOAD = " ".join((
    "javascript:EVIL",
    "<script>alert('EVIL')</script>",
    "\"><img src=x onerror=alert('EVIL')>",
    "' onmouseover='EVIL' x='",
    "</style></script></title></desc></svg><b>EVIL</b>",
    "]]><!--EVIL--><![CDATA[",
    "{{ 7 * 7 }}{% EVIL %}",
    "&lt;b&gt;&#x3c;EVIL>",
    "EVIL\u202e\u2066\u200f\0\x1b[31m\udc80\ufeff",
))  # fmt: skip
#: What ties a report's parts to each other and to its rulebook: with these left alone, every chart is drawn.
TIES = frozenset({"rulebook", "track", "set", "testset", "far", "digest", "rule", "case", "source", "id", "schema"})


def tree(page: bytes) -> Element:
    found: Element = html5lib.parse(page.decode(), namespaceHTMLElements=False)
    return found


def text_of(element: Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def caption_of(table: Element) -> str:
    caption = table.find("caption")
    return "" if caption is None else text_of(caption)


def with_class(root: Element, name: str) -> list[Element]:
    return [each for each in root.iter() if name in (each.get("class") or "").split()]


def skeleton(element: Element) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Every element with its attributes, in order: all that is not text."""
    for each in element.iter():
        yield str(each.tag), tuple(sorted((name, value) for name, value in each.attrib.items() if name != "data-order"))


def numbered(text: str) -> Callable[[str], str]:
    """A different text each time, as keys of a dict must stay different."""
    turn = count()
    return lambda _: text + "".join("abcdefghij"[int(digit)] for digit in str(next(turn)))


@pytest.fixture(scope="module")
def page() -> bytes:
    return render(report(submission(broken=True)))


def test_the_verdict_and_what_decides_it_come_first(page: bytes) -> None:
    root = tree(page)
    first = with_class(root, "verdict")[0]
    assert text_of(with_class(first, "word")[0]) == "✕ NON-COMPLIANT"
    assert "embedding-dim 640 values against <= 512" in text_of(first)
    assert "1 open: latency Modelled only. Run with --facechallenge-latency scaled." in text_of(first)
    order = [each.get("class") for each in root.iter() if each.get("class") in ("verdicts", "rules")]
    assert order == ["verdicts", "rules", "rules"]


def test_every_rule_says_everything(page: bytes) -> None:
    rows = with_class(tree(page), "rule")
    assert len(rows) == 2 * len(submission().tracks[0].rules)
    assert [row.get("class") for row in rows[:3]] == ["rule bad", "rule open", "rule open"]
    said = text_of(rows[1])
    for wanted in (
        "latency", "Rules 1", "modelled: 1.23 ms", "<= 10 ms", "As the checker takes it.", "note Other programs",
    ):  # fmt: skip
        assert wanted in said
    # Beside the verdict stands why it is open and what would decide it; the sentence, at the rule before.
    whole = text_of(tree(page))
    for wanted in ("Modelled only.", "Run with", "The sentence of the challenge"):
        assert wanted in whole
    assert "fix Set the last" in text_of(rows[0])
    assert "evidence batch of 1 640 values per image" in text_of(rows[0])
    assert "no result" in text_of(rows[2])


def test_links_lead_to_rules(page: bytes) -> None:
    root = tree(page)
    ids = Counter(each.get("id") for each in root.iter() if each.get("id"))
    assert max(ids.values()) == 1
    links = [each.get("href") or "" for each in root.iter("a")]
    inside, outside = [each for each in links if each[:1] == "#"], [each for each in links if each[:1] != "#"]
    assert inside
    assert all(link[1:] in ids for link in inside)
    # To the pages of the built-in rulebooks' rules, and nowhere else.
    assert f"{SITE}reference/mfr21.html#embedding-dim" in outside
    assert all(re.fullmatch(rf"{re.escape(SITE)}reference/mfr21\.html#[a-z0-9-]+", link) for link in outside)
    for each in root.iter():
        assert set((each.get("aria-labelledby") or "").split()) <= set(ids)


def test_charts_and_tables_of_what_was_measured(page: bytes) -> None:
    root = tree(page)
    titles = [text_of(each) for each in root.iter("figcaption")]
    for name in SETS:
        for kind in ("ROC", "DET", "Scores"):
            assert f"{kind} of {name}" in titles
    assert "TAR beside the published baselines" in titles
    assert titles.count("Time of one image on a Tesla V100") == 2
    assert titles.count("The scaling: from here to there") == 1
    table = next(each for each in root.iter("table") if "published baseline" in caption_of(each))
    assert "R100 Glint360K" in text_of(table)
    assert "not decided" in text_of(with_class(table, "own")[0])
    said = text_of(root)
    for wanted in ("convolution 72 MFLOPs", "and 21 more layers", "1 nodes could not be counted", "died of SIGSEGV"):
        assert wanted in said


def test_charts_name_themselves_and_tables_their_headers(page: bytes) -> None:
    root = tree(page)
    images = [each for each in root.iter() if each.get("role") == "img"]
    assert len(images) == len(list(root.iter("figure")))
    assert all(len(each.findall("{*}desc")) == 1 for each in images)
    for table in root.iter("table"):
        assert caption_of(table)
        assert all(each.get("scope") in ("col", "row") for each in table.iter("th"))


def test_what_a_run_wrote_is_no_part_of_its_replay() -> None:
    shown = report()
    written = {option.name: "file" for each in FORMATS for option in (each.option, *each.details)}
    text = replay(msgspec.structs.replace(shown, options=shown.options | written))
    assert text == replay(shown)


def test_how_to_replay(page: bytes) -> None:
    first, second = (text_of(each) for each in tree(page).iter("pre"))
    assert first == (
        "pytest \\ --facechallenge-model model.onnx \\ --facechallenge-track A \\ --facechallenge-track B \\ "
        "--facechallenge-rules 'my own.toml' \\ --facechallenge-strict"
    )
    assert second.startswith("pytest \\ --facechallenge-facts report.json \\ --facechallenge-track mfr21/A")


def test_nothing_is_loaded_and_the_policy_allows_nothing_else(page: bytes) -> None:
    root = tree(page)
    assert not list(root.iter("link"))
    for each in root.iter():
        assert not {"src", "srcset", "style", "action", "xlink:href", "data", "poster"} & set(each.attrib)
        assert not any(name.startswith("on") for name in each.attrib)
    text = page.decode()
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(rf"https?://(?!www\.w3\.org|{re.escape(SITE.removeprefix('https://'))}reference/)", text)
    policy = next(m.get("content") or "" for m in root.iter("meta") if m.get("http-equiv") == "Content-Security-Policy")
    for kind in ("style", "script"):
        inline = list(root.iter(kind))
        assert len(inline) == 1
        digest = base64.b64encode(hashlib.sha256((inline[0].text or "").encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


@pytest.mark.parametrize("kept", [frozenset({"digest"}), TIES], ids=["every-text", "with-every-chart"])
def test_hostile_text_is_text(kept: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = report(submission("one", broken=True), submission("two"))
    monkeypatch.setattr(html_report, "books_of", lambda _: {"mfr21": _book_of(PAYLOAD)})
    hostile = tree(render(with_every_text(plain, numbered(PAYLOAD), kept)))
    monkeypatch.setattr(html_report, "books_of", lambda _: {"mfr21": _book_of("harmless")})
    harmless = tree(render(with_every_text(plain, numbered("harmless"), kept)))
    assert list(skeleton(hostile)) == list(skeleton(harmless))
    assert text_of(hostile).count("EVIL") > 300
    assert ("Time of one image" in text_of(hostile)) == (kept is TIES)
    for each in hostile.iter():
        assert not any("EVIL" in value for value in each.attrib.values())
        assert not re.search(r"[\0-\x08\x0b-\x1f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]", each.text or "")


def _book_of(text: str) -> Rulebook:
    found = book()
    baselines = [msgspec.structs.replace(row, name=text + row.name, dataset=text) for row in found.baselines]
    sets = {name: msgspec.structs.replace(table, title=text) for name, table in found.sets.items()}
    return msgspec.structs.replace(found, baselines=baselines, sets=sets)


def test_invisible_characters_are_shown() -> None:
    found = render(report(submission("good\u202egnp.onnx")))
    assert "good⟨U+202E⟩gnp.onnx" in found.decode()


def test_one_submission_is_small_and_fifty_fit(page: bytes) -> None:
    assert len(page) < 2e6
    kinds = (submission(broken=True), submission())
    many = report(*(msgspec.structs.replace(kinds[n % 2], name=f"{n}.onnx") for n in range(50)))
    assert len(render(many)) < 10e6


def test_several_submissions_have_an_overview_that_can_be_sorted() -> None:
    root = tree(render(report(submission("one.onnx", broken=True, size=3 * 2**20), submission("two.onnx"))))
    table = with_class(root, "sortable")[0]
    rows = list(next(table.iter("tbody")))
    assert [text_of(row)[:45] for row in rows[:2]] == [
        "one.onnx mfr21/A ✕ NON-COMPLIANT 1 2 3 MB 73 ",
        "one.onnx mfr21/B ? INCOMPLETE 0 2 3 MB 73 MFL",
    ]
    assert [cell.get("data-order") for cell in rows[0]][3:8] == ["1", "2", str(3 * 2**20), "73000000", "1.23"]
    assert text_of(next(root.iter("h1"))) == "2 submissions"


def test_a_rulebook_that_is_not_at_hand_is_said() -> None:
    away = report()
    away = msgspec.structs.replace(
        away, rulebooks=tuple(msgspec.structs.replace(each, digest="other") for each in away.rulebooks)
    )
    said = text_of(tree(render(away)))
    assert "The rulebook mfr21 of this report is not installed here" in said
    assert "published baselines of" not in said


def test_a_rulebook_of_the_user_is_found_by_its_digest(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "rules" / "mfr21.toml").read_text(encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(text.replace('id = "mfr21"', 'id = "own"', 1), encoding="utf-8")
    from pytest_facechallenge.core.rulebook_file import load
    from pytest_facechallenge.reports.page.books import books_of

    reference = msgspec.structs.replace(report().rulebooks[0], id="own", digest=load(path).digest)
    named = [str(path), str(tmp_path), "no such", "nul\0", 3]
    judged = msgspec.structs.replace(report(), rulebooks=(reference,), options={"rules": named})
    assert list(books_of(judged)) == ["own"]


def test_facts_that_say_little_make_a_page_too() -> None:
    bare = msgspec.structs.replace(submission(), facts={}, failures={}, digest=digest_of({}, {}), sha256="", bytes=0)
    assert "INCOMPLETE" in text_of(tree(render(report(bare))))
    empty = msgspec.structs.replace(bare, tracks=())
    assert "Face challenge report" in text_of(tree(render(report(empty))))


def test_extreme_numbers_are_drawn_at_the_edge() -> None:
    extreme = msgspec.to_builtins(msgspec.convert(submission().facts["accuracy"], AccuracyFacts))
    for result in extreme["sets"]:
        for far, tar in ((1e-300, -5.0), (1e300, 5.0), (0.5, 1e300)):
            added = {"threshold": 0.0, "far": far, "tar": tar, "far_deviate": None, "frr_deviate": None}
            result["curve"] = [*result["curve"], added]
        result["points"][0]["far"] = "1e-320"
        result["points"][0]["interval"] = {"low": -9.0, "high": 9e99, "confidence": 0.95, "method": "", "units": 0}
        result["eer"]["rate"] = -1.0
        result["histogram"] = {"genuine": [0, 10**30], "impostor": [5] * 7, "sampled": True}
    given = msgspec.structs.replace(submission(), facts={**submission().facts, "accuracy": extreme})
    assert "ROC of mask" in text_of(tree(render(report(given))))


def test_also_from_a_saved_report(tmp_path: Path) -> None:
    report().save(tmp_path / "r.json")
    assert render(Report.load(tmp_path / "r.json")) == render(report())


def test_the_option_names_the_format() -> None:
    row = next(each for each in FORMATS if each.option.flag == "--facechallenge-html")
    assert row.rendered(report()).startswith(b"<!doctype html>")


def test_faces_are_shown_only_when_they_are_asked_for(tmp_path: Path) -> None:
    from PIL import Image

    names = [f"person{number}/{turn}.png" for number in range(2) for turn in range(2)]
    for index, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (112, 112), (60 * index, 90, 120)).save(tmp_path / name)
    pairs = (
        HardPair(left=names[0], right=names[1], score=0.1),
        HardPair(left=names[2], right="../away.png", score=0.2),
    )
    scored = msgspec.structs.replace(set_result("mask"), hardest_genuine=pairs, hardest_impostor=())
    supplied = SuppliedTestset(name="testset", path=str(tmp_path))
    measured = msgspec.to_builtins(AccuracyFacts(testsets=(supplied,), sets=(scored,)))
    judged = report(msgspec.structs.replace(submission(), facts={"accuracy": measured}))
    assert not list(tree(render(judged)).iter("img"))
    asked = msgspec.structs.replace(judged, options={"html-images": True})
    assert not list(tree(render(asked, images=False)).iter("img"))
    page = render(asked)
    shown = list(tree(page).iter("img"))
    assert [(each.get("src") or "")[:23] for each in shown] == ["data:image/jpeg;base64,"] * 2
    assert b"img-src data:;" in page
    assert b"html-images" not in page


def test_a_testset_that_is_gone_leaves_the_names() -> None:
    supplied = SuppliedTestset(name="testset", path="/no/such/folder")
    measured = msgspec.to_builtins(AccuracyFacts(testsets=(supplied,), sets=(set_result("mask"),)))
    page = render(report(msgspec.structs.replace(submission(), facts={"accuracy": measured})), images=True)
    assert "mask/0_0.jpg" in text_of(tree(page))
    assert b"<img" not in page
