"""Write a network down layer by layer and get an ONNX model with seeded, numerically sane weights.

Weights are random, yet the forward pass behaves like a trained network's. Every feature map carries the mean and the
mean square that its values are expected to have; convolutions draw weights of variance 1 / fan-in, which keeps the
mean square, and the running statistics of a BatchNormalization are the tracked ones, as training would have made them.
So activations stay near unit scale at any depth.

Each tensor has its own random stream, keyed by the seed and the tensor's name. The training graph and the folded graph
of one seed are therefore the same function, and a layer's weights do not depend on the layers before it.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Opset 11 in IR 6: the newest pair that every runtime from onnxruntime 1.6 (the challenge's server) on loads.
OPSET = 11
IR_VERSION = 6
#: Height and width of an aligned face crop in all the challenges, in pixels.
INPUT_SIZE = 112

INPUT_NAME = "data"
OUTPUT_NAME = "embedding"

#: Mean square of an image scaled to [-1, 1] (a uniform distribution has 1/3).
_IMAGE_MOMENT = 1.0 / 3.0
#: Where PReLU slopes start in training; ours scatter around it.
_PRELU_SLOPE = 0.25


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """A square feature map inside the network.

    Attributes
    ----------
    name
        Tensor name in the graph.
    channels
        Number of channels, axis 1 of [N, C, H, W].
    size
        Height and width in pixels.
    moment
        Expected mean square of the values, without unit.
    mean
        Expected mean of the values; 0 behind convolutions and normalisations.
    """

    name: str
    channels: int
    size: int
    moment: float
    mean: float = 0.0


class Network:
    """An ONNX graph under construction: opset 11, float32, one image input, one embedding output.

    Parameters
    ----------
    name
        Name of the graph.
    fold_batchnorm
        True writes a convolution with the BatchNormalization behind it as one Conv with a bias, as exporters do. False
        writes the training graph: a bias-free Conv, then BatchNormalization. Normalisations that do not
        directly follow a convolution stay nodes in both forms.
    seed
        Seed of all weights, at least 0. Values are those of numpy's ``PCG64``; numpy promises the same stream
        for one numpy version only.
    batch
        Batch axis of input and output: a name makes it dynamic, a number fixes it.
    epsilon
        Epsilon of every normalisation.
    drawn
        So many values of each layer's weights are drawn, and repeated: what a network takes is the same, and drawing a
        hundred million values takes seconds. 0: every value is drawn.

    Raises
    ------
    ValueError
        The batch is neither a positive number nor a name, or the seed is negative.
    """

    def __init__(
        self,
        name: str,
        *,
        fold_batchnorm: bool,
        seed: int,
        batch: int | str,
        epsilon: float = 1e-5,
        drawn: int = 0,
    ) -> None:
        if isinstance(batch, int) and batch < 1:
            raise ValueError(f"batch must be at least 1 or the name of a dynamic axis such as 'N', got {batch}")
        if isinstance(batch, str) and not batch.isidentifier():
            raise ValueError(f"batch must be at least 1 or the name of a dynamic axis such as 'N', got {batch!r}")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.fold_batchnorm = fold_batchnorm
        self.seed = seed
        self.batch = batch
        self.epsilon = epsilon
        self.drawn = drawn
        # The graph is filled in place: helper.make_model would copy hundreds of megabytes of weights once more.
        self._model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="pytest-facechallenge")
        self._model.opset_import.append(helper.make_opsetid("", OPSET))
        self._graph = self._model.graph
        self._graph.name = name

    # --- the ends -------------------------------------------------------------------------------------------------

    def image(self, *, normalize: bool) -> Feature:
        """Declare the input, float32 [batch, 3, 112, 112], RGB.

        Parameters
        ----------
        normalize
            True: the input holds 0..255 and the graph starts with (x - 127.5) / 128, the form of the LFR19
            baselines. The two nodes' names start with Sub and Mul, by which the MFR21 server recognises a model that
            normalises by itself. False: the caller feeds (x - 127.5) / 127.5, as that server does otherwise.
        """
        self._graph.input.append(
            helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [self.batch, 3, INPUT_SIZE, INPUT_SIZE])
        )
        name = INPUT_NAME
        if normalize:
            name = self.node("Sub", [name, self.constant("pixel_mean", 127.5)], "Sub_pixel_mean")
            name = self.node("Mul", [name, self.constant("pixel_scale", 1 / 128)], "Mul_pixel_scale")
        return Feature(name=name, channels=3, size=INPUT_SIZE, moment=_IMAGE_MOMENT)

    def finish(self, name: str, width: int) -> onnx.ModelProto:
        """Make tensor `name`, [batch, width], the output ``embedding`` and hand the model over."""
        for node in self._graph.node:
            node.output[:] = [OUTPUT_NAME if output == name else output for output in node.output]
        self._graph.output.append(helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [self.batch, width]))
        return self._model

    # --- layers on feature maps -----------------------------------------------------------------------------------

    def conv(
        self,
        x: Feature,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        pad: int | None = None,
    ) -> Feature:
        """Square convolution with a bias of its own and no normalisation; `pad` defaults to half the kernel."""
        pad = kernel // 2 if pad is None else pad
        weight = self._conv_weight(x, name, channels, kernel, groups)
        bias = self.normal(f"{name}_bias", (channels,), 0.05)
        return self._conv_node(x, name, weight, bias, stride, groups, pad)

    def conv_bn(
        self,
        x: Feature,
        name: str,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        pad: int | None = None,
        gain: float = 1.0,
    ) -> Feature:
        """Square bias-free convolution and its BatchNormalization, folded into one Conv where the network says so.

        `gain` is the mean scale (gamma) of the normalisation; `pad` defaults to half the kernel. In the training
        graph the nodes are `name` and `name`_bn, in the folded graph there is `name` alone.
        """
        pad = kernel // 2 if pad is None else pad
        weight = self._conv_weight(x, name, channels, kernel, groups)
        if not self.fold_batchnorm:
            return self.batch_norm(self._conv_node(x, name, weight, None, stride, groups, pad), f"{name}_bn", gain=gain)
        gamma, beta, mean, variance = self._statistics(f"{name}_bn", channels, 0.0, x.moment, gain)
        scale = gamma / np.sqrt(variance + np.float32(self.epsilon))
        weight *= scale[:, None, None, None]
        bias = np.asarray(beta - mean * scale, np.float32)
        out = self._conv_node(x, name, weight, bias, stride, groups, pad)
        return msgspec.structs.replace(out, moment=gain**2)

    def batch_norm(self, x: Feature, name: str, *, gain: float = 1.0) -> Feature:
        """Normalise with stored statistics, as a node of its own; `gain` is the mean scale (gamma)."""
        values = self._statistics(name, x.channels, x.mean, x.moment - x.mean**2, gain)
        parts = ("gamma", "beta", "running_mean", "running_var")
        names = [self.initializer(f"{name}_{part}", value) for part, value in zip(parts, values, strict=True)]
        out = self.node("BatchNormalization", [x.name, *names], name, epsilon=self.epsilon)
        return msgspec.structs.replace(x, name=out, moment=gain**2, mean=0.0)

    def prelu(self, x: Feature, name: str) -> Feature:
        """PReLU with one slope per channel, stored as [C, 1, 1]: onnxruntime 1.6 fails on a slope of shape [C]."""
        slope = self._generator(name).uniform(0.8, 1.2, (x.channels, 1, 1)).astype(np.float32) * np.float32(
            _PRELU_SLOPE
        )
        out = self.node("PRelu", [x.name, self.initializer(f"{name}_slope", slope)], name)
        mean, moment = _prelu_moments(x.mean, x.moment)
        return msgspec.structs.replace(x, name=out, moment=moment, mean=mean)

    def add(self, x: Feature, y: Feature, name: str) -> Feature:
        """Sum of two maps of one shape."""
        variance = x.moment - x.mean**2 + y.moment - y.mean**2
        mean = x.mean + y.mean
        return msgspec.structs.replace(
            x, name=self.node("Add", [x.name, y.name], name), moment=variance + mean**2, mean=mean
        )

    def squeeze_excitation(self, x: Feature, name: str, ratio: int) -> Feature:
        """Rescale the channels by a gate computed from their means (squeeze-and-excitation, arXiv 1709.01507)."""
        pooled = self.node("GlobalAveragePool", [x.name], f"{name}_pool")
        gate = self.conv(msgspec.structs.replace(x, name=pooled, size=1), f"{name}_conv1", x.channels // ratio, 1)
        gate = self.conv(self.prelu(gate, f"{name}_act"), f"{name}_conv2", x.channels, 1)
        sigmoid = self.node("Sigmoid", [gate.name], f"{name}_sigmoid")
        scaled = self.node("Mul", [x.name, sigmoid], f"{name}_scale")
        # A gate near a sigmoid's middle halves the values.
        return msgspec.structs.replace(x, name=scaled, moment=x.moment / 4, mean=x.mean / 2)

    def embedding_head(self, x: Feature, width: int) -> onnx.ModelProto:
        """Flatten, fully connected layer ``pre_fc1`` with bias, BatchNormalization ``fc1``, output: [batch, width].

        Exporters do not fold a normalisation into a Gemm, so both nodes stay in either form.

        Raises
        ------
        ValueError
            `width` is below 1.
        """
        flat = self.node("Flatten", [x.name], "flatten", axis=1)
        dense = self.dense(flat, "pre_fc1", x.channels * x.size * x.size, width)
        out = self.batch_norm(Feature(name=dense, channels=width, size=1, moment=x.moment), "fc1")
        return self.finish(out.name, width)

    # --- nodes and weights ----------------------------------------------------------------------------------------

    def dense(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """Fully connected layer with bias as one Gemm: [batch, inputs] to [batch, outputs]."""
        if outputs < 1:
            raise ValueError(f"the embedding must have at least 1 value, got {outputs}")
        weight = self.initializer(f"{name}_weight", self.normal(f"{name}_weight", (outputs, inputs), inputs**-0.5))
        bias = self.initializer(f"{name}_bias", self.normal(f"{name}_bias", (outputs,), 0.05))
        return self.node("Gemm", [x, weight, bias], name, transB=1)

    def node(self, operator: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Append a node with one output tensor, which carries the node's name, and return that name."""
        self._graph.node.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def initializer(self, name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Store float32 or int64 values of any shape and return `name`."""
        tensor = self._graph.initializer.add()
        tensor.name = name
        tensor.data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor.dims.extend(values.shape)
        tensor.raw_data = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
        return name

    def constant(self, name: str, value: float) -> str:
        """Store one float32 scalar and return `name`."""
        return self.initializer(name, np.asarray(value, dtype=np.float32))

    def normal(self, name: str, shape: tuple[int, ...], deviation: float) -> NDArray[np.float32]:
        """Draw float32 normal values of mean 0 from the stream of `name`."""
        count = math.prod(shape)
        values = self._generator(name).standard_normal(min(count, self.drawn or count), dtype=np.float32)
        values *= np.float32(deviation)
        return values.reshape(shape) if values.size == count else np.resize(values, shape)

    def _generator(self, name: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self.seed, zlib.crc32(name.encode())]))

    def _conv_weight(self, x: Feature, name: str, channels: int, kernel: int, groups: int) -> NDArray[np.float32]:
        if x.channels % groups or channels % groups:
            raise ValueError(f"{name}: {groups} groups do not divide {x.channels} input and {channels} output channels")
        shape = (channels, x.channels // groups, kernel, kernel)
        return self.normal(f"{name}_weight", shape, 1 / math.sqrt(math.prod(shape[1:])))

    def _conv_node(
        self,
        x: Feature,
        name: str,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        stride: int,
        groups: int,
        pad: int,
    ) -> Feature:
        kernel = weight.shape[2]
        inputs = [x.name, self.initializer(f"{name}_weight", weight)]
        if bias is not None:
            inputs.append(self.initializer(f"{name}_bias", bias))
        out = self.node(
            "Conv",
            inputs,
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad, pad, pad, pad],
            dilations=[1, 1],
            group=groups,
        )
        size = (x.size + 2 * pad - kernel) // stride + 1
        return Feature(name=out, channels=weight.shape[0], size=size, moment=x.moment)

    def _statistics(
        self, name: str, channels: int, mean: float, variance: float, gain: float
    ) -> list[NDArray[np.float32]]:
        """Gamma, beta, running mean and running variance of a normalisation, scattered around what its input has."""
        draw = self._generator(name)
        gamma = gain * draw.uniform(0.8, 1.2, channels)
        beta = 0.05 * gain * draw.standard_normal(channels)
        means = mean + 0.05 * math.sqrt(variance) * draw.standard_normal(channels)
        variances = variance * draw.uniform(0.8, 1.2, channels)
        return [values.astype(np.float32) for values in (gamma, beta, means, variances)]


def _prelu_moments(mean: float, moment: float) -> tuple[float, float]:
    """Mean and mean square behind a PReLU, for normal values of the given mean and mean square before it."""
    deviation = math.sqrt(moment - mean**2)
    below = math.erfc(mean / deviation / math.sqrt(2)) / 2
    density = math.exp(-((mean / deviation) ** 2) / 2) / math.sqrt(2 * math.pi)
    positive_mean = mean * (1 - below) + deviation * density
    positive_moment = moment * (1 - below) + mean * deviation * density
    slope = _PRELU_SLOPE
    return slope * mean + (1 - slope) * positive_mean, slope**2 * moment + (1 - slope**2) * positive_moment
