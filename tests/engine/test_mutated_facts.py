"""Facts that no observation gives: a check that raises on them leaves its rule undecided, with the reason."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.engine.judge import judge_rule

#: Values that a field of each kind may be changed to.
_NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, 0.0, -1.0, 1e308, 1e-308)
_TEXTS = ("", "x", "\u2026", "-1", "float16", "[]", "1.6.0.0", "N")


def mutated(rng: random.Random, plain: Any) -> Any:
    """Return plain data with about one value in eight changed: another number or text, a list cut or doubled."""
    if isinstance(plain, dict):
        return {key: mutated(rng, value) for key, value in plain.items()}
    if isinstance(plain, list):
        found = [mutated(rng, value) for value in plain]
        return found if rng.random() > 0.125 else rng.choice(([], found[:1], found + found, found[::-1]))
    if rng.random() > 0.125:
        return plain
    if isinstance(plain, bool):
        return not plain
    if isinstance(plain, (int, float)):
        return rng.choice(_NUMBERS)
    return rng.choice(_TEXTS) if isinstance(plain, str) else plain


def test_every_check_on_mutated_facts(report: bytes) -> None:
    load_checks()
    recorded = json.loads(report)["submissions"][0]["facts"]
    rules = [rule for book in load_rulebooks().values() for track in book.tracks for rule in book.rules_of(track)]
    judged = raised = 0
    for seed in range(60):
        rng = random.Random(seed)
        facts = Facts()
        for step, plain in recorded.items():
            for _ in range(20):
                try:
                    facts.gathered[step] = msgspec.convert(mutated(rng, plain), STEPS[step].facts_type())
                    break
                except msgspec.ValidationError:
                    continue
        for rule in rules:
            outcome = judge_rule(facts, rule)
            judged += 1
            if "failed on these facts" in outcome.message:
                raised += 1
                assert outcome.status in (Status.UNDECIDED, Status.NOT_APPLICABLE)
                assert outcome.remedy
    assert judged > 3_000
    assert raised < judged / 20, "mutated facts reach nothing behind what raises"


def test_a_check_that_raises_says_where(report: bytes, monkeypatch: Any) -> None:
    checks = load_checks()
    rule = next(rule for rule in load_rulebooks()["mfr21"].rules_of("A") if rule.id == "input")

    def broken(_facts: Facts, _rule: Rule) -> Outcome:
        raise ValueError("a\x1b[2Jb\nCOMPLIANT")

    for function, said in ((broken, "ValueError: a\\x1b[2Jb\\nCOMPLIANT"), (lambda *_: None, "TypeError: an Outcome")):
        replaced = msgspec.structs.replace(checks[rule.check], function=function)
        monkeypatch.setitem(checks, rule.check, replaced)
        outcome = judge_rule(Facts(), rule)
        assert outcome.status is Status.UNDECIDED
        assert said in outcome.message
        assert f"{__name__}.{rule.check}" in outcome.message
        assert any(".py, line " in each.where for each in outcome.evidence)
