"""How a run ends when it is told to; standard library and pytest only, as pytest loads this in every run."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    import pytest


def end_orderly_on_sigterm(config: pytest.Config) -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that a cancelled CI job still has its report and leaves no files.

    Only where nobody else handles it.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    def let_go() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, interrupt)
    config.add_cleanup(let_go)
