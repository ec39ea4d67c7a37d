"""The register that the modules with networks put their cases in, and the decorators that do it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from onnx import ModelProto

from evaluation.case import ALIGN_RULE, BATCH_RULE, Case, seed_of
from evaluation.sequential import SequentialBuilder

#: Every case by name, without its split.
CASES: dict[str, Case] = {}

Body = Callable[[SequentialBuilder], str]
Build = TypeVar("Build", bound=Callable[..., ModelProto])


def register(case: Case) -> None:
    """Add a case.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if case.name in CASES:
        raise ValueError(f"two cases are called {case.name!r}; rename one")
    CASES[case.name] = case


def evasion(rule: str, about: str, *, idea: str, known_miss: str = "") -> Callable[[Build], Build]:
    """Register a function that builds a network on which a rule must fail."""

    def add(build: Build) -> Build:
        register(
            Case(
                name=build.__name__,
                rules=(rule,),
                expected="failed",
                idea=idea,
                about=about,
                build=build,
                known_miss=known_miss,
            )
        )
        return build

    return add


def honest(about: str, *, idea: str, tied: tuple[str, ...] = ()) -> Callable[[Build], Build]:
    """Register a function that builds a network on which neither rule may fail."""

    def add(build: Build) -> Build:
        register(
            Case(
                name=build.__name__,
                rules=(BATCH_RULE, ALIGN_RULE),
                expected="passed",
                idea=idea,
                about=about,
                build=build,
                tied=tied,
            )
        )
        return build

    return add


def _written(body: Body, seed: str, opset: int, raw: bool, dim: int) -> ModelProto:
    net = SequentialBuilder(seed_of(seed), opset=opset, raw=raw)
    return net.finish(body(net), dim)


def honest_body(
    about: str,
    *,
    idea: str,
    opset: int = 11,
    raw: bool = False,
    dim: int = 48,
    note: bool = False,
    drawn_as: str = "",
) -> Callable[[Body], Body]:
    """Register a function that writes an honest network into a builder and returns its embedding.

    ``drawn_as`` is the name that the weights are drawn by, where it is not that of the case.
    """

    def add(body: Body) -> Body:
        name = body.__name__.strip("_")
        register(
            Case(
                name=name,
                rules=(BATCH_RULE, ALIGN_RULE),
                expected="passed",
                idea=idea,
                about=about,
                build=partial(_written, body, drawn_as or name, opset, raw, dim),
                note=note,
                raw=raw,
            )
        )
        return body

    return add
