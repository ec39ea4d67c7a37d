"""The register that the honest architectures put themselves in."""

from collections.abc import Callable
from functools import partial

from onnx import ModelProto

from .builder import Net
from .case import Case, seed_of

HONEST: dict[str, Case] = {}

Body = Callable[[Net], str]


def _build(name: str, body: Body, opset: int, raw: bool, dim: int) -> ModelProto:
    net = Net(seed_of(name), opset=opset, raw=raw)
    return net.finish(body(net), dim)


def honest(
    does: str, *, opset: int = 11, raw: bool = False, dim: int = 48, note: bool = False
) -> Callable[[Body], Body]:
    """Register a function that writes a whole network into a Net and returns its embedding."""

    def register(body: Body) -> Body:
        name = body.__name__.strip("_")
        HONEST[name] = Case(
            name=name,
            does=does,
            raw=raw,
            expected_note=note,
            build=partial(_build, name, body, opset, raw, dim),
        )
        return body

    return register
