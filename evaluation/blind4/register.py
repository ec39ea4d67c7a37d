"""The register's decorators for this set: every network is judged by every rule that reads the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import onnx
from torch import nn

from evaluation.blind4.claims import Claim
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import Body
from evaluation.case import MODEL_RULES, Case, seed_of
from evaluation.proof import PROOFS, Proof
from evaluation.registry import register
from evaluation.sequential import SequentialBuilder

Builder = Callable[[SequentialBuilder], str]


def honest_torch(why: str, *, idea: str, trained: int = 0, **options: Any) -> Callable[[Body], Body]:
    """Register a network of PyTorch that no sentence of the challenges forbids; ``options`` are those of the export."""

    def add(body: Body) -> Body:
        name = body.__name__

        @cache
        def build() -> onnx.ModelProto:
            return exported(network(body, name, trained), name, **options)

        _register(name, why, idea, build)
        return body

    return add


def honest_written(why: str, *, idea: str, opset: int = 11) -> Callable[[Builder], Builder]:
    """Register an honest network that is written node by node."""

    def add(body: Builder) -> Builder:
        name = body.__name__
        _register(name, why, idea, lambda: written(body, name, opset))
        return body

    return add


def written(body: Builder, name: str, opset: int = 11, dim: int = 48) -> onnx.ModelProto:
    """Write a network node by node, in the IR version of the evaluation server."""
    net = SequentialBuilder(seed_of(name), opset=opset)
    made = net.finish(body(net), dim)
    made.ir_version = 7
    return made


def _register(name: str, why: str, idea: str, build: Callable[[], onnx.ModelProto]) -> None:
    register(Case(name=name, rules=MODEL_RULES, expected="passed", idea=idea, about=why, build=build, whole=True))


def evades(
    *rules: str, idea: str, claim: Claim, opset: int = 11, fold: bool = True
) -> Callable[[Callable[[], nn.Module | onnx.ModelProto]], Callable[[], nn.Module | onnx.ModelProto]]:
    """Register a network that breaks a rule; any of ``rules`` may say so. Its docstring says what it computes."""

    def add(make: Callable[[], nn.Module | onnx.ModelProto]) -> Callable[[], nn.Module | onnx.ModelProto]:
        name = make.__name__

        @cache
        def build() -> onnx.ModelProto:
            made = make()
            return exported(made, name, opset, fold=fold) if isinstance(made, nn.Module) else made

        about = " ".join((make.__doc__ or "").split())
        register(Case(name=name, rules=rules, expected="failed", idea=idea, about=about, build=build, whole=True))
        PROOFS[name] = Proof(computes=None, shown=claim)
        return make

    return add
