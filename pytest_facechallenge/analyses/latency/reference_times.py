"""Which times of the reference networks stand beside the submission's: kept ones that still hold, or new ones.

Kept times hold for `calibration.HOLDS_DAYS` on the same machine while it is as busy as it was. One of the references
is timed again beside the submission: its ratio of now to then is the machine's, and scales all of them. References that
a larger submission needs beyond the kept ones are timed in the same run, and join them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from pytest_facechallenge.analyses.latency import calibration as store
from pytest_facechallenge.analyses.latency.bench import Bench
from pytest_facechallenge.analyses.latency.coverage import missing
from pytest_facechallenge.analyses.latency.measure import Runner
from pytest_facechallenge.core.facts.latency import CalibrationUse, Machine, ReferencePoint
from pytest_facechallenge.latency_estimate.references import NAMES
from pytest_facechallenge.latency_estimate.statistics import judged, spread

#: Reference times that are less certain than this (relative standard error) are used, but not kept for later runs.
SPREAD_LIMIT = 0.10


class Kept(NamedTuple):
    """A calibration and its file."""

    path: Path
    calibration: store.Calibration


def reference_times(bench: Bench, submission: Runner, machine: Machine, rough_busy: float) -> CalibrationUse | None:
    """Time the submission beside references; return the references' times, None where there are none.

    Parameters
    ----------
    submission
        Warmed up.
    machine
        This one.
    rough_busy
        Share of the processors that other programs used while the submission was warmed up.
    """
    kept = _kept(bench, machine)
    found = _stored(bench, submission, kept, rough_busy) if kept else None
    return found or _fresh(bench, submission, machine)


def _kept(bench: Bench, machine: Machine) -> list[Kept]:
    """Return the calibrations that may hold; what is wrong with another one is remarked."""
    plan = bench.plan
    paths = [Path(plan.calibration)] if plan.calibration else store.paths_of(Path(plan.folder), machine)
    found = []
    for path in paths:
        if not path.exists():
            continue
        try:
            found.append(Kept(path, store.usable(path, machine)))
        except store.CalibrationError as error:
            bench.remarks.append(f"Not used: {error}; the references were timed again{_left_alone(bench)}.")
    return found


def _stored(bench: Bench, submission: Runner, kept: list[Kept], rough_busy: float) -> CalibrationUse | None:
    """Measure beside one reference of a kept calibration, and beside those it lacks; None when none holds."""
    first = min(kept, key=lambda each: abs(each.calibration.busy - rough_busy))
    checked = bench.reference(first.calibration.nearest(submission.rough).name)
    if checked is None:
        return None
    more = _beyond(bench, submission, first.calibration)
    bench.take(submission, [checked, *more])
    # Now it is known how busy the machine is; another one may have been kept of such a time.
    path, calibration = min(kept, key=lambda each: abs(each.calibration.busy - bench.busy))
    then = next((point for point in calibration.points if point.name == checked.name), None)
    names = {point.name for point in first.calibration.points}
    if then is None or not names <= {point.name for point in calibration.points}:
        path, calibration = first
        then = next(point for point in calibration.points if point.name == checked.name)
    now = _point(checked)
    drift = now.ms / then.ms - 1
    if wrong := _no_longer_holds(calibration, bench.busy, then, now):
        bench.remarks.append(
            f"The stored calibration {path} no longer holds: {wrong}; the references were timed again"
            f"{_left_alone(bench)}."
        )
        return None
    new = tuple(map(_point, more))
    if new and not bench.plan.calibration:
        normal = (msgspec.structs.replace(point, ms=point.ms / (1 + drift)) for point in new)
        _write(bench, path, calibration.with_points(tuple(normal)))
    points = [
        msgspec.structs.replace(point, ms=point.ms * (1 + drift), spread=float(np.hypot(point.spread, now.spread)))
        for point in calibration.points
        if point.name not in {each.name for each in new}
    ]
    return CalibrationUse(
        source=str(path),
        points=tuple(sorted((*points, *new), key=lambda point: point.ms)),
        made=calibration.made,
        checked=checked.name,
        drift=drift,
    )


def _beyond(bench: Bench, submission: Runner, calibration: store.Calibration) -> list[Runner]:
    """Return the references, warmed up, that this submission needs beyond those of a calibration."""
    known = {point.name for point in calibration.points}
    lacking = missing([point.ms for point in calibration.points], submission.rough, bench.plan.mode)
    more: list[Runner] = []
    for name in NAMES:
        if name in known:
            continue
        runner = bench.reference(name) if lacking([each.rough for each in more]) else None
        if runner is None:
            break
        more.append(runner)
    return more


def _no_longer_holds(calibration: store.Calibration, busy: float, then: ReferencePoint, now: ReferencePoint) -> str:
    """Return in words why a calibration does not hold now; "" when it does."""
    drift = now.ms / then.ms - 1
    if not calibration.as_busy(busy):
        return f"other programs use {busy:.0%} of the processors, {calibration.busy:.0%} on {calibration.made}"
    noise = store.DEVIATIONS * float(np.hypot(then.spread, now.spread))
    if abs(drift) <= max(store.DRIFT_LIMIT, min(store.MOST_DRIFT, noise)):
        return ""
    return f"{then.name} takes {now.ms:.3g} ms, {drift:+.0%} against {then.ms:.3g} ms on {calibration.made}"


def _fresh(bench: Bench, submission: Runner, machine: Machine) -> CalibrationUse | None:
    """Time the references and the submission together, and keep the references' times."""
    references: list[Runner] = []
    lacking = missing([], submission.rough, bench.plan.mode)
    while lacking([runner.rough for runner in references]):
        runner = bench.reference(NAMES[len(references)])
        if runner is None:
            break
        references.append(runner)
    bench.take(submission, references)
    points = tuple(_point(runner) for runner in references)
    made = store.Calibration.of(machine, points, bench.busy)
    _keep(bench, made, machine)
    return CalibrationUse(source="this run", points=made.points, made=made.made) if points else None


def _point(runner: Runner) -> ReferencePoint:
    times = runner.comparable(runner.samples)
    return ReferencePoint(name=runner.name, ms=judged(times), spread=spread(np.asarray(times)), rounds=len(times))


def _keep(bench: Bench, made: store.Calibration, machine: Machine) -> None:
    worst = max(made.points, key=lambda point: point.spread, default=None)
    if worst is None or worst.spread > SPREAD_LIMIT:
        why = f"{worst.name} is only known to +- {worst.spread:.0%}" if worst else "there are none"
        bench.remarks.append(f"The reference times were not stored for later runs: {why}.")
        return
    named = bench.plan.calibration
    if named and Path(named).exists():
        return  # refused above, and the user's: not ours to overwrite
    _write(bench, Path(named) if named else store.path_for(Path(bench.plan.folder), machine, made.busy), made)


def _write(bench: Bench, path: Path, calibration: store.Calibration) -> None:
    try:
        store.write(path, calibration)
    except store.CalibrationError as error:
        bench.remarks.append(f"Not stored: {error}.")


def _left_alone(bench: Bench) -> str:
    """Return the end of a remark: a file that the user named is not overwritten."""
    return ", and the file was left as it is (delete it to have it written anew)" if bench.plan.calibration else ""
