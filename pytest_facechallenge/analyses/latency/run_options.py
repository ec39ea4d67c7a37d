"""What of a run's settings decides how latency is measured, and which reference networks are worth timing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

import msgspec

from pytest_facechallenge.analyses.latency.calibration import Calibration, default_folder
from pytest_facechallenge.analyses.latency.references import NAMES
from pytest_facechallenge.core.facts.latency import Mode
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.latency_estimate.scaling import LEAST_REFERENCES
from pytest_facechallenge.latency_estimate.statistics import ORGANISERS_ROUNDS
from pytest_facechallenge.plugin.options import Settings, SettingsError

#: A reference network gets at least this many rounds, and as many as the submission where time allows.
LEAST_ROUNDS = 10
#: Seconds that the rounds of all references together may take, beyond the least rounds.
REFERENCE_SECONDS = {"auto": 12.0, "scaled": 40.0}
#: Opening the largest reference takes about this many times its file's size.
MEMORY_FACTOR = 4


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How latency is to be measured.

    Attributes
    ----------
    mode
        See ``--facechallenge-latency``.
    rounds
        Of the submission.
    folder
        Where calibrations are kept.
    calibration
        A calibration file of the user's: read when it exists, else written; "" for the cache.
    profile
        Whether times by node are wanted.
    compare
        Whether any chosen rulebook has published times; without them reference networks would say nothing.
    """

    mode: Mode = "auto"
    rounds: int = ORGANISERS_ROUNDS
    folder: str = ""
    calibration: str = ""
    profile: bool = False
    compare: bool = True

    @property
    def references(self) -> bool:
        """Whether reference networks are to be timed."""
        return self.compare and self.mode in ("auto", "scaled")


def from_settings(settings: Settings, books: Sequence[Rulebook]) -> Plan:
    """Read the plan from the run's settings.

    Raises
    ------
    SettingsError
        A mode that does not exist, or rounds that are no whole series of the organisers'.
    """
    from pytest_facechallenge.latency_estimate.published import published

    mode = settings.text("latency")
    if mode not in get_args(Mode):
        raise SettingsError(f"--facechallenge-latency must be one of {', '.join(get_args(Mode))}; found {mode!r}")
    rounds = settings.number("rounds")
    if rounds < ORGANISERS_ROUNDS or rounds % ORGANISERS_ROUNDS:
        raise SettingsError(
            f"--facechallenge-rounds must be a multiple of {ORGANISERS_ROUNDS} (the organisers judge the 6th smallest "
            f"of {ORGANISERS_ROUNDS} times; of several such series the median is judged), found {rounds}"
        )
    cache, calibration = settings.text("cache"), settings.text("calibration")
    return Plan(
        mode=cast("Mode", mode),
        rounds=rounds,
        folder=str(settings.path(cache) if cache else default_folder()),
        calibration=str(settings.path(calibration)) if calibration else "",
        profile=settings.flag("profile"),
        compare=any(published(book) for book in books),
    )


def encode(plan: Plan) -> dict[str, str]:
    """Return the plan as an entry of `RunOptions.extra`."""
    return {"latency": msgspec.json.encode(plan).decode()}


def decode(extra: dict[str, str]) -> Plan:
    """Read it back; the defaults where there is none."""
    return msgspec.json.decode(extra["latency"], type=Plan) if "latency" in extra else Plan()


def enough(times: Sequence[float], submission: float, mode: Mode) -> bool:
    """Return whether no larger reference is needed.

    Parameters
    ----------
    times
        Local times of the references so far, growing.
    submission
        The submission's, same unit.
    mode
        "scaled" wants all of them. "auto" wants one that is slower than the submission, so that the answer is
        interpolated, and at least four, since three points leave a line almost without an error estimate.
    """
    if len(times) >= len(NAMES):
        return True
    return mode == "auto" and len(times) > LEAST_REFERENCES and times[-1] >= submission


def covers(calibration: Calibration, submission: float, mode: Mode) -> bool:
    """Return whether a stored calibration has the references that this run would time."""
    return enough([point.ms for point in calibration.points], submission, mode)


def calibration_path(plan: Plan, machine_file: Path) -> Path:
    """Return the file that this run reads and writes."""
    return Path(plan.calibration) if plan.calibration else machine_file
