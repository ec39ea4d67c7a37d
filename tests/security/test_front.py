"""What a stranger hands in steers nothing: settings and code beside it, names, files that never end."""

from __future__ import annotations

import os
import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.security.contents import NASTY_NAME
from tests.support.models import network, save

posix = pytest.mark.skipif(os.name != "posix", reason="names and files of POSIX systems")
RUN = ("-q", "--track", "A", "-k", "input or package")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACECHALLENGE_LATENCY", "modelled")


@pytest.fixture
def entry(pytester: pytest.Pytester) -> Path:
    """A submission in a folder that only its author wrote."""
    return save(network(), pytester.mkdir("entry") / "model.onnx").parent


def refused(result: pytest.RunResult, said: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR, result.outlines
    assert len([line for line in result.errlines if line]) == 1, result.errlines
    assert re.search(said, result.errlines[0]), result.errlines
    assert "Traceback" not in result.stdout.str()


# Settings and code beside a submission


@pytest.mark.parametrize("name", ["conftest.py", "pytest.ini"])
def test_the_submissions_folder_as_working_folder(
    pytester: pytest.Pytester, entry: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content = f"open({str(pytester.path / 'evidence')!r}, 'w')\n" if name == "conftest.py" else "[pytest]\n"
    (entry / name).write_text(content)
    monkeypatch.chdir(entry)
    for model in ("model.onnx", ".", str(entry)):
        refused(pytester.runpytest_inprocess(*RUN, f"--facechallenge-model={model}"), "would steer this run.*judge")
    assert not (pytester.path / "evidence").exists()


def test_files_between_the_working_folder_and_the_submission(pytester: pytest.Pytester, entry: Path) -> None:
    (entry / "__init__.py").write_text("raise SystemExit")
    model = "--facechallenge-model=entry/model.onnx"
    refused(pytester.runpytest_inprocess(*RUN, model, "entry"), "__init__.py would steer")
    assert pytester.runpytest_inprocess(*RUN, model, "--co").ret == 0, "nothing of it would be imported"


def test_a_node_id_typed_beside_a_conftest(pytester: pytest.Pytester, entry: Path) -> None:
    (entry / "conftest.py").write_text("raise SystemExit")
    model = ("entry/model.onnx::test_rule[A-input]", "--facechallenge-model=entry/model.onnx")
    refused(pytester.runpytest_inprocess("-q", "--track=A", *model), "conftest.py would steer")
    assert pytester.runpytest_inprocess("-q", "--track=A", *model, "--noconftest", "--co").ret == 0


def test_an_ini_file_cannot_vouch_for_itself(pytester: pytest.Pytester, entry: Path) -> None:
    (entry / "pytest.ini").write_text(
        "[pytest]\naddopts = -c other.ini --facechallenge-own-folder\nfacechallenge_own_folder = yes\n"
    )
    refused(pytester.runpytest_inprocess(*RUN, "--facechallenge-model", "entry/model.onnx"), "pytest.ini would steer")


@pytest.mark.parametrize("name", ["--facechallenge-own-folder", "--track=B", "-q"])
def test_a_file_named_like_an_option_is_not_obeyed(pytester: pytest.Pytester, entry: Path, name: str) -> None:
    """What the shell makes of ``pytest --facechallenge-model model.onnx *``."""
    (pytester.path / name).touch()
    refused(
        pytester.runpytest_inprocess("--track=A", "--facechallenge-model=entry/model.onnx", name),
        f"'{name}' is an option and the name of a file",
    )


def test_a_plugin_beside_a_submission(pytester: pytest.Pytester, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry / "planted_plugin.py").write_text("")
    monkeypatch.syspath_prepend(entry)
    result = pytester.runpytest_inprocess(*RUN, "-p", "planted_plugin", "--facechallenge-model=entry/model.onnx")
    refused(result, "planted_plugin.py would steer")


def test_own_files_are_obeyed_and_the_report_says_so(
    pytester: pytest.Pytester, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    (entry / "conftest.py").write_text("")
    (entry / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(entry)
    result = pytester.runpytest_inprocess(
        "--track=A", "-k=input", "--facechallenge-model=model.onnx", "--facechallenge-own-folder",
        "--facechallenge-json=../r.json",
    )  # fmt: skip
    assert result.ret == 0
    for line in (result.outlines[:10], result.outlines[-6:]):
        assert any("warning: the run obeyed" in each for each in line), line
    environment = json.loads((pytester.path / "r.json").read_bytes())["environment"]
    assert environment["settings"].endswith("entry/pytest.ini")
    assert len(environment["warnings"]) >= 2


# What is no submission, and names that are none


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("test_it.py", b"raise SystemExit"),
        ("test.txt", b">>> raise SystemExit"),
        ("test.rst", b""),
        ("model", b"<html>"),
        ("model.onxx", b""),
    ],
)
def test_what_is_no_submission(pytester: pytest.Pytester, name: str, content: bytes) -> None:
    (pytester.path / name).write_bytes(content)
    model = f"--facechallenge-model={name[:-1]}?"
    refused(pytester.runpytest_inprocess(*RUN, "--doctest-modules", model), "is no submission.*expected, found")


def test_a_model_under_another_name(pytester: pytest.Pytester) -> None:
    save(network(), pytester.path / "test_model.py")
    result = pytester.runpytest_inprocess(*RUN, "--doctest-modules", "--facechallenge-model=test_model.py")
    assert result.parseoutcomes()["passed"] == 2


@posix
@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_hostile_file_names(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    folder = pytester.mkdir("entries")
    for name in (os.fsencode(NASTY_NAME), b"\xff\xfe", b"n" * 250, b"a::b[c]@d"):
        save(network(), folder / "model.onnx").rename(os.fsdecode(os.fsencode(folder) + b"/" + name + b".onnx"))
    save(network(), folder / "honest.onnx")
    result = pytester.runpytest_inprocess(
        *RUN, *workers, "-v", "--facechallenge-model=entries/*.onnx", "--junit-xml=j.xml", "--facechallenge-json=r.json"
    )
    assert result.parseoutcomes()["passed"] == 10, result.outlines
    text = result.stdout.str()
    assert not re.search(r"^COMPLIANT", text, re.MULTILINE)
    assert not [sign for sign in text if sign != "\n" and not sign.isprintable()]
    suite = ET.parse(pytester.path / "j.xml").getroot()[0]
    assert suite.get("tests") == "10"
    assert b"\\ud" not in (pytester.path / "r.json").read_bytes()


@posix
def test_hostile_names_in_messages(pytester: pytest.Pytester) -> None:
    for name in (NASTY_NAME, os.fsdecode(b"\xff\xfe"), "n" * 5_000, "a\0b"):
        name = name.replace("[", "")  # or it is a pattern
        refused(pytester.runpytest_inprocess(*RUN, f"--facechallenge-model={name}"), "the model '")
    pytester.mkdir("entries").joinpath(NASTY_NAME).write_text("")
    refused(pytester.runpytest_inprocess(*RUN, "--facechallenge-model=entries"), "holds no submission")


# Files that never end, or nest without end


def deep_json(path: Path) -> None:
    path.write_bytes(b"[" * 500_000)


def deep_toml(path: Path) -> None:
    path.write_text("x = " + "[" * 5_000 + "]" * 5_000)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def cycle(path: Path) -> None:
    path.symlink_to(path)


@posix
@pytest.mark.parametrize("option", ["facts", "rules", "declaration", "labels", "testset", "features"])
@pytest.mark.parametrize("make", [os.mkfifo, device, deep_json, deep_toml, cycle], ids=lambda each: each.__name__)
def test_files_that_the_user_named(pytester: pytest.Pytester, option: str, make: Callable[[Path], None]) -> None:
    if option in ("declaration", "features", "labels") and make not in (os.mkfifo, device):
        pytest.skip("what is wrong inside of it is a finding")
    make(pytester.path / "named")
    save(network(), pytester.path / "entry" / "model.onnx")
    more = ["--facechallenge-features=named"] if option == "labels" else []
    result = pytester.runpytest_inprocess(
        *RUN, "--facechallenge-model=entry/model.onnx", f"--facechallenge-{option}=named", *more, "--co"
    )
    refused(result, "named")


# Reports


@posix
@pytest.mark.parametrize("kind", ["device", "pipe", "link", "no-folder"])
def test_reports_over_what_is_no_file(pytester: pytest.Pytester, entry: Path, kind: str) -> None:
    path = pytester.path / "out" / "r.json"
    if kind != "no-folder":
        path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("device", "link"):
        path.symlink_to("/dev/null" if kind == "device" else entry / "model.onnx")
    before = (entry / "model.onnx").read_bytes()
    result = pytester.runpytest_inprocess(*RUN, "--facechallenge-model=entry", f"--facechallenge-json={path}")
    refused(result, "cannot be written")
    assert (entry / "model.onnx").read_bytes() == before
    assert kind == "no-folder" or list(path.parent.iterdir()) == [path]


@posix
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_reports_that_cannot_be_written_at_the_end(
    pytester: pytest.Pytester, report: bytes, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    import errno

    def no_room(*_args: object, **_keywords: object) -> None:
        raise OSError(errno.ENOSPC if kind == "full" else errno.EROFS, os.strerror(errno.ENOSPC))

    (pytester.path / "report.json").write_bytes(report)
    out = pytester.mkdir("out")
    if kind == "full":
        real = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda handle, mode="r": no_room() if mode == "wb" else real(handle, mode))
    else:
        monkeypatch.setattr(tempfile, "mkstemp", no_room)
    result = pytester.runpytest_inprocess(
        "-q",
        "-p",
        "no:cacheprovider",
        "--track=A",
        "--facechallenge-facts=report.json",
        "--facechallenge-json=out/r.json",
    )
    monkeypatch.undo()
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["facechallenge: *r.json cannot be written*"])
    assert list(out.iterdir()) == []


# Changed while judged, and checks that raise


def test_a_submission_that_changes_while_it_is_judged(pytester: pytest.Pytester, entry: Path) -> None:
    pytester.makeconftest(
        "import pathlib\n"
        "def pytest_runtest_teardown(item):\n"
        f"    pathlib.Path({str(entry / 'model.onnx')!r}).write_bytes(b'another')\n"
    )
    base = ("--track=A", "-k=package", "--facechallenge-model=entry", "--facechallenge-json=r.json")
    result = pytester.runpytest_inprocess(*base, "-q")
    result.stdout.fnmatch_lines(["facechallenge: warning: entry: the submission was changed while it was judged*"])
    assert b"was changed while it was judged" in (pytester.path / "r.json").read_bytes()


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
def test_a_compliant_submission_that_changes_fails_a_strict_run(pytester: pytest.Pytester, strict: bool) -> None:
    examples = Path(__file__).parents[2] / "examples"
    target = pytester.mkdir("entry") / "model.onnx"
    target.write_bytes((examples / "demo" / "model.onnx").read_bytes())
    campus = examples / "custom-rulebook" / "campus"
    (pytester.path / "rulebook.toml").write_bytes((campus / "rulebook.toml").read_bytes())
    own = (campus / "checks.py").read_text(encoding="utf-8")
    change = f"__import__('pathlib').Path({str(target)!r}).write_bytes(b'x')"
    pytester.makeconftest(f"{own}\n\ndef pytest_runtest_teardown():\n    {change}\n")
    base = ("-q", "--track=door", "--facechallenge-rules=rulebook.toml", "--facechallenge-model=entry/model.onnx")
    result = pytester.runpytest_inprocess(*base, *(["--facechallenge-strict"] if strict else []))
    result.stdout.fnmatch_lines(
        ["facechallenge: warning: *was changed while it was judged*", "COMPLIANT  model.onnx  campus/door*"]
    )
    assert result.ret == (1 if strict else 0)


def test_a_check_that_raises_is_named(pytester: pytest.Pytester, report: bytes) -> None:
    (pytester.path / "report.json").write_bytes(report)
    pytester.makeconftest(
        "from pytest_facechallenge.engine.extensions import load_checks\n"
        "import msgspec\n"
        "def broken(facts, rule):\n"
        "    raise KeyError('oh\\x1b[2Jno')\n"
        "checks = load_checks()\n"
        "checks['package'] = msgspec.structs.replace(checks['package'], function=broken)\n"
    )
    try:
        result = pytester.runpytest_inprocess(
            "-v", "--track=A", "-k=package", "--facechallenge-facts=report.json", "--facechallenge-strict"
        )
    finally:
        from pytest_facechallenge.checks import package
        from pytest_facechallenge.checks.registry import CHECKS

        for name, check in list(CHECKS.items()):
            if check.function.__name__ == "broken":
                import msgspec

                CHECKS[name] = msgspec.structs.replace(check, function=package.package)
    text = " ".join(result.stdout.str().split())
    assert "conftest.package failed on these facts: KeyError" in text, text
    assert "\x1b" not in text
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_an_ini_file_in_a_folder_of_submissions(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest takes it when the option's value stands apart, although it lies in the folder of no submission."""
    save(network(), pytester.path / "entries" / "alice" / "model.onnx")
    (pytester.path / "entries" / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
    monkeypatch.chdir(pytester.mkdir("start"))
    refused(pytester.runpytest_subprocess(*RUN, "--facechallenge-model", "../entries"), "would steer this run")


def test_a_submission_that_comes_while_the_run_starts(pytester: pytest.Pytester) -> None:
    """Every process of a distributed run judges what the first has found, or xdist may end the run."""
    for name in ("alice", "bob"):
        save(network(), pytester.path / "entries" / f"{name}.onnx")
    pytester.makeconftest(
        "import shutil\n"
        "def pytest_configure_node(node):\n"
        "    if node.gateway.id == 'gw1':\n"
        f"        shutil.copy({str(pytester.path / 'entries' / 'alice.onnx')!r}, "
        f"{str(pytester.path / 'entries' / 'aaron.onnx')!r})\n"
    )
    result = pytester.runpytest_subprocess(*RUN, "--facechallenge-model=entries", "-n", "2")
    result.assert_outcomes(passed=4)
    assert (pytester.path / "entries" / "aaron.onnx").exists()
