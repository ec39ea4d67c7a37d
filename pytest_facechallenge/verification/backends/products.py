"""Matrix products of ONNX Runtime, and the probe that shows whether this CPU does the u8 x s8 one exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper

from pytest_facechallenge.inference.session import open_session

ZERO_POINT = 128
"""Left values are stored as u8 = s8 + 128: u8 x s8 is the form that CPUs multiply fast; s8 x s8 is not."""

IntegerProduct: TypeAlias = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.int8], npt.NDArray[np.int32]], None]
"""Writes (left u8 [m, D] - 128) @ right s8 [D, n] into an int32 [m, n]; all C-contiguous."""

FloatProduct: TypeAlias = Callable[[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]], None]
"""Writes left [m, D] @ right [n, D].T into a float32 [m, n]; all C-contiguous."""


def integer_product() -> IntegerProduct:
    """Make a single-threaded u8 x s8 product; each worker thread has its own."""
    # NonZero and scaling are left out of the graph: there they would cost more than the product.
    return _product(
        helper.make_node("MatMulInteger", ["left", "right", "zero_point"], ["product"]),
        (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32),
        [helper.make_tensor("zero_point", TensorProto.UINT8, [], [ZERO_POINT])],
    )


def float_product() -> FloatProduct:
    """Make a single-threaded float32 product; each worker thread has its own.

    The runtime's and not numpy's, whose BLAS has one pool of threads that several workers would contend for.
    """
    return _product(
        helper.make_node("Gemm", ["left", "right"], ["product"], transB=1),
        (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT),
        [],
    )


def _product(node: NodeProto, types: tuple[int, int, int], constants: list[TensorProto]) -> Callable[..., None]:
    """Make a function (left, right, out) of a graph of one node."""
    left, right, product = (
        helper.make_tensor_value_info(name, kind, [None, None])
        for name, kind in zip(("left", "right", "product"), types, strict=True)
    )
    graph = helper.make_graph([node], "product", [left, right], [product], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    # float32 must stay float32, or the bound of its rounding errors would not hold.
    exact = {"mlas.enable_gemm_fastmath_arm64_bfloat16": "0"}
    session: Any = open_session(model.SerializeToString(), threads=1, arena=False, settings=exact)
    binding: Any = session.io_binding()
    bound: dict[str, tuple[int, tuple[int, ...]]] = {}

    def run(left: npt.NDArray[Any], right: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        # Bound by address: the runtime reads and writes our arrays without copies. Most calls only change the right.
        for name, array, bind in (
            ("left", left, binding.bind_input),
            ("right", right, binding.bind_input),
            ("product", out, binding.bind_output),
        ):
            place = (array.ctypes.data, array.shape)
            if bound.get(name) != place:
                bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
                bound[name] = place
        session.run_with_iobinding(binding)

    return run


def is_exact(product: IntegerProduct) -> bool:
    """Probe a product with the values that overflow 16-bit sums, and with random ones, against plain integers.

    x86 CPUs without VNNI add two u8 x s8 products in 16 bits that saturate (instruction VPMADDUBSW): 255 * 127 * 2 does
    not fit. A saturated product would break the filter's bound without any other sign.
    """
    rng = np.random.default_rng(0)
    for rows, width, columns in ((1, 1, 1), (7, 67, 33), (64, 512, 64)):
        left = rng.integers(1, 256, (rows, width), dtype=np.uint8)
        right = rng.integers(-127, 128, (width, columns), dtype=np.int8)
        # Rows and columns of nothing but extremes: the largest sums, of either sign, that can come up.
        left[::3], right[:, ::3] = 255, 127
        left[1::3], right[:, 1::3] = 1, -127
        out = np.empty((rows, columns), np.int32)
        product(left, right, out)
        if not np.array_equal(out, (left.astype(np.int64) - ZERO_POINT) @ right.astype(np.int64)):
            return False
    return True
