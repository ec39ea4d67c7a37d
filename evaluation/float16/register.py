"""The decorators that make cases of functions that fill in a :class:`WeightBuilder`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import onnx

from evaluation.case import FLOAT16_RULE, Case, Expected
from evaluation.float16.builder import WeightBuilder
from evaluation.registry import register

Fill = Callable[[WeightBuilder], object]


def filled(fill: Fill) -> onnx.ModelProto:
    """Build the model of one function."""
    net = WeightBuilder()
    fill(net)
    return net.model()


def _add(fill: Fill, idea: str, expected: Expected) -> Fill:
    about = (fill.__doc__ or f"{fill.__name__.replace('_', ' ')}.").splitlines()[0]
    register(
        Case(
            name=fill.__name__,
            rules=(FLOAT16_RULE,),
            expected=expected,
            idea=idea,
            about=about[0].upper() + about[1:],
            build=partial(filled, fill),
        )
    )
    return fill


def narrow(idea: str) -> Callable[[Fill], Fill]:
    """Register weights of less than four bytes each."""
    return lambda fill: _add(fill, idea, "failed")


def wide(idea: str) -> Callable[[Fill], Fill]:
    """Register honest constants: nothing is stored narrower than float32."""
    return lambda fill: _add(fill, idea, "passed")
