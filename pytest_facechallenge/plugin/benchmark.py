"""Showing recorded times in pytest-benchmark: its table, JSON, saving and comparing work on samples taken elsewhere.

The samples were taken in the sandbox. pytest-benchmark asks its timer before and after each round; the timer here plays
the recorded times back, so that every round takes exactly as long as it did there.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_facechallenge.analyses.latency.server_timing import nvidia
from pytest_facechallenge.core.facts.latency import LatencyFacts, Machine, Series, ServerLatencyFacts
from pytest_facechallenge.latency_estimate import evidence_grades
from pytest_facechallenge.latency_estimate.statistics import Summary, summarise

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.core.rulebook import Rule
    from pytest_facechallenge.engine.session import ChallengeSession


class Playback:
    """A timer, in seconds, that gives 0 at the start of a round and the recorded time at its end."""

    __name__ = "playback of times taken in the sandbox"

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._calls = 0

    def load(self, milliseconds: Sequence[float]) -> None:
        """Take the times to play back."""
        self._seconds = [sample / 1000 for sample in milliseconds]
        self._calls = 0

    def __call__(self) -> float:
        """Return the next reading of the clock.

        Raises
        ------
        IndexError
            More rounds are asked for than were recorded.
        """
        turn, at_end = divmod(self._calls, 2)
        self._calls += 1
        return self._seconds[turn] if at_end else 0.0

    @staticmethod
    def nothing() -> None:
        """Do what a played-back round does."""


def timer_of(mark: Any) -> Playback | None:
    """Return the playback timer of a ``benchmark`` mark, or None for another or no mark."""
    timer = mark.kwargs.get("timer") if mark is not None else None
    return timer if isinstance(timer, Playback) else None


def _judged(facts: Facts, rule: Rule) -> tuple[Series, Machine] | None:
    """Return the series that the outcome rests on, and where it was taken."""
    here, server = facts.get(LatencyFacts), facts.get(ServerLatencyFacts)
    mode = here.mode if here else "auto"
    if mode != "scaled" and isinstance(evidence_grades.measured(server, rule.book), Summary):
        assert server is not None and server.submission is not None and server.machine is not None  # noqa: S101, PT018
        return server.submission, server.machine
    if here is None or here.submission is None or here.machine is None:
        return None
    return here.submission, here.machine


def samples_of(facts: Facts, rule: Rule) -> tuple[float, ...]:
    """Return the times in milliseconds that the outcome rests on; none when nothing was timed."""
    found = _judged(facts, rule)
    return found[0].samples if found else ()


def extra_info(facts: Facts, rule: Rule) -> dict[str, Any]:
    """Return what stands beside the times in pytest-benchmark's JSON."""
    found = _judged(facts, rule)
    if found is None:
        return {}
    series, machine = found
    info: dict[str, Any] = {"judged_ms": summarise(series.samples).judged, "machine": msgspec.to_builtins(machine)}
    here = facts.get(LatencyFacts)
    server = facts.get(ServerLatencyFacts)
    if server is not None and series is server.submission:
        info["grade"] = "measured"
        return info
    info["grade"] = "local"
    estimate = evidence_grades.scaled(here, _launches(facts), rule.book)
    if not isinstance(estimate, str):
        info |= {"grade": "scaled", "estimate_ms": estimate.ms, "interval_ms": [estimate.low, estimate.high]}
    return info


def _launches(facts: Facts) -> Any:
    from pytest_facechallenge.core.facts.latency import LaunchFacts

    return facts.get(LaunchFacts)


def machine_info_of(session: ChallengeSession) -> dict[str, Any]:
    """Return what a time depends on beside the processor, which pytest-benchmark describes itself.

    Asked before the tests (to compare with a saved run) and after them (to save); the provider that really ran is only
    known then, before that it is the one that will be tried. What changes by itself (the clock of the moment, the
    libraries that a session loaded) would make every saved run another machine's: it is in each test's `extra_info`.
    """
    from pytest_facechallenge.engine.environment import versions

    gpu = nvidia()
    recorded = [session.store.recorded(source).get(LatencyFacts) for source in session.submissions]
    ran = sorted({facts.machine.provider for facts in recorded if facts is not None and facts.machine is not None})
    names = ("onnxruntime-gpu", "onnxruntime", "onnx", "numpy", "pytest-facechallenge")
    return {
        "provider": ", ".join(ran) or expected_provider(session.settings.text("device")),
        "gpu": gpu["gpu"],
        "driver": gpu["driver"],
        "clock_max_mhz": gpu["clock_max"],
        "runtime_built_for_cuda": built_for_cuda(),
        "threads": session.settings.number("threads"),
        "versions": {name: version for name, version in versions().items() if name in names},
    }


def built_for_cuda() -> str:
    """Return the CUDA version that the installed onnxruntime was built for; "" for a build without, or if unsaid."""
    try:
        info = import_module("onnxruntime.capi.build_and_package_info")
    except ImportError:
        return ""
    return str(getattr(info, "cuda_version", "") or "")


def expected_provider(device: str) -> str:
    """Return the execution provider that a session for this device will try first."""
    from pytest_facechallenge.inference.session import DeviceError, wanted_providers

    try:
        return wanted_providers(device)[0]
    except DeviceError as error:
        return str(error)
