"""``facechallenge judge``: no file of a submission steers the run, wherever it is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation import attacks
from pytest_facechallenge.cli import main
from pytest_facechallenge.commands import judge
from pytest_facechallenge.engine.report import Report
from tests.security.contents import model_bytes

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "attack",
    [
        attacks.launcher_in_the_submissions_folder,
        attacks.launcher_beside_the_submission,
        attacks.pytest_in_the_submissions_folder,
        attacks.pytest_steered_by_an_ini_file,
    ],
    ids=lambda attack: attack.__name__,
)
def test_settings_and_code_beside_a_submission(attack: attacks.Attack, tmp_path: Path) -> None:
    assert attack(tmp_path) == ""


def test_settings_of_the_environment_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model_bytes())
    (tmp_path / "planted.py").write_text("open('evidence', 'w')")
    steering = {
        "PYTEST_ADDOPTS": "-p planted -k nothing", "PYTEST_PLUGINS": "planted", "PYTHONPATH": f"{ROOT}{os.pathsep}.",
        "PYTHONSTARTUP": "planted.py", "FACECHALLENGE_LATENCY": "modelled",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest_facechallenge", "judge", "model.onnx", "--track=A", "--json", "r.json",
         "--", "-k", "input"],
        cwd=tmp_path, env={**os.environ, **steering}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model.onnx::" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "planted.py", "r.json"]
    environment = json.loads((tmp_path / "r.json").read_bytes())["environment"]
    assert environment["settings"] == str(judge.SETTINGS)
    assert environment["conftests"] == environment["warnings"] == []


def test_the_environment_keeps_what_is_the_users() -> None:
    found = judge.environment_of(
        {"PATH": "p", "FACECHALLENGE_TRACK": "A", "FACECHALLENGE_OWN_FOLDER": "1", "PYTHONUTF8": "1", "PYTHONPATH": "."}
    )
    assert {"PATH": "p", "FACECHALLENGE_TRACK": "A", "PYTHONUTF8": "1"}.items() <= found.items()
    assert "FACECHALLENGE_OWN_FOLDER" not in found
    assert found.get("PYTHONPATH") in (None, str(ROOT))


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one-process", "xdist"])
@pytest.mark.slow
def test_every_hostile_input_beside_three_honest_models(tmp_path: Path, workers: tuple[str, ...]) -> None:
    entries = attacks.gather_entries(tmp_path / "entries")
    done = attacks.judge_folder(tmp_path, *workers)
    assert (tmp_path / "report.json").exists(), done.stdout + done.stderr
    assert list(attacks.wrong_verdicts(Report.load(tmp_path / "report.json"), entries)) == []
    assert done.returncode == 1
    assert not [sign for sign in done.stdout if sign != "\n" and not sign.isprintable()]


@pytest.mark.parametrize("name", ["--rules=mine.toml", "--own-folder", "-n", "--"])
@pytest.mark.parametrize("command", ["judge", "audit", "repair"])
def test_a_file_named_like_an_option_is_not_obeyed(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the shell makes of ``facechallenge judge *``."""
    monkeypatch.chdir(tmp_path)
    for each in (name, "model.onnx"):
        Path(each).touch()
    with pytest.raises(SystemExit) as ended:
        main([command, *sorted(path.name for path in Path().iterdir())])
    assert ended.value.code == 4
    error = capsys.readouterr().err
    assert f"{name!r} is an option and the name of a file" in error
    assert "(./*)" in error
