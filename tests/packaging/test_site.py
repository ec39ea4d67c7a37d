"""The documentation as a site: built strictly, nothing of it from another server, and its search without any."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a link that leads nowhere ends the build."""
    beside = Path(sys.executable).with_name("mkdocs")
    program = str(beside) if beside.exists() else shutil.which("mkdocs")
    if program is None:
        pytest.skip("needs mkdocs (the extra docs)")
    folder = tmp_path_factory.mktemp("site")
    command = [program, "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_is_loaded_from_another_server(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?([^\">\s]+)", text)
        loaded += [
            found[1]
            for tag in re.findall(r"<link [^>]*>", text)
            if "stylesheet" in tag and (found := re.search(r'href="([^"]+)"', tag))
        ]
        assert loaded
        assert [each for each in loaded if re.match(r"(https?:)?//", each)] == [], page


def test_pages_name_the_places_that_findings_link_to(site: Path) -> None:
    text = (site / "reference" / "mfr21.html").read_text(encoding="utf-8")
    assert 'id="embedding-dim"' in text


def test_the_search_finds_a_rule_where_the_site_is_opened_from_its_folder(site: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "index.html").as_uri())
        box = page.get_by_role("textbox", name="Search")
        box.fill("embedding-dim")
        # The search listens to keys; one key, so that it looks once.
        box.press("End")
        first = page.locator(".md-search-result__link").first
        first.wait_for(timeout=120_000)
        links = [each.get_attribute("href") or "" for each in page.locator(".md-search-result__link").all()]
        browser.close()
    assert any("/reference/mfr21.html" in link for link in links), links
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}, asked
