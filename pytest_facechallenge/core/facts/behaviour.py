"""Facts of the steps that run the model: ``load``, ``batch``, ``images``, ``repeat``."""

from __future__ import annotations

import math
from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class LoadFacts(StepFacts, frozen=True, kw_only=True):
    """What happened when the runtime loaded the model.

    Attributes
    ----------
    error
        The runtime's own text, "" when it loaded.
    asked, providers
        The execution provider asked for, and those that the session really uses, first choice first.
    repaired
        Whether the batch axis was fixed and had to be made symbolic, as the evaluation server does.
    repair_error
        Why the repaired model did not load, "" otherwise.
    input_name, input_shape, output_names, output_shapes
        As the session declares them after the repair.
    """

    step: ClassVar[str] = "load"

    error: str
    asked: str
    providers: tuple[str, ...]
    runtime: str
    repaired: bool = False
    fixed_batch: int = 0
    repair_error: str = ""
    input_name: str = ""
    output_names: tuple[str, ...] = ()

    def providers_used(self) -> tuple[str, ...]:
        """Return the execution providers of the session, first choice first."""
        return self.providers


class BatchRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run on a batch of distinct images.

    Attributes
    ----------
    size
        Images in the batch.
    error
        The runtime's text, "" when it ran.
    shapes
        Shape of every output.
    dtypes
        numpy dtype of every output.
    finite
        Whether every value of the first output is finite.
    companions
        In words: which images the batch was made of.
    worst_row, worst_cosine_distance, worst_relative_difference
        The row that differs most from the same image's row in the reference batch; the difference is the largest
        absolute difference over the largest absolute value of the reference row. -1 where nothing can be compared.
    """

    size: int
    error: str
    shapes: tuple[tuple[int, ...], ...] = ()
    dtypes: tuple[str, ...] = ()
    finite: bool = False
    companions: str = ""
    worst_row: int = -1
    worst_cosine_distance: float = -1.0
    worst_relative_difference: float = -1.0

    @property
    def rows(self) -> int:
        """Rows of the first output; -1 where it has no axes or nothing ran."""
        return self.shapes[0][0] if self.shapes and self.shapes[0] else -1

    @property
    def gives_rows(self) -> bool:
        """Whether it ran and gave one row an image."""
        return not self.error and self.rows == self.size

    @property
    def width(self) -> int:
        """Values per image of the first output, however its axes are laid out; 0 where nothing ran."""
        return math.prod(self.shapes[0]) // self.size if self.shapes and self.size else 0


class BatchFacts(StepFacts, frozen=True, kw_only=True):
    """Runs on batches of several sizes; every row is compared with the same image's row in the largest batch.

    Attributes
    ----------
    freed
        The same runs of a model whose baked Reshape nodes (`InterfaceFacts.baked`) were freed; empty where there are
        none, where all batches run as they are, or where the freed model does not load.
    """

    step: ClassVar[str] = "batch"

    runs: tuple[BatchRun, ...]
    mean: float
    std: float
    freed: tuple[BatchRun, ...] = ()


class ImageRun(msgspec.Struct, frozen=True, kw_only=True):
    """The embedding of one image: what it shows, its L2 norm, whether it is finite, and an error text."""

    image: str
    error: str
    finite: bool = False
    norm: float = -1.0


class ImagesFacts(StepFacts, frozen=True, kw_only=True):
    """Embeddings of ordinary and extreme images.

    Attributes
    ----------
    alike
        Every two different images whose embeddings could be compared, and their cosine similarity, most alike first.
    """

    step: ClassVar[str] = "images"

    runs: tuple[ImageRun, ...]
    alike: tuple[tuple[str, str, float], ...] = ()


class RepeatFacts(StepFacts, frozen=True, kw_only=True):
    """The same images embedded again, in the same session and in a new one.

    Attributes
    ----------
    error
        The runtime's text, "" when all runs succeeded.
    same_session, new_session
        Largest absolute difference of any value between the first and the repeated embedding, over the largest
        absolute value of the first.
    """

    step: ClassVar[str] = "repeat"

    error: str
    same_session: float = -1.0
    new_session: float = -1.0
    images: int = 0
