"""The declaration of a submission: what only people can state. Read from TOML; every statement may be left out."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec

SCHEMA: Literal["facechallenge-declaration/1"] = "facechallenge-declaration/1"


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
    """The real name of the organization (MFR21, submission guide 3)."""

    name: str | None = None


class Entry(_Table, frozen=True, kw_only=True):
    """When the model is handed in, and the how-manieth entry of that day it is (submission guide 2, timelines)."""

    time: datetime.datetime | None = None
    number_that_day: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Declaration(_Table, frozen=True, kw_only=True):
    """A whole declaration."""

    schema: Literal["facechallenge-declaration/1"]
    training: Training = Training()
    mask_augmentation: MaskAugmentation = MaskAugmentation()
    solution: Solution = Solution()
    organization: Organization = Organization()
    submission: Entry = Entry()
