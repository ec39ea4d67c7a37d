"""The page in a real Chromium: it sorts and filters, nothing is wider than a phone, axe-core finds nothing serious."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_facechallenge.reports.html_report import render
from tests.reports.page_reports import report, submission

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (400, 1280, 1920)
#: axe-core's words for what keeps somebody from using a page.
SERIOUS = frozenset({"serious", "critical"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, driven by playwright; no download of a browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the page's browser tests need playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for found in map(shutil.which, names) if found), None)
    if path is None:
        pytest.skip("the page's browser tests need Chromium (Debian: apt-get install chromium)")
    # Chromium refuses its sandbox to the root user, as whom containers often run.
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    several = [submission("b.onnx", broken=True, size=3 * 2**20), submission("a.onnx"), submission("c.onnx", size=0)]
    reports = {"one": report(submission(broken=True)), "several": report(*several)}
    pages = {}
    for name, each in reports.items():
        pages[name] = folder / f"{name}.html"
        pages[name].write_bytes(render(each))
    return pages


class Opened:
    """A page with what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture
def show(browser: Browser, files: dict[str, Path]) -> Iterator[Any]:
    opened: list[Opened] = []

    def _show(name: str, width: int = 1280, scheme: Any = "light", *, script: bool = True, part: str = "") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        found = Opened(context.new_page())
        opened.append(found)
        found.page.goto(files[name].as_uri() + part)
        return found.page

    yield _show
    for each in opened:
        assert each.complaints == []
        assert len(each.requests) == 1, each.requests
        each.page.context.close()


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        pytest.param("one", 1280, "light", marks=pytest.mark.slow),
        ("one", 1280, "dark"),
        pytest.param("one", 400, "light", marks=pytest.mark.slow),
        pytest.param("one", 400, "dark", marks=pytest.mark.slow),
        pytest.param("several", 1280, "light", marks=pytest.mark.slow),
        pytest.param("several", 1280, "dark", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious(show: Any, name: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = show(name, width, scheme)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = axe.run(page).response["violations"]
    serious = [
        (each["id"], node["html"][:200], node["failureSummary"])
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"][:3]
    ]
    assert serious == []


def test_dark_is_dark_and_light_is_light(show: Any) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        colour = show("one", scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = sum(int(part) for part in colour.strip("rgb()").split(","))
    assert brightness["light"] > 700
    assert brightness["dark"] < 100


@pytest.mark.parametrize("name", ["one", "several"])
def test_nothing_is_wider_than_the_window(show: Any, name: str) -> None:
    page = show(name)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_verdict_is_seen_without_scrolling(show: Any) -> None:
    page = show("one")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        box = page.locator(".verdict .word").first.bounding_box()
        assert box["y"] + box["height"] < 900


def column(page: Page, number: int) -> list[str]:
    return [text.strip() for text in page.locator(f".sortable tbody tr > :nth-child({number})").all_inner_texts()]


def test_the_overview_sorts(show: Any) -> None:
    page = show("several")
    assert column(page, 1)[::2] == ["b.onnx", "a.onnx", "c.onnx"]
    page.get_by_role("button", name="submission").click()
    assert column(page, 1) == ["a.onnx"] * 2 + ["b.onnx"] * 2 + ["c.onnx"] * 2
    heading = page.locator(".sortable thead th").first
    assert heading.get_attribute("aria-sort") == "ascending"
    size = page.get_by_role("button", name="size")
    size.focus()
    page.keyboard.press("Enter")
    # A submission of unknown size comes last, whichever way the others are sorted.
    assert column(page, 6)[::2] == ["1.038 MB", "3 MB", "–"]
    size.click()
    assert column(page, 6)[::2] == ["3 MB", "1.038 MB", "–"]
    assert heading.get_attribute("aria-sort") is None


def test_rules_are_filtered(show: Any) -> None:
    page = show("one")
    rules = page.locator(".rules").first.locator("tbody.rule:visible")
    everything = rules.count()
    bar = page.locator(".filter").first
    bar.get_by_role("button", name="broken").click()
    assert rules.count() == 1
    assert bar.get_by_role("button", name="broken").get_attribute("aria-pressed") == "true"
    bar.get_by_role("button", name="all").click()
    bar.get_by_role("searchbox").fill("RULE-2")
    assert 0 < rules.count() < everything
    bar.get_by_role("searchbox").fill("no such rule")
    assert rules.count() == 0
    assert page.get_by_text("No rule matches.").first.is_visible()


def test_links_open_what_they_lead_to(show: Any) -> None:
    page = show("several")
    part = page.locator("#s2")
    assert part.get_attribute("open") is None
    page.get_by_role("link", name="a.onnx").first.click()
    page.wait_for_function("document.querySelector('#s2').open")
    assert show("several", part="#s3").locator("#s3 .verdict").first.is_visible()


def test_it_can_be_read_without_javascript(show: Any) -> None:
    page = show("several", script=False)
    assert page.locator(".filter:visible").count() == 0
    page.locator("#s1 > summary").click()
    assert page.locator("#s1 .verdict").first.is_visible()
    page.locator("#s1 .rules details > summary").last.click()
    assert "1 open: latency" in page.locator("#s1").inner_text()


def test_the_keyboard_reaches_the_verdict_first(show: Any) -> None:
    page = show("one")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_paper_has_everything_unfolded(show: Any, tmp_path: Path) -> None:
    page = show("several", scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".filter").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#s1[open]").count() == 0
