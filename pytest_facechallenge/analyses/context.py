"""What a gathering function is given: the opened submission, earlier facts, and the run's options."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.run_options import RunOptions

if TYPE_CHECKING:
    import onnx

    from pytest_facechallenge.inference.session import Session
    from pytest_facechallenge.onnx_graph.ir import Graph


#: Bytes from which a parsed model is not kept beside the sessions that run it.
LARGE_MODEL = 32 * 2**20


class Context:
    """Everything a gathering function may use. Lives in the sandboxed process.

    Parameters
    ----------
    source
        The submission as given: .onnx, .zip or folder.
    workdir
        An empty, private folder; removed after the run.
    facts
        What earlier steps found.
    options
        See `RunOptions`.
    report
        Called with a line of progress ("32 of 42 images"); shown to the user, kept nowhere.
    follow
        Whether the source may be a link: one that the user named, not one that was found in a folder.
    allow
        Called with seconds of processor time before work of known size begins that takes them honestly: the sandbox's
        limit is raised by so much.
    """

    def __init__(
        self,
        source: Path,
        workdir: Path,
        facts: Facts,
        options: RunOptions,
        report: Callable[[str], None] = lambda _line: None,
        *,
        follow: bool = True,
        allow: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.source = source
        self.workdir = workdir
        self.facts = facts
        self.options = options
        self.report = report
        self.follow = follow
        self.allow = allow
        #: The session that the steps of the stage ``behaviour`` share; None until one of them opened it.
        self.session: Session | None = None

    @cached_property
    def model_path(self) -> Path:
        """The .onnx file to judge: a copy in ``workdir`` of the submission, or of what was safely unpacked from it."""
        from pytest_facechallenge.core.facts.package import PackageFacts

        return self.workdir / self.facts.need(PackageFacts).model_path

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The parsed model, external data not loaded; local functions not yet inlined.

        Raises
        ------
        google.protobuf.message.DecodeError
            The file is not an ONNX protobuf.
        """
        from pytest_facechallenge.onnx_graph.ir import read_model

        return read_model(self.model_path)

    @cached_property
    def repaired_path(self) -> Path:
        """A copy of the model whose batch axis is symbolic, as the evaluation server makes it."""
        from pytest_facechallenge.inference.batch_repair import repaired_copy

        return repaired_copy(self.model_path)

    @property
    def runnable_path(self) -> Path:
        """The file that every step runs: the submission's own, or the repaired copy where its batch is fixed."""
        from pytest_facechallenge.core.facts.behaviour import LoadFacts
        from pytest_facechallenge.core.facts.interface import InterfaceFacts

        interface, load = self.facts.get(InterfaceFacts), self.facts.get(LoadFacts)
        fixed = interface is not None and interface.fixed_batch() != 0
        repaired = fixed if load is None else load.repaired
        return self.repaired_path if repaired else self.model_path

    def keep_model(self, model: onnx.ModelProto) -> None:
        """Keep the parsed model of `model_path` from a step that had to parse it, so that it is parsed once."""
        self.__dict__["model"] = model

    def let_go(self) -> None:
        """Let go of the parsed model where it is large: parsing it again takes less than its memory is worth."""
        if "model" in self.__dict__ and self.model_path.stat().st_size >= LARGE_MODEL:
            del self.__dict__["model"]
            self.__dict__.pop("graph", None)

    @cached_property
    def graph(self) -> Graph:
        """The graph as data, local functions inlined; see `pytest_facechallenge.onnx_graph.ir`."""
        from pytest_facechallenge.onnx_graph.ir import from_model

        return from_model(self.model, self.model_path.parent)
