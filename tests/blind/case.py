"""One network of the blind set, and what must be said about it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import onnx

IMPLICIT_BATCH = "no-implicit-batch"
REALIGNMENT = "no-realignment"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A network built in code.

    Attributes
    ----------
    name:
        Key of the case.
    does:
        What the network does, in one sentence.
    rule:
        The rule that must fail; empty for an honest network, on which neither may fail. A look that is a crop or a zoom
        may make the other rule fail too: that is not an error.
    build:
        Makes the model: ``data`` float32 [N, 3, 112, 112] in -1..1 to ``fc`` float32 [N, D].
    tied:
        Honest networks only: names (prefixes) of weights that several nodes share on purpose.
    """

    name: str
    does: str
    rule: str
    build: Callable[[], onnx.ModelProto]
    tied: tuple[str, ...] = ()


def index(*cases: Case) -> dict[str, Case]:
    """Key the cases by name.

    Raises
    ------
    ValueError
        If two cases have one name.
    """
    found = {case.name: case for case in cases}
    if len(found) != len(cases):
        raise ValueError(f"expected distinct names, found {[case.name for case in cases]}")
    return found
