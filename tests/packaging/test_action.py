"""The GitHub action: its steps run here as scripts, as GitHub would run them, on inputs that nobody should trust."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.models import network, save

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
WORKFLOW = ROOT / "examples" / "github-workflow" / "judge-submission.yml"
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
WORKFLOWS = tuple(str(path.relative_to(ROOT)) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")))
#: How GitHub starts the steps that say "bash".
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
#: Stands for the Python that actions/setup-python brings: makes environments of this one, installs nothing.
PYTHON = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
elif [ "$1 $2 $3" = "-m pip install" ]; then
  echo "$0 $*" >> "$RUNNER_TEMP/installed"
elif [ "$1 $2 $3" = "-m pip cache" ]; then
  echo /home/runner/.cache/pip
else
  exec "{python}" "$@"
fi
"""

pytestmark = pytest.mark.skipif(os.name != "posix" or shutil.which("bash") is None, reason="needs bash")


class Runner:
    """A runner with a checkout: runs the steps that are scripts, and keeps what they hand on."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.temporary = folder / "workspace", folder / "temp"
        for each in (self.workspace, self.temporary, folder / "bin"):
            each.mkdir()
        python = folder / "bin" / "python"
        python.write_text(PYTHON.format(python=sys.executable), encoding="utf-8")
        python.chmod(0o755)
        self.output, self.summary = folder / "output", folder / "summary.md"
        kept = {name: value for name, value in os.environ.items() if not re.match("FACECHALLENGE|GITHUB|PYTEST", name)}
        self.environment = kept | {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
            "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_TEMP": str(self.temporary), "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary),
        }  # fmt: skip

    def run(self, step: dict[str, Any], **inputs: str) -> subprocess.CompletedProcess[str]:
        given = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()} | inputs
        set_by_step = {
            name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: given[found[1]], value)
            for name, value in step.get("env", {}).items()
        }
        script = self.temporary / "step.sh"
        script.write_text(step["run"], encoding="utf-8")
        environment = self.environment | set_by_step
        command = [*BASH, str(script)]
        return subprocess.run(command, cwd=self.workspace, env=environment, capture_output=True, text=True, check=False)

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text(encoding="utf-8").splitlines())


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def step(name: str) -> dict[str, Any]:
    return next(each for each in STEPS if each["name"] == name)


def install(runner: Runner) -> None:
    assert runner.run(step("Install the version of this action")).returncode == 0


def test_no_expression_stands_in_a_script() -> None:
    scripts = [each for each in STEPS if "run" in each]
    assert len(scripts) >= 3
    for each in scripts:
        assert "${{" not in each["run"]
        assert each["shell"] == "bash"


def test_actions_of_others_are_pinned_to_a_commit() -> None:
    used = [each["uses"] for each in STEPS if "uses" in each]
    assert len(used) == 3
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each) for each in used)


def test_every_input_is_used_and_every_output_is_made() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) == set(ACTION["inputs"])
    made = set(re.findall(r'echo "([a-z-]+)=', step("Judge")["run"]))
    assert set(ACTION["outputs"]) == made


def test_the_cache_is_named_by_what_the_package_needs(runner: Runner) -> None:
    assert runner.run(step("Name the cache")).returncode == 0
    first = runner.outputs()
    assert first["folder"] == "/home/runner/.cache/pip"
    assert re.fullmatch(r"facechallenge-Linux-X64-3\.\d+\.\d+-[0-9a-f]{16}", first["key"])


def test_the_version_of_the_action_is_installed_apart_from_the_checkout(runner: Runner) -> None:
    install(runner)
    said = (runner.temporary / "installed").read_text(encoding="utf-8").split()
    assert said[0] == str(runner.temporary / "facechallenge" / "bin" / "python")
    assert said[-1] == str(ROOT)
    assert list(runner.workspace.iterdir()) == []


def test_a_submission_is_judged_with_summary_annotations_and_reports(runner: Runner) -> None:
    install(runner)
    save(network(shape=(3, 96, 96)), runner.workspace / "-a $(touch evidence) b.onnx")
    done = runner.run(
        step("Judge"), model="-a $(touch evidence) b.onnx\n", track="mfr21/A", strict="false",
        options="--latency=modelled\n--device=cpu\n",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    outputs = runner.outputs()
    assert outputs["exit-code"] == "1"
    assert {path.name for path in Path(outputs["reports"]).iterdir()} == {
        "judgement.json", "judgement.html", "judgement.xml",
    }  # fmt: skip
    assert "\n::error file=" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("NON-COMPLIANT")
    assert "NON-COMPLIANT" in runner.summary.read_text(encoding="utf-8")
    assert not (runner.workspace / "evidence").exists()


@pytest.mark.parametrize(
    "inputs",
    [
        {"model": 'x"; touch evidence; "', "track": "mfr21/A"},
        {"model": "x.onnx", "track": "A; touch evidence"},
        {"model": "x.onnx", "track": "A", "options": "$(touch evidence)\n`touch evidence`\n; touch evidence"},
        {"model": "x.onnx", "track": "A", "strict": "true; touch evidence"},
        {"model": "x.onnx", "track": "A", "strict": "yes"},
    ],
)
def test_inputs_are_data(runner: Runner, inputs: dict[str, str]) -> None:
    install(runner)
    done = runner.run(step("Judge"), **inputs)
    assert done.returncode == 4, done.stdout + done.stderr
    assert not (runner.workspace / "evidence").exists()


def test_the_example_uses_the_action_with_inputs_that_it_has() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    (used,) = [each for each in workflow["jobs"]["judge"]["steps"] if "pytest-facechallenge" in each["uses"]]
    required = {name for name, each in ACTION["inputs"].items() if each.get("required")}
    assert required <= set(used["with"]) <= set(ACTION["inputs"])


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        (("actionlint",), ("examples/github-workflow/judge-submission.yml", *WORKFLOWS)),
        (("zizmor", "--offline", "--no-progress"), ("action.yml", *WORKFLOWS)),
        (("check-jsonschema", "--builtin-schema", "vendor.github-actions"), ("action.yml",)),
        (("hadolint",), ("Containerfile",)),
        (("pre-commit", "validate-manifest"), (".pre-commit-hooks.yaml",)),
    ],
    ids=lambda each: each[0],
)
def test_linters_have_nothing_to_say(command: tuple[str, ...], paths: tuple[str, ...]) -> None:
    beside = Path(sys.executable).with_name(command[0])
    program = str(beside) if beside.exists() else shutil.which(command[0])
    if program is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run([program, *command[1:], *paths], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
