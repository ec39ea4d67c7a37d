"""The declaration of a submission: what only people can state. Read from TOML; every statement may be left out.

Participants fill in a commented template (`declaration_template`); a test holds it against the structs here.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pytest_facechallenge.core.validation import convert, shown

SCHEMA: Literal["facechallenge-declaration/2"] = "facechallenge-declaration/2"
#: The schema before: it had no purpose, and every declaration was one of an entry.
FORMER_SCHEMA = "facechallenge-declaration/1"

Purpose = Literal["practice", "entry"]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the tables of a declaration: an unknown key is an error, never ignored."""


class Training(_Table, frozen=True, kw_only=True):
    """What the network was trained on (MFR21, rules 1 and 4).

    Attributes
    ----------
    dataset
        The training set, "MS1M-V3" or "Glint360K".
    external_data
        Whether any other data were used.
    pretrained_models
        Whether training began from a model that somebody had trained.
    """

    dataset: str | None = None
    external_data: bool | None = None
    pretrained_models: bool | None = None


class MaskAugmentation(_Table, frozen=True, kw_only=True):
    """Whether masks were drawn on training images, by which tool, and how others get the same (MFR21, rule 3)."""

    used: bool | None = None
    tool: str | None = None
    reproduce: str | None = None


class Solution(_Table, frozen=True, kw_only=True):
    """Where the organisers find the method and the code (MFR21, rule 13)."""

    description: str | None = None
    code: str | None = None


class Organization(_Table, frozen=True, kw_only=True):
    """The real name of the organization (MFR21, submission guide 3). Only entries need it."""

    name: str | None = None


class Entry(_Table, frozen=True, kw_only=True):
    """When the model is handed in, and the how-manieth entry of that day it is. Only entries need it."""

    time: datetime.datetime | None = None
    number_that_day: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Declaration(_Table, frozen=True, kw_only=True):
    """A whole declaration.

    Attributes
    ----------
    purpose
        "practice": the model is tried out and handed in nowhere, so rules about entries (submission window, entries a
        day, organization) do not apply. "entry": it is handed in at the time that ``submission`` states.
    """

    schema: Literal["facechallenge-declaration/2"]
    purpose: Purpose
    training: Training = Training()
    mask_augmentation: MaskAugmentation = MaskAugmentation()
    solution: Solution = Solution()
    organization: Organization = Organization()
    submission: Entry = Entry()

    def statements(self) -> dict[str, str]:
        """Return "section.key" -> text of everything that is stated, and "purpose"."""
        found: dict[str, str] = {"purpose": self.purpose}
        for section in self.__struct_fields__:
            table = getattr(self, section)
            if isinstance(table, msgspec.Struct):
                stated = {key: getattr(table, key) for key in table.__struct_fields__}
                found |= {f"{section}.{key}": _text(value) for key, value in stated.items() if value is not None}
        return found


def read_declaration(raw: dict[str, Any]) -> Declaration:
    """Return the declaration that a TOML file holds; one of the former schema is an entry.

    Raises
    ------
    ValueError
        A key is unknown or missing, a value is of the wrong kind, or the schema is another one; the sentence names the
        key, what is expected, what was found, and the known keys.
    """
    found = raw.get("schema")
    if found is None:
        raise ValueError(f'its first line must be schema = "{SCHEMA}"; there is no schema')
    if found == FORMER_SCHEMA:
        if "purpose" in raw:
            raise ValueError(f'the key purpose belongs to schema = "{SCHEMA}", found {shown(found)}')
        raw = {**raw, "schema": SCHEMA, "purpose": "entry"}
    elif found != SCHEMA:
        raise ValueError(f'schema = "{SCHEMA}" is expected, found {shown(found)}')
    return convert(raw, Declaration)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


def declaration_template() -> str:
    """Return a commented declaration (TOML) for participants to fill in."""
    return (Path(__file__).parents[1] / "templates" / "declaration.toml").read_text(encoding="utf-8")


def write_declaration(path: str | Path, text: str = "") -> Path:
    """Write the template of `declaration_template`, or ``text``, to a new file, and return its path.

    Raises
    ------
    ValueError
        Something has that name already (it is never overwritten: people have stated things there), or the file cannot
        be written.
    """
    where = Path(path)
    try:
        with where.open("x", encoding="utf-8") as file:
            file.write(text or declaration_template())
    except FileExistsError:
        raise ValueError(f"{where} is there already and is not overwritten; name another file") from None
    except OSError as error:
        raise ValueError(f"{where} cannot be written: {error.strerror or error}") from error
    return where
