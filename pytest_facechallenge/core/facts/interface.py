"""Facts of the step ``interface``: what the model file declares, read without running it."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts
from pytest_facechallenge.core.producer import Producer


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


class MarkedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that makes rows depend on each other or on chance: its label, its operator, and why.

    Attributes
    ----------
    depends_on_runtime
        Whether runtimes read the same file differently: BatchNormalization of opset 7 to 13 with more than one output
        is training to one and inference to another.
    """

    node: str
    op: str
    why: str
    depends_on_runtime: bool = False


class BakedReshape(msgspec.Struct, frozen=True, kw_only=True):
    """A Reshape on the way of the image whose constant holds a batch.

    Attributes
    ----------
    constant
        Where the constant is stored, in words.
    extents
        Its values.
    input
        Shape of what is reshaped, -1 where the file leaves it open; None when it is not known.
    source
        The line of code that made the node, where the exporter wrote it down.
    """

    node: str
    constant: str
    extents: tuple[int, ...]
    input: tuple[int, ...] | None = None
    source: str = ""


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
    exporter
        Who wrote the file, as far as it shows.
    mixing, random
        Nodes that compute with statistics of the whole batch, and nodes that draw random numbers.
    baked
        Reshape nodes whose constant holds a batch.
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
    exporter: Producer = Producer.UNKNOWN
    mixing: tuple[MarkedNode, ...] = ()
    random: tuple[MarkedNode, ...] = ()
    baked: tuple[BakedReshape, ...] = ()

    def fixed_batch(self) -> int:
        """Return the fixed batch of the one input; 0 when it is symbolic or there is not one input."""
        if len(self.inputs) != 1 or not self.inputs[0].shape:
            return 0
        first = self.inputs[0].shape[0]
        return first if isinstance(first, int) else 0


class CheckerFacts(StepFacts, frozen=True, kw_only=True):
    """Facts of the step ``checker``: what the ONNX checker says; ``complaint`` is empty when it accepts the model."""

    step: ClassVar[str] = "checker"

    complaint: str
