"""The rulebooks are found from a wheel and from an editable install alike."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pytest_facechallenge.engine.report import Report

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_rulebooks_and_the_type_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "rules").rglob("*.toml"):
        assert f"pytest_facechallenge/{path.relative_to(ROOT)}" in names
    assert "pytest_facechallenge/templates/declaration.toml" in names
    assert "pytest_facechallenge/py.typed" in names
    page = ROOT / "pytest_facechallenge" / "reports" / "page"
    for path in (*page.glob("templates/*.jinja"), page / "page.css", page / "page.js"):
        assert str(path.relative_to(ROOT)) in names
    assert not any(name.startswith(("tests/", "examples/", "benchmarks/")) for name in names)


def test_unpacked_wheel_lists_its_rulebooks(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r});"
        "import pytest_facechallenge.engine.extensions as r; print(r.__file__); print(sorted(r.load_rulebooks()))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(tmp_path / "site") in done.stdout
    assert "['lfr19', 'mfr-ongoing', 'mfr21']" in done.stdout


def test_the_wheel_has_the_command_and_judges_by_itself(wheel: Path, report: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (points,) = (tmp_path / "site").glob("*.dist-info/entry_points.txt")
    assert "facechallenge = pytest_facechallenge.cli:main" in points.read_text(encoding="utf-8")
    (tmp_path / "r.json").write_bytes(report)
    command = [sys.executable, "-m", "pytest_facechallenge", "judge", "--facts=r.json", "--track=A", "--json=new.json"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("INCOMPLETE  model.onnx")
    settings = Report.load(tmp_path / "new.json").environment.settings
    assert settings.startswith(str(tmp_path / "site"))


def test_clone_lists_its_rulebooks() -> None:
    code = "import pytest_facechallenge.core.rulebook_file as r; print(r.builtin_folder())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(ROOT / "rules")


def test_exactly_one_runtime_is_asked_for_on_every_platform() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"] if text.startswith("onnxruntime")]
    places = itertools.product(("linux", "win32", "darwin"), ("x86_64", "AMD64", "aarch64", "arm64"))
    for system, machine in places:
        place = {"sys_platform": system, "platform_machine": machine}
        names = [each.name for each in wanted if each.marker is None or each.marker.evaluate(place)]
        gpu = system in ("linux", "win32") and machine in ("x86_64", "AMD64")
        assert names == (["onnxruntime-gpu"] if gpu else ["onnxruntime"]), (system, machine)
