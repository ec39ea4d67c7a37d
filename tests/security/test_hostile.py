"""Every attack of the table, each judged by itself, and the honest models beside them."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from types import FrameType

import pytest

from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule as judge
from tests.security import archives, contents, hostile, places
from tests.support.gathering import gather, rule


def judged(path: Path, folder: Path, *rule_ids: str, follow: bool = True) -> dict[str, Status]:
    (folder / "work").mkdir()
    checks = load_checks()
    steps = {"package"} | {step for rule_id in rule_ids for step in checks[rule(rule_id).check].steps}
    facts = gather(path, folder / "work", steps, follow=follow)
    assert facts.get(PackageFacts) is not None, facts.failures
    return {rule_id: judge(facts, rule(rule_id)).status for rule_id in rule_ids}


@pytest.mark.parametrize("attack", hostile.usable_here(), ids=lambda attack: attack.name)
def test_attacks(attack: hostile.Hostile, tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    path = attack.build(tmp_path / "built")
    rules = [attack.fails] if attack.fails else ["package"]
    found = judged(path, tmp_path, *rules, follow=not attack.found)
    assert (found[rules[0]] is Status.FAILED) == bool(attack.fails)


def test_honest_models(tmp_path: Path) -> None:
    for path in hostile.honest(tmp_path):
        (tmp_path / path.stem).mkdir()
        found = judged(path, tmp_path / path.stem, "package", "no-float16")
        assert set(found.values()) == {Status.PASSED}


@pytest.mark.skipif(os.name != "posix", reason="rows that other systems cannot build")
def test_every_hostile_input_of_the_tests_is_in_the_table(tmp_path: Path) -> None:
    """A new builder of one must be given a row: so it comes into the folder that holds all of them."""
    modules = (archives, contents, places)
    harmless = {"zip_bytes", "streamed", "zip64", "field", "feature_file"}
    builders = {
        f"{module.__name__}.{name}": {value.__code__, *value.__code__.co_consts}  # itself, or what it returns
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
        if name not in harmless
    }
    called: set[object] = set()

    def note(frame: FrameType, event: str, _value: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for attack in hostile.usable_here():
            (tmp_path / attack.name).mkdir()
            attack.build(tmp_path / attack.name)
    finally:
        sys.setprofile(before)
    missing = {name for name, codes in builders.items() if not codes & called}
    assert missing <= (set() if os.name == "posix" and os.geteuid() else {"tests.security.places.unreadable"})
