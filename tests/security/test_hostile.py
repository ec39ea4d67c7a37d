"""Every attack of the table, each judged by itself, and the honest models beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule as judge
from tests.security import hostile
from tests.support.gathering import gather, rule


def judged(path: Path, folder: Path, *rule_ids: str) -> dict[str, Status]:
    (folder / "work").mkdir()
    checks = load_checks()
    steps = {"package"} | {step for rule_id in rule_ids for step in checks[rule(rule_id).check].steps}
    facts = gather(path, folder / "work", steps)
    assert facts.get(PackageFacts) is not None, facts.failures
    return {rule_id: judge(facts, rule(rule_id)).status for rule_id in rule_ids}


@pytest.mark.parametrize("attack", hostile.usable_here(), ids=lambda attack: attack.name)
def test_attacks(attack: hostile.Hostile, tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    path = attack.build(tmp_path / "built")
    rules = [attack.fails] if attack.fails else ["package"]
    found = judged(path, tmp_path, *rules)
    assert (found[rules[0]] is Status.FAILED) == bool(attack.fails)


def test_honest_models(tmp_path: Path) -> None:
    for path in hostile.honest(tmp_path):
        (tmp_path / path.stem).mkdir()
        found = judged(path, tmp_path / path.stem, "package", "no-float16")
        assert set(found.values()) == {Status.PASSED}
