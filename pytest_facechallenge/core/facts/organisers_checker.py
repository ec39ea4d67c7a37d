"""Facts of the step ``helper``: what the organisers' own checker looks at."""

from __future__ import annotations

from typing import ClassVar

from pytest_facechallenge.core.facts.base import StepFacts


class OrganisersCheckerFacts(StepFacts, frozen=True, kw_only=True):
    """What the organisers' checker looks at, in its order. What it does not reach is None or empty.

    Attributes
    ----------
    onnx_files
        Names of the .onnx files beside each other, sorted; it takes the last one.
    judged_file
        The one that this run judges.
    load_error
        Why the local runtime does not load the model; empty when it does.
    input_shape
        The first input's extents as declared; text for a symbolic one ("" when it has no name).
    repaired
        Whether the batch axis was fixed, so that the checker makes it symbolic and loads the model again.
    repair_error
        Why that second model does not load; empty when it does or none was needed.
    outputs, nodes
        Number of outputs, and of nodes in the main graph, Constant nodes included.
    bytes
        Of the .onnx file alone; weights in side files are not looked at.
    server_mean, server_std
        The normalisation that it chooses.
    narrow_initializer, narrow_dtype
        The first initializer of the main graph whose elements have fewer than four bytes, and its type.
    single_error, batch_error
        Why one image, or a batch of ``batch``, does not run; empty when it does.
    batch
        Images in that batch.
    batch_shape
        Shape of the first output for the batch.
    batch_sum_finite
        Whether the sum over that output is a number. It is all that the checker looks at.
    """

    step: ClassVar[str] = "organisers_checker"

    onnx_files: tuple[str, ...]
    judged_file: str
    bytes: int
    load_error: str = ""
    input_shape: tuple[int | str, ...] = ()
    repaired: bool = False
    repair_error: str = ""
    outputs: int = 0
    nodes: int = 0
    server_mean: float = 127.5
    server_std: float = 127.5
    narrow_initializer: str = ""
    narrow_dtype: str = ""
    single_error: str | None = None
    batch_error: str | None = None
    batch: int = 0
    batch_shape: tuple[int, ...] = ()
    batch_sum_finite: bool | None = None
