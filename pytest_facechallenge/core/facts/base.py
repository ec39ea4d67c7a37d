"""The container of facts: what was observed about a submission, step by step, with no verdict in it.

A *step* is one observation (parse, interface, batch…), gathered in the sandbox and stored as one struct. A step that
died leaves a `StepFailure` in its place: that, too, is an observation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeVar, cast

import msgspec

#: What a model is judged for: an entry to a challenge, or practice; "" where nobody said it.
Purpose = Literal["", "practice", "entry"]


class FailureKind(StrEnum):
    """Why a step gave no facts."""

    #: The process died by a fault of the code in it, twice: the second time with this step alone.
    CRASHED = "crashed"
    #: It said nothing for longer than the limit.
    TIMEOUT = "timeout"
    #: It used more memory than the limit.
    MEMORY = "memory"
    #: An error was raised.
    ERROR = "error"
    #: A step that it builds on failed.
    BLOCKED = "blocked"
    #: The device that the user asked for cannot be used.
    DEVICE = "device"
    #: The process was ended from outside, or died once in one way and once in another.
    KILLED = "killed"
    #: The machine failed the step: a full disk, no process could be started.
    MACHINE = "machine"

    @property
    def shows_submission(self) -> bool:
        """Whether it shows something about the submission; the others show a limit of the run or of the machine."""
        return self in (FailureKind.CRASHED, FailureKind.ERROR)


class StepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every struct of facts.

    Subclasses set ``step``, the name under which they are gathered, stored and found in the JSON report.
    """

    step: ClassVar[str] = ""

    def handed_in(self) -> tuple[str, int] | None:
        """Return SHA-256 and size in bytes of what was handed in, where these facts tell."""
        return None

    def identity(self) -> str:
        """Return the identity of all that was handed in, side files included, where these facts tell."""
        return ""

    def beside(self) -> tuple[str, ...]:
        """Return the names of the files beside the submission that belong to it, where these facts tell."""
        return ()

    def providers_used(self) -> tuple[str, ...]:
        """Return the execution providers that a session really used, where these facts tell."""
        return ()

    def judged_for(self) -> Purpose:
        """Return what the model is judged for, where these facts tell; "" where they do not."""
        return ""


class StepFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A step that gave no facts.

    Attributes
    ----------
    kind
        See there.
    message
        A sentence in plain words, with the native error text where there is one.
    because_of
        For "blocked", the step that failed first.
    """

    step: str
    kind: FailureKind
    message: str
    because_of: str = ""


class FactsMissingError(LookupError):
    """A check asked for facts that could not be gathered or were not asked for."""

    def __init__(self, step: str, failure: StepFailure | None) -> None:
        self.step = step
        self.failure = failure
        super().__init__(failure.message if failure else f"the step {step!r} was not run")


T = TypeVar("T", bound=StepFacts)


class Facts:
    """All facts about one submission, by step.

    Parameters
    ----------
    gathered
        The struct of every step that succeeded, by step name.
    failures
        The failure of every step that did not.
    """

    def __init__(
        self, gathered: dict[str, StepFacts] | None = None, failures: dict[str, StepFailure] | None = None
    ) -> None:
        self.gathered = dict(gathered or {})
        self.failures = dict(failures or {})

    @classmethod
    def of(cls, *facts: StepFacts | StepFailure) -> Facts:
        """Make facts from loose structs, as tests of checks do."""
        return cls(
            {fact.step: fact for fact in facts if isinstance(fact, StepFacts)},
            {fact.step: fact for fact in facts if isinstance(fact, StepFailure)},
        )

    def get(self, kind: type[T]) -> T | None:
        """Return the facts of that kind, or None."""
        return cast("T | None", self.gathered.get(kind.step))

    def need(self, kind: type[T]) -> T:
        """Return the facts of that kind.

        Raises
        ------
        FactsMissingError
            When the step failed or was not run. The engine turns this into an undecided outcome that says why, so a
            check never passes without its evidence.
        """
        found = self.get(kind)
        if found is None:
            raise FactsMissingError(kind.step, self.failures.get(kind.step))
        return found

    def failure(self, kind: type[StepFacts]) -> StepFailure | None:
        """Return why the step of that kind gave no facts, or None."""
        return self.failures.get(kind.step)

    def cause(self, kind: type[StepFacts]) -> StepFailure | None:
        """Return the failure that a step's failure goes back to: its own, or that of the step which blocks it."""
        failure = self.failures.get(kind.step)
        if failure is None or failure.kind != FailureKind.BLOCKED:
            return failure
        return self.failures.get(failure.because_of, failure)

    def to_builtins(self) -> dict[str, Any]:
        """Return the gathered facts as plain dicts and lists, ready for JSON, by step."""
        return {name: msgspec.to_builtins(fact) for name, fact in sorted(self.gathered.items())}
