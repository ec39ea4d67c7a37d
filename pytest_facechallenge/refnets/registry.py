"""The reference networks by name."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING

import onnx

from pytest_facechallenge.refnets.iresnet import UNITS, iresnet, r100fc
from pytest_facechallenge.refnets.mobilefacenet import mobilefacenet, y2
from pytest_facechallenge.refnets.vargfacenet import vargfacenet
from pytest_facechallenge.refnets.vit import vit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Name to builder. Every builder takes ``seed``, ``batch`` and ``embedding``; those with BatchNormalization behind
#: convolutions (all but the transformers) take ``fold_batchnorm``; some take more, see their docstrings.
BUILDERS: dict[str, Callable[..., onnx.ModelProto]] = {
    **{f"iresnet{depth}": partial(iresnet, depth) for depth in UNITS},
    "r100fc": r100fc,
    "y2": y2,
    "vargfacenet": vargfacenet,
    "mobilefacenet": mobilefacenet,
    # A quarter of the width: small enough for demonstrations and tests.
    "mobilefacenet-small": partial(mobilefacenet, 0.25),
    "vit-tiny": partial(vit, depth=2, dim=64, heads=2, patch=16),
    "vit-small": vit,
    # About 2,000 nodes with weights of real size.
    "vit-deep": partial(vit, depth=44),
}


def options(name: str) -> tuple[str, ...]:
    """Names of the options that network `name` takes.

    Raises
    ------
    ValueError
        There is no network of that name.
    """
    if name not in BUILDERS:
        raise ValueError(f"no reference network is called {name!r}; there are {', '.join(BUILDERS)}")
    parameters = inspect.signature(BUILDERS[name]).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def build(name: str, **chosen: object) -> onnx.ModelProto:
    """Build a reference network.

    Parameters
    ----------
    name
        A key of `BUILDERS`.
    **chosen
        Options of that builder, such as ``fold_batchnorm``, ``seed``, ``batch``, ``embedding``.

    Returns
    -------
    onnx.ModelProto
        Opset 11, IR 6, float32: input ``data`` [batch, 3, 112, 112], output ``embedding`` [batch, embedding].

    Raises
    ------
    ValueError
        There is no network of that name, or an option is out of range.
    TypeError
        The network does not take one of the options.
    """
    known = options(name)
    unknown = sorted(chosen.keys() - set(known))
    if unknown:
        raise TypeError(f"{name} does not take {', '.join(unknown)}; its options are {', '.join(known)}")
    return BUILDERS[name](**chosen)


def save(name: str, path: Path, **chosen: object) -> None:
    """Build a reference network and write it to `path` as one ONNX file; options and errors as in `build`.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    onnx.save(build(name, **chosen), path)
