"""The two graphs of the device backend: one that fills an array on the device, one that compares a tile with a limit.

Only operators are used that onnxruntime's CUDA provider has (Cast, Gather, Gemm, GreaterOrEqual, NonZero, opset 13), so
that nothing of a tile goes through the host but the places of its candidates.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from pytest_facechallenge.inference.device_memory import Place, bind_input, bind_output, host
from pytest_facechallenge.inference.session import CPU, open_session
from pytest_facechallenge.verification.errors import BackendUnavailableError
from pytest_facechallenge.verification.rows import IntArray

#: Integers of 11 bits are numbers of TF32 as they are (10 stored bits and the leading one), so its rounding of operands
#: changes none; sums are of float32 in either mode. The arena takes what is asked for: outputs are large and few.
OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "1", "arena_extend_strategy": "kSameAsRequested"}}

_ALIGNED = 8  # values: the fast kernels of GPUs read 16 bytes and more at a time


def aligned(columns: int) -> int:
    """Return the columns of an array that has room for this many."""
    return -(-columns // _ALIGNED) * _ALIGNED


class Loader:
    """Writes rows of the host, int16, into an array on the device as float32: half the bytes on the way."""

    def __init__(self, provider: str, width: int) -> None:
        graph = [helper.make_node("Cast", ["narrow"], ["wide"], to=TensorProto.FLOAT)]
        inputs = [helper.make_tensor_value_info("narrow", TensorProto.INT16, [None, width])]
        outputs = [helper.make_tensor_value_info("wide", TensorProto.FLOAT, [None, width])]
        self._session = _session(provider, graph, inputs, outputs, [])
        self._lock = threading.Lock()

    def load(self, rows: npt.NDArray[np.int16], to: Place) -> None:
        """Write int16 [n, width] to a place of as many rows."""
        binding = self._session.io_binding()
        bind_input(binding, "narrow", host(rows))
        bind_output(binding, "wide", to)
        with self._lock:
            run(self._session, binding)


class Comparer:
    """Finds the pairs of a tile whose product reaches a limit.

    left [m, width] and right [n, width] are float32 on the device; of each left row the last two of the columns that
    `swapped` names are exchanged first, so that both may be read from one array.
    """

    def __init__(self, provider: str, width: int, swapped: tuple[int, int]) -> None:
        columns = np.arange(width)
        columns[list(swapped)] = columns[list(swapped[::-1])]
        graph = [
            helper.make_node("Gather", ["left", "columns"], ["turned"], axis=1),
            helper.make_node("Gemm", ["turned", "right"], ["products"], transB=1),
            helper.make_node("GreaterOrEqual", ["products", "limit"], ["high"]),
            helper.make_node("NonZero", ["high"], ["places"]),
        ]
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name in ("left", "right")]
        inputs.append(helper.make_tensor_value_info("limit", TensorProto.FLOAT, [1]))
        outputs = [helper.make_tensor_value_info("places", TensorProto.INT64, [2, None])]
        self._session = _session(provider, graph, inputs, outputs, [numpy_helper.from_array(columns, "columns")])
        self._binding = self._session.io_binding()
        self._bound: dict[str, Place] = {}
        self._limit = np.empty(1, np.float32)
        self._lock = threading.Lock()

    def places(self, left: Place, right: Place, limit: float) -> tuple[IntArray, IntArray]:
        """Return rows and columns of the pairs whose product is at least ``limit``: int64 [n] each."""
        with self._lock:
            for name, place in (("left", left), ("right", right)):
                if self._bound.get(name) != place:
                    bind_input(self._binding, name, place)
                    self._bound[name] = place
            self._limit[0] = limit
            # Bound anew each time: where the device is not the host, binding is when the number is copied there.
            bind_input(self._binding, "limit", host(self._limit))
            self._binding.bind_output("places", "cpu")
            run(self._session, self._binding)
            found: Any = self._binding.get_outputs()[0].numpy()
        return found[0], found[1]


def _session(
    provider: str, nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[ValueInfoProto], constants: Any
) -> Any:
    """Open a session on a provider, and make sure that it is this one that runs it."""
    graph = helper.make_graph(nodes, "tiles", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session: Any = open_session(
        model.SerializeToString(),
        providers=[provider] if provider == CPU else [provider, CPU],
        # Of the processor: each thread of ours has its own tiles.
        threads=1,
        settings={"mlas.enable_gemm_fastmath_arm64_bfloat16": "0"},
        provider_options=OPTIONS.get(provider),
    )
    if session.get_providers()[0] != provider:
        msg = f"onnxruntime does not use {provider} here, but {session.get_providers()[0]}."
        raise BackendUnavailableError(msg)
    return session


def run(session: Any, binding: Any) -> None:
    """Run a session on what is bound.

    Raises
    ------
    BackendUnavailableError
        The device failed, for want of memory for example.
    """
    try:
        session.run_with_iobinding(binding)
    except Exception as error:  # onnxruntime's errors have no common public base
        msg = (
            f"the device failed in the middle of a verification: {error}. Without it ('cpu' for the device) the result "
            "is the same."
        )
        raise BackendUnavailableError(msg) from error
