"""Facts of the step ``interface``: what the model file declares, read without running it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class ValueDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """A declared input or output.

    Attributes
    ----------
    dtype
        ONNX element type in lower case ("float", "uint8"); "sequence", "map"… when it is no tensor.
    shape
        An int, a symbol's name, or "?" per axis; None when no shape is declared.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


class ExternalData(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to weights outside the model file.

    Attributes
    ----------
    tensor
        Where it is used.
    location
        As stored; never trusted.
    bytes
        Bytes that it refers to.
    problem
        "" or what is wrong: missing, absolute, outside the folder, a link, too short.
    """

    tensor: str
    location: str
    bytes: int
    problem: str = ""


class InterfaceFacts(StepFacts, frozen=True, kw_only=True):
    """What the model file declares.

    Attributes
    ----------
    opsets
        Opset version by domain ("ai.onnx" for the default one).
    nodes
        Number of nodes as the organisers' checker counts: of the main graph, as stored.
    all_nodes
        Number of nodes with local functions inlined and subgraphs counted, without Constant nodes.
    operators
        How often each operator occurs, "Conv" or "com.microsoft.FusedConv".
    external
        References to weights in side files.
    external_bytes
        Bytes of all side files referred to, each file once.
    """

    step: ClassVar[str] = "interface"

    ir_version: int
    opsets: dict[str, int]
    producer: str
    inputs: tuple[ValueDeclaration, ...]
    outputs: tuple[ValueDeclaration, ...]
    nodes: int
    all_nodes: int
    operators: dict[str, int]
    functions: int
    external: tuple[ExternalData, ...] = ()
    external_bytes: int = 0


class CheckerFacts(StepFacts, frozen=True, kw_only=True):
    """Facts of the step ``checker``: what the ONNX checker says; ``complaint`` is empty when it accepts the model."""

    step: ClassVar[str] = "checker"

    complaint: str
