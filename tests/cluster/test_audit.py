"""An audit on two processes finds what one process finds, whoever dies."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_facechallenge import api, audit
from pytest_facechallenge import cluster as cluster_module
from pytest_facechallenge.auditing.document import Audit
from pytest_facechallenge.auditing.on_machines import EntryTask, judge_there
from pytest_facechallenge.cli import main
from pytest_facechallenge.cluster.connection import Cluster
from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.engine.orders import Order, ordered, plan_of
from pytest_facechallenge.engine.plan import make_plan
from pytest_facechallenge.engine.report import Report
from tests.auditing.test_audit import RULEBOOK, TABLE
from tests.support.models import network, save


@pytest.fixture
def folder(tmp_path: Path, machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two good entries, one that is too wide, one that is no model; ``local:2`` is the test's cluster."""
    for name, dim in (("a.onnx", 64), ("b.onnx", 64), ("wide.onnx", 65)):
        save(network(dim=dim), tmp_path / "entries" / name)
    (tmp_path / "entries" / "none.onnx").write_bytes(b"no")
    (tmp_path / "small.toml").write_text(RULEBOOK, encoding="utf-8")
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")

    class Connected:
        def __enter__(self) -> Cluster:
            return machines

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(cluster_module, "connect", lambda *_: Connected())
    return tmp_path


def audited(folder: Path, out: str, **more: Any) -> Audit:
    return audit(
        folder / "entries",
        "small/one",
        folder / out,
        rulebooks=[folder / "small.toml"],
        declarations=folder / "table.csv",
        device="cpu",
        **more,
    )


def same(found: Audit, expected: Audit) -> bool:
    """Whether two audits have the same rows and the same facts, whatever file they are in."""
    plain = [[msgspec.to_builtins(row) for row in each.entries] for each in (found, expected)]
    return bool(plain[0] == plain[1])


def facts(folder: Path, out: str, found: Audit) -> list[Any]:
    return [Report.load(folder / out / entry.report).submissions[0].facts for entry in found.entries]


def test_machines_find_the_same(folder: Path) -> None:
    here, told = audited(folder, "here"), []
    there = audited(folder, "there", dask="local:2", told=lambda *said: told.append(said[1:3]))
    assert same(there, here)
    assert {entry.name: str(entry.tracks[0].verdict) for entry in there.entries}["wide.onnx"] == "NON-COMPLIANT"
    assert told == [(number, 4) for number in (1, 2, 3, 4)]
    assert json.dumps(facts(folder, "there", there)) == json.dumps(facts(folder, "here", here))
    assert not list((folder / "there").glob("*.json"))[1:], "only audit.json stays"
    again = audited(folder, "there")
    assert [(entry.gathered, entry.reused) for entry in again.entries] == [
        (0, entry.gathered) for entry in there.entries
    ], "what machines have kept is found here"


def test_a_worker_killed_in_the_middle_changes_nothing(folder: Path, machines: Cluster) -> None:
    killed: list[int] = []

    def kill_one(*_: object) -> None:
        if not killed:
            killed.append(next(iter(machines._client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    there = audited(folder, "there", dask="local:2", told=kill_one)
    assert killed
    assert [str(row.verdict) for entry in there.entries for row in entry.tracks] == [
        "COMPLIANT", "NON-COMPLIANT", "NON-COMPLIANT", "NON-COMPLIANT"
    ]  # fmt: skip


def test_what_a_machine_does_not_see_is_told(folder: Path) -> None:
    task = EntryTask(Order(str(folder / "none.json"), ""), str(folder / "entries" / "a.onnx"), "", str(folder))
    with pytest.raises(MachinesError, match=r"the run cannot be set up: .*none\.json"):
        judge_there(task)
    plan = make_plan(
        values_from({"model": str(folder / "entries"), "track": "small/one", "rules": [str(folder / "small.toml")]})
    )
    with ordered(plan, folder) as order:
        with pytest.raises(MachinesError, match=r"does not see the same .*a\.onnx as the machine that audits"):
            judge_there(replace(task, order=order, state="another"))
        Path(order.path).write_bytes(b"{}")
        plan_of.cache_clear()
        with pytest.raises(MachinesError, match="is another one there"):
            judge_there(replace(task, order=order))


def test_the_command_has_the_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["audit", str(folder / "entries"), "--track=one", f"--rules={folder / 'small.toml'}", "--device=cpu"]
    assert main([*common, f"--out={folder / 'out'}", "--dask", "local:none"]) == 4
    assert "HOST:PORT of a scheduler" in capsys.readouterr().err


def test_nothing_is_connected_to_without_the_option(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "connect", None)
    assert api.audit(folder / "entries" / "none.onnx", "mfr21/A", folder / "out", device="cpu").entries
