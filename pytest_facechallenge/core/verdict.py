"""From the outcomes of a track's rules to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from pytest_facechallenge.core.outcome import Outcome, Status, VerdictWord

#: What would decide a rule that has no outcome.
LEFT_OUT = "Run it: without -k, -m, --deselect, -x or a conftest.py that drops tests."
AFTER_A_CRASH = "Mend what the error names (pytest shows the whole of it above) and run it again."


class OpenRule(msgspec.Struct, frozen=True):
    """A rule that keeps a verdict from being COMPLIANT: why, and what would decide it.

    Attributes
    ----------
    because_of
        The rule that explains it; "" when nothing else does.
    """

    rule: str
    why: str
    remedy: str
    because_of: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says about a submission on a track; ``broken`` holds ids of rules."""

    word: VerdictWord
    broken: tuple[str, ...] = ()
    open: tuple[OpenRule, ...] = ()


def verdict(expected: Sequence[str], outcomes: Mapping[str, Outcome], missing: Mapping[str, str]) -> Verdict:
    """Compute the verdict from the rulebook's list.

    Parameters
    ----------
    expected
        The id of every rule (with its case) of the track: a rule that vanished from the run is still in this list.
    outcomes
        Outcome by id.
    missing
        For ids without an outcome, what happened ("deselected", "crashed: …") where that is known.
    """
    broken = tuple(rule for rule in expected if rule in outcomes and outcomes[rule].status is Status.FAILED)
    still_open = []
    for rule in expected:
        outcome = outcomes.get(rule)
        if outcome is None:
            why = missing.get(rule, "did not run")
            still_open.append(OpenRule(rule, why, AFTER_A_CRASH if why.startswith("crashed") else LEFT_OUT))
        elif outcome.status is Status.UNDECIDED:
            still_open.append(OpenRule(rule, outcome.message, outcome.remedy, outcome.because_of))
    if broken:
        return Verdict(word=VerdictWord.NON_COMPLIANT, broken=broken, open=tuple(still_open))
    if still_open or not expected:
        return Verdict(word=VerdictWord.INCOMPLETE, open=tuple(still_open))
    return Verdict(word=VerdictWord.COMPLIANT)
