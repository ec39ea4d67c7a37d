"""How a worker ended before its steps were done, and whether that says something about the submission."""

from __future__ import annotations

import dataclasses
import signal

from pytest_facechallenge.core.facts.base import FailureKind, StepFailure

#: Signals by which the system ends a process for what its own code did. Which of them is left to chance: a damaged heap
#: is found by one or another.
FAULTS = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS"})
#: The exit code of a worker that could not go on for a reason of the machine's.
MACHINE_EXIT = 75


@dataclasses.dataclass(frozen=True)
class Death:
    """The end of a worker.

    Attributes
    ----------
    step
        The one it was in.
    how
        "SIGSEGV", "exit code 1"…; "" when the run ended it itself.
    kind
        What it is when nothing more is known.
    message
        The sentence about it.
    """

    step: str
    how: str
    kind: FailureKind
    message: str

    @property
    def own(self) -> bool:
        """Whether it was the code's own doing, as far as the way shows: not a limit, and not a signal from outside."""
        return self.how in FAULTS or self.how.startswith("exit code")

    @property
    def unclear(self) -> bool:
        """Whether trying again can show whose doing it was."""
        return bool(self.how)

    def failure(self) -> StepFailure:
        """Return it as the step's failure."""
        return StepFailure(step=self.step, kind=self.kind, message=self.message)


def of_signal(step: str, number: int, doing: str, said: str) -> Death:
    """Return the death by a signal that the run did not send."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGXCPU":
        return Death(step, "", FailureKind.TIMEOUT, f"the limit of processor time was reached{doing}")
    kind = FailureKind.CRASHED if name in FAULTS else FailureKind.KILLED
    return Death(step, name, kind, f"the runtime was killed by {name}{doing}{said}")


def of_exit(step: str, code: int, doing: str, said: str) -> Death:
    """Return the end with an exit code while steps were left."""
    if code == MACHINE_EXIT:
        return Death(step, "", FailureKind.MACHINE, f"the worker could not go on{doing}{said}")
    return Death(
        step, f"exit code {code}", FailureKind.CRASHED, f"the process ended with exit code {code}{doing}{said}"
    )


def weigh(first: Death, second: Death) -> StepFailure:
    """Return the failure of a step that died, and died again when it was tried alone.

    The submission is blamed for a fault of the code that comes again. A signal from outside (SIGKILL of the system's
    out-of-memory killer, SIGTERM) shows a limit of the machine, also when it comes twice.
    """
    if not second.unclear:
        return second.failure()
    if first.own and second.own and (first.how == second.how or {first.how, second.how} <= FAULTS):
        message = f"{second.message}; this happened twice, the second time with nothing else in the process"
        return StepFailure(step=second.step, kind=FailureKind.CRASHED, message=message)
    twice = f"twice ({first.how}, then {second.how})" if first.how != second.how else f"by {first.how}, twice"
    advice = "the system may be short of memory: end other programs, or run on another machine, and judge it again"
    message = f"the process was ended {twice}, and not by a limit of this run; {second.message}; {advice}"
    return StepFailure(step=second.step, kind=FailureKind.KILLED, message=message)
