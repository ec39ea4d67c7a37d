"""Other programs are seen, and other timings are kept away."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pytest_facechallenge.analyses.latency import contention
from pytest_facechallenge.analyses.latency.contention import Others, Used, alone, used


@pytest.mark.parametrize(
    ("everyone", "own", "share"), [(20.0, 20.0, 0.0), (20.0, 10.0, 0.5), (10.0, 0.0, 0.5), (5.0, 6.0, 0.0)]
)
def test_what_others_used_is_what_this_process_did_not(everyone: float, own: float, share: float) -> None:
    readings = iter([Used(100.0, 500.0, 7.0), Used(110.0, 500.0 + everyone, 7.0 + own)])
    with Others(lambda: next(readings), processors=2) as others:
        pass
    assert others.share == share


def test_the_clocks_are_read() -> None:
    before, after = used(), used()
    assert after.passed >= before.passed
    assert after.own > 0
    assert after.everyone >= before.everyone > 0


def test_time_that_a_hypervisor_took_away_counts_and_idling_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    times = SimpleNamespace(
        user=1.0, nice=2.0, system=4.0, idle=1000.0, iowait=1000.0, irq=8.0, softirq=16.0, steal=32.0
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    assert used().everyone == 63.0
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(user=1.0, system=4.0, idle=9.0))  # Windows
    assert used().everyone == 5.0


def test_one_timing_waits_for_another_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contention, "TRY_SECONDS", 0.01)
    waiting, said, order = threading.Event(), list[str](), list[str]()

    def report(line: str) -> None:
        said.append(line)
        waiting.set()

    def second() -> None:
        with alone(str(tmp_path), report):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone(str(tmp_path), said.append):
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    assert "waiting for another timing" in said[0]


def test_a_lock_that_never_comes_free_or_cannot_be_made_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contention, "TRY_SECONDS", 0.01)
    monkeypatch.setattr(contention, "MOST_SECONDS", 0.0)
    ran: list[str] = []
    with alone(str(tmp_path), ran.append), alone(str(tmp_path), ran.append):
        ran.append("both")
    (tmp_path / "file").write_text("")
    with alone(str(tmp_path / "file"), ran.append), alone("", ran.append):
        ran.append("without")
    assert ran[1:] == ["both", "without"]
