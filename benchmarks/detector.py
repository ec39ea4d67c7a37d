"""What following the image costs, against loading the model and running it.

python -m benchmarks.detector            # an iResNet-100 and a ViT of about 2,000 nodes
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from evaluation.builder import GraphBuilder, untyped
from pytest_facechallenge.analyses.implicit_batch.connected import connect
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.analyses.implicit_batch.opened import open_variant
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.unroll import unroll
from pytest_facechallenge.analyses.implicit_batch.variants import Variant


class Graph(GraphBuilder):
    def __init__(self) -> None:
        super().__init__(13, "image")
        self.random = np.random.default_rng(0)

    def weights(self, *shape: int) -> str:
        fan = max(1, int(np.prod(shape[1:])))
        return self.const(self.random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan)))

    def bn(self, x: str, channels: int) -> str:
        one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        return self.op("BatchNormalization", x, self.const(one), self.const(zero), self.const(zero), self.const(one))

    def conv(self, x: str, a: int, b: int, k: int, stride: int = 1) -> str:
        return self.op("Conv", x, self.weights(b, a, k, k), pads=[k // 2] * 4, strides=[stride] * 2)

    def save(self, output: str, path: Path) -> Path:
        self.nodes.append(helper.make_node("Identity", [output], ["embedding"]))
        inputs = [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, ["N", 3, 112, 112])]
        onnx.save(self.assemble(inputs, [untyped("embedding")], "net", ir_version=7), str(path))
        return path


def iresnet(path: Path, depths: tuple[int, ...] = (3, 13, 30, 3)) -> Path:
    """Write an iResNet-100 with random weights: the layers and sizes of the challenge's largest baseline."""
    g = Graph()

    def slope(x: str, c: int) -> str:
        return g.op("PRelu", x, g.const(np.full((c, 1, 1), 0.25, np.float32)))

    x, channels = slope(g.conv("image", 3, 64, 3), 64), 64
    for depth, width in zip(depths, (64, 128, 256, 512), strict=True):
        for index in range(depth):
            stride = 2 if index == 0 else 1
            y = slope(g.conv(g.bn(x, channels), channels, width, 3), width)
            y = g.op("Mul", g.conv(y, width, width, 3, stride), g.const(np.float32(0.3)))
            short = g.conv(x, channels, width, 1, stride) if stride == 2 else x
            x, channels = g.op("Add", y, short), width
    x = g.op("Flatten", g.bn(x, 512))
    return g.save(g.op("Gemm", x, g.weights(512, 25088), transB=1), path)


def vit(path: Path, depth: int = 52, width: int = 192, heads: int = 3) -> Path:
    """Write a ViT, exported the long way (LayerNorm and attention in single operators): about 2,000 nodes."""
    g = Graph()

    def ints(*values: int) -> str:
        return g.const(np.array(values, np.int64))

    def f32(values: Any) -> str:
        return g.const(np.array(values, np.float32))

    def norm(x: str) -> str:
        d = g.op("Sub", x, g.op("ReduceMean", x, axes=[-1]))
        v = g.op("ReduceMean", g.op("Pow", d, f32(2)), axes=[-1])
        d = g.op("Div", d, g.op("Sqrt", g.op("Add", v, f32(1e-5))))
        return g.op("Add", g.op("Mul", d, f32(np.ones(width))), f32(np.zeros(width)))

    def linear(x: str, a: int, b: int) -> str:
        return g.op("Add", g.op("MatMul", x, g.weights(a, b)), f32(np.zeros(b)))

    x = g.op("Conv", "image", g.weights(width, 3, 8, 8), strides=[8, 8])
    x = g.op("Transpose", g.op("Reshape", x, ints(0, width, 196)), perm=[0, 2, 1])
    for _ in range(depth):
        y = norm(x)
        parts = [
            g.op("Transpose", g.op("Reshape", linear(y, width, width), ints(0, 196, heads, -1)), perm=[0, 2, 1, 3])
            for _ in range(3)
        ]
        scores = g.op("MatMul", parts[0], g.op("Transpose", parts[1], perm=[0, 1, 3, 2]))
        mixed = g.op("MatMul", g.op("Softmax", g.op("Mul", scores, f32(0.125)), axis=-1), parts[2])
        x = g.op(
            "Add",
            x,
            linear(g.op("Reshape", g.op("Transpose", mixed, perm=[0, 2, 1, 3]), ints(0, 196, width)), width, width),
        )
        x = g.op("Add", x, linear(g.op("Relu", linear(norm(x), width, 4 * width)), 4 * width, width))
    return g.save(g.op("ReduceMean", norm(x), axes=[1], keepdims=0), path)


def baseline(path: Path) -> tuple[float, float]:
    """Return the seconds of loading and 8 single images, and of one batch of 8."""
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for _ in range(8):
        session.run(None, {"image": np.zeros((1, 3, 112, 112), np.float32)})
    allowed = time.perf_counter() - start
    start = time.perf_counter()
    session.run(None, {"image": np.zeros((8, 3, 112, 112), np.float32)})
    return allowed, time.perf_counter() - start


def static(path: Path) -> float:
    """Return the seconds of everything that needs no probe image (one image gives the shapes)."""
    start = time.perf_counter()
    model = onnx.load(str(path))
    feed = Feed(model, path.parent, 1, DEFAULTS)
    variant = Variant(unroll(model, {}, limits=DEFAULTS).model, "")
    connect(open_variant(variant, feed, 0, DEFAULTS), DEFAULTS)
    return time.perf_counter() - start


def whole(path: Path) -> tuple[float, int, float]:
    """Return the seconds of the whole step, the number of layers, and the process's peak memory in MB."""
    start = time.perf_counter()
    facts = follow(path)
    return time.perf_counter() - start, facts.layers, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        allowed, eight = pool.submit(baseline, path).result()
        analysis = pool.submit(static, path).result()
        seconds, layers, peak = pool.submit(whole, path).result()
    print(
        f"{name}: {path.stat().st_size / 2**20:.0f} MB, {layers} layers\n"
        f"  static analysis {analysis:.2f} s; allowed: load + 8 images {allowed:.2f} s\n"
        f"  everything {seconds:.2f} s = {seconds / eight:.1f} batches of 8 ({eight:.2f} s each); "
        f"peak memory {peak:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="iresnet or vit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "iresnet":
            measure("ViT", vit(Path(folder) / "vit.onnx"))
        if options.only != "vit":
            measure("iResNet-100", iresnet(Path(folder) / "r100.onnx"))


if __name__ == "__main__":
    main()
