"""The images of the page in docs/images: judges the demo and a broken model, and photographs their pages.

    python -m docs.make_images

Needs what the tests need (playwright) and Chromium; run it from the root of a clone.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import msgspec
from onnx import helper
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from pytest_facechallenge import judge
from pytest_facechallenge.engine.report import Report
from pytest_facechallenge.reports.html_report import render
from tests.support.models import network, save

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DEMO = ROOT / "examples" / "demo"
#: Most bytes of an image.
LIMIT = 300_000
#: name, page, width, height, colours, heading to scroll to
SHOWN: tuple[tuple[str, str, int, int, Literal["light", "dark"], str], ...] = (
    ("page-demo-1280-light", "demo", 1280, 1000, "light", ""),
    ("page-demo-1280-dark", "demo", 1280, 1000, "dark", ""),
    ("page-demo-1920-light", "demo", 1920, 1200, "light", ""),
    ("page-demo-400-light", "demo", 400, 900, "light", ""),
    ("page-accuracy-1280-light", "demo", 1280, 1150, "light", "Accuracy"),
    ("page-broken-1280-light", "broken", 1280, 1000, "light", ""),
    ("page-broken-1280-dark", "broken", 1280, 1000, "dark", "Rules of mfr21/A"),
    ("page-broken-400-dark", "broken", 400, 900, "dark", ""),
    ("page-time-1280-dark", "broken", 1280, 560, "dark", "Inference time"),
)


def demo() -> Report:
    """Judge the demo on both of its tracks."""
    options: dict[str, Any] = {"testset": [DEMO / "testset"], "rulebooks": [DEMO / "rulebook.toml"]}
    return judge(DEMO / "model.onnx", ["mfr21/A", "drawings"], latency="modelled", device="cpu", **options)


def broken(folder: Path) -> Report:
    """Judge a model that is too wide and keeps a float16 tensor."""
    import numpy as np

    tail = [
        helper.make_node("Cast", ["half"], ["scale"], "cast_scale", to=1),
        helper.make_node("Concat", ["embedding"] * 10, ["wide"], "widen", axis=1),
        helper.make_node("Mul", ["wide", "scale"], ["row"], "scaled"),
    ]
    constants = {"half": np.ones(640, np.float16)}
    model = network(tail=tail, constants=constants, output="row", declared_output=["N", 640])
    return judge(save(model, folder / "model.onnx"), ["mfr21/A"], latency="scaled", device="cpu")


def photograph(browser: Browser, pages: dict[str, Path]) -> None:
    """Write every image.

    Raises
    ------
    SystemExit
        An image is larger than `LIMIT`.
    """
    for name, page, width, height, scheme, heading in SHOWN:
        shown = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        shown.emulate_media(reduced_motion="reduce")
        shown.goto(pages[page].as_uri())
        if heading:
            shown.get_by_role("heading", name=heading, exact=True).first.evaluate("each => each.scrollIntoView()")
        image = Image.open(io.BytesIO(shown.screenshot())).convert("RGB")
        path = IMAGES / f"{name}.png"
        image.save(path, optimize=True)
        shown.close()
        if path.stat().st_size > LIMIT:
            raise SystemExit(f"{path} has {path.stat().st_size:,} bytes, more than {LIMIT:,}")


def main() -> None:
    """Judge, render, photograph."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is needed (Debian: apt-get install chromium)")
    IMAGES.mkdir(exist_ok=True)
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as name:
        folder, pages = Path(name), {}
        for each, report in (("demo", demo()), ("broken", broken(folder))):
            # The same image on every machine: the folder that somebody cloned into is nobody else's matter.
            submission = msgspec.structs.replace(report.submissions[0], path="model.onnx")
            shown = msgspec.structs.replace(report, submissions=(submission,))
            pages[each] = folder / f"{each}.html"
            pages[each].write_bytes(render(shown))
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=arguments)
            photograph(browser, pages)
            browser.close()


if __name__ == "__main__":
    main()
