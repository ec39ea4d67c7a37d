"""The keys under which a pytest session keeps its run; apart, so that a run which judges nothing imports no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_facechallenge.plugin.run import ChallengeRun

#: The run of a pytest session that judges something.
RUN: pytest.StashKey[ChallengeRun] = pytest.StashKey()
#: Whether the option --track is ours; another plugin may have one of that name.
OWNS_TRACK: pytest.StashKey[bool] = pytest.StashKey()
#: Options of the settings that stop early or leave rules out, and were left aside.
LEFT_ASIDE: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()
