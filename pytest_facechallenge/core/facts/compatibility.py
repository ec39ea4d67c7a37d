"""Facts of the step ``compat``: what a runtime has to know in order to load the model. No runtime is named here."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class OperatorUse(msgspec.Struct, frozen=True, kw_only=True):
    """One operator that the model uses.

    Attributes
    ----------
    domain, op
        The domain is "" for the standard's own.
    since
        The opset in which the definition that applies came into the standard; 0 when the installed onnx knows none.
    history
        Every opset, up to the declared one, in which the operator got a new definition.
    count, first
        How many nodes use it, and the label of the first of them in the file.
    position
        The place of that node in the file, counted through subgraphs and functions.
    """

    domain: str
    op: str
    since: int
    history: tuple[int, ...]
    count: int
    first: str
    position: int


class TypeUse(msgspec.Struct, frozen=True, kw_only=True):
    """An element type that the model uses, and the first place where it does."""

    dtype: str
    where: str


class PReluUse(msgspec.Struct, frozen=True, kw_only=True):
    """A PRelu with a constant slope: shapes of slope and input; -1 is an unknown extent, None an unknown shape."""

    node: str
    slope: tuple[int, ...]
    input: tuple[int, ...] | None


class CompatibilityFacts(StepFacts, frozen=True, kw_only=True):
    """What a runtime has to know.

    Attributes
    ----------
    ir_version
        Of the file.
    opsets
        Version by domain, as imported ("" is the standard's own).
    operators
        In the order of their first use.
    types
        Element types of stored tensors, inputs, outputs and casts.
    functions
        Local functions of the file (they need IR version 8).
    prelus
        Every PRelu with a constant slope.
    """

    step: ClassVar[str] = "compatibility"

    ir_version: int
    opsets: dict[str, int]
    operators: tuple[OperatorUse, ...]
    types: tuple[TypeUse, ...]
    functions: tuple[str, ...] = ()
    prelus: tuple[PReluUse, ...] = ()
