"""A commented declaration to fill in, with what is known of the model and of what its tracks ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_facechallenge.core.declaration import declaration_template
from pytest_facechallenge.core.files import kind_of
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.text import clean_name
from pytest_facechallenge.engine.arguments import find_submissions

NAME = "declaration.toml"
#: Lines of the template that are replaced by what the tracks ask for.
_DATASET = '# The training set, as the track names it: "MS1M-V3" (Sub-Track A) or "Glint360K" (Sub-Track B).\n'
_STATED = '#dataset = "MS1M-V3"\n'
_WHEN = (
    "# When the model is handed in, with the offset from UTC, and 1 for the first entry of that day. "
    "Only for an entry.\n"
)


def template_for(model: Path | None = None, rules: Iterable[Rule] = ()) -> str:
    """Return the template of `declaration_template`, told what is known; every statement is still to be made.

    Parameters
    ----------
    model
        The submission that it is about: its name, SHA-256 and size are noted.
    rules
        The rules of the tracks: the training sets, the submission window and the entries a day are named.

    Raises
    ------
    OSError
        The model cannot be read.
    """
    text = declaration_template()
    rules = list(rules)
    sets = {rule.full_track: _names(rule) for rule in rules if rule.check == "declared_training_set" and _names(rule)}
    if sets:
        asked = "; ".join(f"{track} asks for {' or '.join(names)}" for track, names in sets.items())
        text = text.replace(_DATASET, f"# The training set, as the track names it: {asked}.\n")
        text = text.replace(_STATED, f'#dataset = "{next(iter(sets.values()))[0]}"\n')
    said = [*_windows(rules), *_limits(rules)]
    text = text.replace(_WHEN, _WHEN + "".join(f"# {line}\n" for line in said))
    return (f"# For {_described(model)}.\n" if model is not None else "") + text


def _names(rule: Rule) -> list[str]:
    return [str(name).replace('"', "") for name in rule.parameters.get("datasets") or []]


def _windows(rules: Sequence[Rule]) -> list[str]:
    found: dict[str, None] = {}
    for rule in rules:
        if rule.check == "declared_submission_window":
            ends = [str(rule.parameters.get(side, "any time")) for side in ("opens", "closes")]
            found[f"{rule.book.id} takes entries from {ends[0]} to {ends[1]}."] = None
    return list(found)


def _limits(rules: Sequence[Rule]) -> list[str]:
    asked = [rule for rule in rules if rule.check == "declared_submissions_per_day"]
    return list(dict.fromkeys(f"{rule.book.id} takes {rule.limit} entries a day." for rule in asked))


def _described(model: Path) -> str:
    if model.is_dir():
        return f"the model in the folder {clean_name(model.name)}"
    if not model.is_file():
        raise OSError(f"{model}: a regular file is expected, found {kind_of(model.lstat().st_mode)}")
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{clean_name(model.name)}, {model.stat().st_size} bytes, SHA-256 {digest}"


def place_for(model: Path) -> Path:
    """Return where the declaration of a submission is looked for: in its folder, or beside it.

    Beside a model that is not the only one of its folder it has the model's name.
    """
    if model.is_dir():
        return model / NAME
    others = [each for each in model.parent.iterdir() if each.suffix.lower() in (".onnx", ".zip") and each != model]
    return model.with_name(f"{model.stem}.{NAME}") if others else model.with_name(NAME)


def one_submission(named: str, base: Path) -> Path:
    """Return the absolute path of the submission that a declaration is to be about.

    Raises
    ------
    ValueError
        There is none of that name, or it is a folder of several.
    """
    found, _ = find_submissions((named,), base)
    if len(found) != 1:
        raise ValueError(f"a declaration is about one submission, {clean_name(named)} names {len(found)}")
    return found[0]
