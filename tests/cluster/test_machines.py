"""Machines are named, refused where they cannot be used, and outlived where they die."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_facechallenge.cluster import Local, Scheduler, connect, connection, named, naming
from pytest_facechallenge.cluster.connection import Cluster
from pytest_facechallenge.cluster.likeness import Likeness, Token, refuse_unlike, versions
from pytest_facechallenge.core.machines import MachinesError
from tests.support.models import network, save


def test_machines_are_named_by_number_address_or_file(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text("{}")
    assert named("local:3") == Local(3)
    assert named("10.0.0.7:8786") == named("tcp://10.0.0.7:8786") == Scheduler(address="tcp://10.0.0.7:8786")
    assert named("[::1]:8786") == Scheduler(address="tcp://[::1]:8786")
    assert named("s.json", tmp_path) == Scheduler(file=str(tmp_path / "s.json"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("local:0", "1 to 1024 processes are expected, found 0"),
        ("local:", "is expected, found 'local:'"),
        ("local:x", "is expected, found 'local:x'"),
        ("somewhere", "local:N .* HOST:PORT of a scheduler, or the JSON file .* found 'somewhere'"),
        ("none.json", "there is no such file"),
    ],
)
def test_what_names_no_machines_is_refused(text: str, said: str) -> None:
    with pytest.raises(MachinesError, match=said):
        named(text)


def test_the_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "find_spec", lambda name: None if name == "distributed" else find_spec(name))
    with pytest.raises(MachinesError, match=r"not installed here: pip install 'pytest-facechallenge\[dask\]'"):
        named("local:2")


def test_a_wrong_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 1)
    with pytest.raises(MachinesError, match=r"no scheduler of dask answers at 127\.0\.0\.1:1 within 1 seconds"):
        with connect("127.0.0.1:1"):
            pass


def test_a_run_with_a_wrong_address_ends_with_a_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 1)
    save(network(), pytester.path / "model.onnx")
    for text, said in (("127.0.0.1:1", "no scheduler of dask answers"), ("nowhere", "HOST:PORT of a scheduler")):
        done = pytester.runpytest("--facechallenge-model=model.onnx", "--track=A", f"--facechallenge-dask={text}")
        assert done.ret == pytest.ExitCode.USAGE_ERROR
        done.stderr.fnmatch_lines([f"*{said}*"])


def die_once(item: tuple[str, int]) -> int:
    """Kill the own process when called for the first time with the number 3."""
    marker, number = item
    if number == 3 and not Path(marker).exists():
        Path(marker).write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_worker_that_dies_is_outlived(machines: Cluster, tmp_path: Path) -> None:
    items = [(str(tmp_path / "died"), number) for number in range(12)]
    found = sorted(result for _, result in machines.each(die_once, items))
    assert (tmp_path / "died").exists()
    assert found == [number * number for number in range(12)]


def fail(item: int) -> int:
    raise MachinesError(f"{item} is refused")


def test_an_error_comes_as_it_was_raised(machines: Cluster) -> None:
    with pytest.raises(MachinesError, match="1 is refused"):
        list(machines.each(fail, [1]))


def test_like_machines_that_see_the_folder_are_taken(machines: Cluster, tmp_path: Path) -> None:
    machines.check(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ModuleNotFoundError("No module named 'pytest_facechallenge'"), "cannot run this package .* install"),
        (Likeness("far", versions(), ""), "on far does not see the folder .* same path"),
        (Likeness("far", {**versions(), "numpy": "1.0"}, "word"), r"another numpy.* found 1\.0; install the same"),
        (Likeness("far", {**versions(), "torch-like": "2"}, "word"), "another torch-like"),
        (Likeness("far", {**versions(), "processor": "riscv64"}, "word"), "another processor"),
    ],
)
def test_unlike_machines_are_refused(answer: Likeness | Exception, said: str, tmp_path: Path) -> None:
    with Token(tmp_path) as token:
        token.word = "word"
        refuse_unlike({"tcp://1": Likeness("near", versions(), "word")}, token)
        with pytest.raises(MachinesError, match=f"tcp://2 .*{said}"):
            refuse_unlike({"tcp://1": Likeness("near", versions(), "word"), "tcp://2": answer}, token)
