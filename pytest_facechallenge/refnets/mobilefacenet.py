"""MobileFaceNets: networks of depthwise convolutions, among them the light baseline of LFR19.

A bottleneck is a 1x1 expansion, a 3x3 depthwise convolution with the stride, both with PReLU, and a linear 1x1
projection; the head is a linear 7x7 depthwise convolution instead of average pooling (arXiv 1804.07573).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.refnets.network import Network

if TYPE_CHECKING:
    import onnx

    from pytest_facechallenge.refnets.network import Feature


def y2(*, fold_batchnorm: bool = True, seed: int = 0, batch: int | str = "N", embedding: int = 256) -> onnx.ModelProto:
    """Light baseline of LFR19, a deeper MobileFaceNet: [batch, 3, 112, 112] to [batch, embedding].

    The input is RGB in 0..255; the graph starts with (x - 127.5) / 128. Two, eight, sixteen and four residual
    bottlenecks stand where MobileFaceNet has none, four, six and two.

    Parameters
    ----------
    fold_batchnorm
        True: the exported form; False: the training graph (see `Network`).
    seed
        Seed of the weights.
    batch
        Name of the dynamic batch axis, or a fixed batch size.
    embedding
        Number of values in the embedding; the baseline has 256.

    Raises
    ------
    ValueError
        An option is out of range.
    """
    # MXNet's default epsilon for the blocks is 1e-3, and the head's is 2e-5; one value serves random weights.
    net = Network("y2", fold_batchnorm=fold_batchnorm, seed=seed, batch=batch, epsilon=2e-5)
    x = _conv_act(net, net.image(normalize=True), "conv_1", 64, 3, stride=2)
    x = _bottlenecks(net, x, "res_2", count=2, expanded=64)
    x = _bottleneck(net, x, "dconv_23", expanded=128, channels=64, stride=2)
    x = _bottlenecks(net, x, "res_3", count=8, expanded=128)
    x = _bottleneck(net, x, "dconv_34", expanded=256, channels=128, stride=2)
    x = _bottlenecks(net, x, "res_4", count=16, expanded=256)
    x = _bottleneck(net, x, "dconv_45", expanded=512, channels=128, stride=2)
    x = _bottlenecks(net, x, "res_5", count=4, expanded=256)
    x = _conv_act(net, x, "conv_6sep", 512, 1)
    x = net.conv_bn(x, "conv_6dw7_7_conv2d", 512, 7, groups=512, pad=0)
    return net.embedding_head(x, embedding)


def mobilefacenet(
    width: float = 1.0,
    *,
    fold_batchnorm: bool = True,
    seed: int = 0,
    batch: int | str = "N",
    embedding: int = 128,
) -> onnx.ModelProto:
    """MobileFaceNet of the paper's table 1, at any width: [batch, 3, 112, 112] to [batch, embedding].

    The input is RGB scaled to (x - 127.5) / 127.5; the graph does not normalise. At width 1 it has about 1 million
    parameters and 220 million multiply-additions. The embedding is the paper's linear 1x1 convolution, so there is no
    fully connected layer.

    Parameters
    ----------
    width
        Factor on every channel count (but the embedding's), rounded to multiples of 8; above 0.
    fold_batchnorm, seed, batch, embedding
        As in `y2`.

    Raises
    ------
    ValueError
        An option is out of range.
    """
    if width <= 0:
        raise ValueError(f"width must be above 0, got {width}")
    if embedding < 1:
        raise ValueError(f"the embedding must have at least 1 value, got {embedding}")
    net = Network("mobilefacenet", fold_batchnorm=fold_batchnorm, seed=seed, batch=batch)

    def wide(channels: int) -> int:
        return max(8, round(channels * width / 8) * 8)

    x = _conv_act(net, net.image(normalize=False), "conv_1", wide(64), 3, stride=2)
    x = _conv_act(net, x, "conv_2_dw", wide(64), 3, groups=wide(64))
    x = _bottleneck(net, x, "dconv_23", expanded=wide(128), channels=wide(64), stride=2)
    x = _bottlenecks(net, x, "res_3", count=4, expanded=wide(128))
    x = _bottleneck(net, x, "dconv_34", expanded=wide(256), channels=wide(128), stride=2)
    x = _bottlenecks(net, x, "res_4", count=6, expanded=wide(256))
    x = _bottleneck(net, x, "dconv_45", expanded=wide(512), channels=wide(128), stride=2)
    x = _bottlenecks(net, x, "res_5", count=2, expanded=wide(256))
    x = _conv_act(net, x, "conv_6sep", wide(512), 1)
    x = net.conv_bn(x, "conv_6dw7_7_conv2d", wide(512), 7, groups=wide(512), pad=0)
    x = net.conv_bn(x, "conv_7", embedding, 1)
    return net.finish(net.node("Flatten", [x.name], "flatten", axis=1), embedding)


def _conv_act(
    net: Network, x: Feature, name: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> Feature:
    return net.prelu(net.conv_bn(x, f"{name}_conv2d", channels, kernel, stride=stride, groups=groups), f"{name}_relu")


def _bottleneck(net: Network, x: Feature, name: str, *, expanded: int, channels: int, stride: int = 1) -> Feature:
    x = _conv_act(net, x, f"{name}_conv_sep", expanded, 1)
    x = _conv_act(net, x, f"{name}_conv_dw", expanded, 3, stride=stride, groups=expanded)
    return net.conv_bn(x, f"{name}_conv_proj_conv2d", channels, 1)


def _bottlenecks(net: Network, x: Feature, name: str, *, count: int, expanded: int) -> Feature:
    for index in range(count):
        body = _bottleneck(net, x, f"{name}_block{index}", expanded=expanded, channels=x.channels)
        x = net.add(body, x, f"{name}_block{index}_add")
    return x
