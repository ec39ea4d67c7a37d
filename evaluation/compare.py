"""Compare two folders of recorded judgements: what a change of shape must leave alone.

python -m evaluation.compare OLD NEW [--renames FILE] [--ignore PREFIX …] [--relative R] [--show N]

A judgement is a JSON file with ``facts`` (by step) and ``tracks`` (verdict and outcome of every rule). Files of the
same name are compared leaf by leaf. ``--renames`` names a TOML file: ``[steps]`` and ``[keys]`` map old names to new
ones, ``[words]`` old words in texts to new ones, ``[cases]`` old names of cases to new ones, ``[added]`` what only the
new form records, with why. Numbers of --relative R of each other are the same: more than one thread, and another
order of the same sums, change the last digits. Exit code 1 when anything differs that is not ignored.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation.first_form import of_the_first, of_today

#: The private folder of a run, which is another in every run.
PRIVATE = re.compile(r"/[^\s'\"]*/[0-9a-f]{16}(?:-\w+)?/work|/[^\s'\"]*\.scratch/[0-9a-f]{16}")
MISSING = "(nothing)"


class Renames:
    """Old names and words, and the new ones."""

    def __init__(self, table: dict[str, dict[str, str]]) -> None:
        self.steps = table.get("steps", {})
        self.keys = table.get("keys", {})
        self.added = tuple(table.get("added", {}))
        self._cases = table.get("cases", {})
        self._words = [(re.compile(old), new) for old, new in table.get("words", {}).items()]

    def text(self, text: str) -> str:
        """Return a text with the new words, and without private folders."""
        text = PRIVATE.sub("(private)", text)
        for old, new in self._words:
            text = old.sub(new, text)
        return text

    def case(self, name: str) -> str:
        """Return the new name of a case."""
        return self._cases.get(name, name)

    def plain(self, value: Any) -> Any:
        """Return plain data with new names of keys and new words in texts."""
        if isinstance(value, dict):
            return {self.keys.get(key, self.text(key)): self.plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.plain(each) for each in value]
        return self.text(value) if isinstance(value, str) else value

    def judgement(self, judgement: dict[str, Any]) -> dict[str, Any]:
        """Return a judgement in the new names. A new one too: models have values of the old names."""
        facts = {self.steps.get(step, step): found for step, found in judgement["facts"].items()}
        failures = facts.get("failures") or {}
        facts["failures"] = {
            self.steps.get(step, step): found | {"step": self.steps.get(step, step)} for step, found in failures.items()
        }
        plain: dict[str, Any] = self.plain({"facts": facts, "tracks": judgement["tracks"]})
        return plain


def in_one_form(judgement: dict[str, Any]) -> dict[str, Any]:
    """Return a judgement with what the detector recorded in the one form that both versions have."""
    facts = judgement["facts"]
    for step, seen in facts.items():
        if isinstance(seen, dict) and "company" in seen:
            facts[step] = of_the_first(seen)
        elif isinstance(seen, dict) and "observations" in seen:
            facts[step] = of_today(seen)
    return judgement


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of everything that is no container; empty containers too."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, (*path, str(key)))
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from leaves(each, (*path, str(number)))
    else:
        yield ".".join(path), value


def alike(old: Any, new: Any, relative: float = 0.0) -> bool:
    """Whether two leaves are the same; not-a-number is itself, and an empty container is a missing one."""
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=relative, abs_tol=0.0) or (math.isnan(old) and math.isnan(new))
    if isinstance(old, str) and isinstance(new, str):
        # Reports write line breaks of the runtime's texts as what they stand for.
        return old == new or old.replace("\n", "\\n") == new
    empty: tuple[Any, ...] = (MISSING, None, [], {}, "", 0, False)
    return (type(old) is type(new) and old == new) or (old in empty and new in empty)


def differences(
    old: dict[str, Any], new: dict[str, Any], ignored: tuple[str, ...], relative: float = 0.0
) -> list[tuple[str, Any, Any]]:
    """Return path, old and new value of every leaf that differs."""
    before, after = dict(leaves(old)), dict(leaves(new))
    return [
        (path, before.get(path, MISSING), after.get(path, MISSING))
        for path in {**before, **after}
        if not path.startswith(ignored) and not alike(before.get(path, MISSING), after.get(path, MISSING), relative)
    ]


def statuses(judgement: dict[str, Any]) -> dict[str, str]:
    """Return the verdict of every track and the status of every rule."""
    found = {}
    for track, report in judgement["tracks"].items():
        found[track] = report["verdict"]
        found |= {f"{track} {rule}": outcome["status"] for rule, outcome in report["outcomes"].items()}
    return found


def main() -> int:
    """Compare, print what differs, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--renames", type=Path)
    parser.add_argument("--ignore", nargs="*", default=[], help="beginnings of paths that may differ")
    parser.add_argument("--relative", type=float, default=0.0, help="by which numbers may differ")
    parser.add_argument("--show", type=int, default=3, help="differences shown for each file")
    asked = parser.parse_args()
    table = tomllib.loads(asked.renames.read_text(encoding="utf-8")) if asked.renames else {}
    renames = Renames(table)
    names = sorted(path.name for path in asked.old.glob("*.json"))
    counts: Counter[str] = Counter()
    differing, changed, missing = 0, [], [name for name in names if not (asked.new / name).exists()]
    for name in names:
        if name in missing:
            continue
        before, after = (json.loads((folder / name).read_text(encoding="utf-8")) for folder in (asked.old, asked.new))
        old, new = renames.judgement(in_one_form(before)), renames.judgement(in_one_form(after))
        if statuses(old) != statuses(new):
            changed.append(name)
        found = differences(old, new, (*asked.ignore, *renames.added), asked.relative)
        if not found:
            continue
        differing += 1
        print(f"{name}: {len(found)} differ")
        for path, one, other in found[: asked.show]:
            print(f"    {path}: {str(one)[:160]!r} -> {str(other)[:160]!r}")
        counts.update(re.sub(r"\.\d+(?=\.|$)", ".*", path) for path, _one, _other in found)
    print(f"\n{len(names) - len(missing)} compared, {differing} differ, {len(missing)} missing in {asked.new}")
    print(f"verdicts or statuses of {len(changed)} differ: {', '.join(changed[:20]) or 'none'}")
    for path, count in counts.most_common(40):
        print(f"{count:6} {path}")
    return int(bool(differing or missing))


if __name__ == "__main__":
    sys.exit(main())
