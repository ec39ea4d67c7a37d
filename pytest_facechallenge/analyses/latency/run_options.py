"""What of a run's options decides how latency is measured."""

from __future__ import annotations

from typing import ClassVar, cast, get_args

from pytest_facechallenge.analyses.latency.calibration import default_folder
from pytest_facechallenge.analyses.server.options import ServerOptions
from pytest_facechallenge.core.analysis import Scope
from pytest_facechallenge.core.facts.latency import Mode
from pytest_facechallenge.core.options import OptionError, OptionValues
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
from pytest_facechallenge.latency_estimate.published import published
from pytest_facechallenge.latency_estimate.statistics import ORGANISERS_ROUNDS

#: A reference network gets at least this many rounds, and as many as the submission where time allows.
LEAST_ROUNDS = 10
#: Seconds that the rounds of all references together may take, beyond the least rounds.
REFERENCE_SECONDS = {"auto": 5.0, "scaled": 40.0}
#: Opening the largest reference takes about this many times its file's size.
MEMORY_FACTOR = 4


class LatencyOptions(AnalysisOptions, frozen=True, kw_only=True):
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

    analysis: ClassVar[str] = "latency"

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


def idle(options: RunOptions) -> bool:
    """Whether nothing is timed here."""
    plan = options.of(LatencyOptions)
    return plan.mode == "modelled" and not plan.profile


def idle_on_the_server(options: RunOptions) -> bool:
    """Whether nothing is timed in the server's runtime."""
    plan = options.of(LatencyOptions)
    return not options.of(ServerOptions).python or plan.mode not in ("auto", "measured") or not plan.compare


def resolve(values: OptionValues, scope: Scope) -> LatencyOptions:
    """Read the options of a run.

    Raises
    ------
    OptionError
        A mode that does not exist, or rounds that are no whole series of the organisers'.
    """
    mode = values.text("latency")
    if mode not in get_args(Mode):
        raise OptionError(f"--facechallenge-latency must be one of {', '.join(get_args(Mode))}; found {mode!r}")
    rounds = values.number("rounds")
    if rounds < ORGANISERS_ROUNDS or rounds % ORGANISERS_ROUNDS:
        raise OptionError(
            f"--facechallenge-rounds must be a multiple of {ORGANISERS_ROUNDS} (the organisers judge the 6th smallest "
            f"of {ORGANISERS_ROUNDS} times; of several such series the median is judged), found {rounds}"
        )
    cache = values.path_of("cache")
    return LatencyOptions(
        mode=cast("Mode", mode),
        rounds=rounds,
        folder=cache or str(default_folder()),
        calibration=values.path_of("calibration"),
        profile=values.flag("profile"),
        compare=any(published(scope.books[book]) for book, _track in scope.tracks),
    )
