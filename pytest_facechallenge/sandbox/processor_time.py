"""The limit of a worker's processor time: for steps of usual work at the start, and more where a step says how much."""

from __future__ import annotations

import contextlib
import math
import os

#: No step of usual work needs processor time for longer than so many times the longest silence, on every core.
_SILENCES = 20


def limit_processor_time(idle_seconds: float) -> None:
    """Set the limit that holds until a step asks for more; nothing where the system has none.

    What it is for: a process that says that it goes on, and never ends. One that says nothing is ended sooner.
    """
    _set(math.ceil(idle_seconds * _SILENCES * (os.cpu_count() or 1)))


def allow_processor_time(seconds: float) -> None:
    """Raise the limit by what a piece of work of known size honestly takes.

    The limit is one for the whole process, so it has to grow with the work: comparing the pairs of 1.6 million images
    takes more than an hour on two cores, and embedding that many takes days. It was never what keeps a hostile model
    in: like the other limits of the system it can be raised by code that runs in the process.
    """
    if os.name != "posix":
        return
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft != resource.RLIM_INFINITY:
        _set(soft + math.ceil(seconds))


def _set(seconds: int) -> None:
    if os.name != "posix":
        return
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)
    with contextlib.suppress(ValueError, OSError, OverflowError):
        resource.setrlimit(resource.RLIMIT_CPU, (wanted, hard))
