"""VarGFaceNet, winner of LFR19's light track: grouped convolutions of fixed group *width* (arXiv 1910.04985)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.refnets.network import Network

if TYPE_CHECKING:
    import onnx

    from pytest_facechallenge.refnets.network import Feature

#: Channels per group in every grouped convolution: what makes the group count variable.
_GROUP_WIDTH = 8
#: Output channels and units of stages 2, 3 and 4: the paper's 64, 128 and 256 channels times 1.25.
_STAGES = ((2, 80, 3), (3, 160, 7), (4, 320, 4))
_SE_RATIO = 4


def vargfacenet(
    *,
    squeeze_excitation: bool = False,
    fold_batchnorm: bool = True,
    seed: int = 0,
    batch: int | str = "N",
    embedding: int = 512,
) -> onnx.ModelProto:
    """VarGFaceNet: [batch, 3, 112, 112] to [batch, embedding].

    The input is RGB in 0..255; the graph starts with (x - 127.5) / 128.

    Parameters
    ----------
    squeeze_excitation
        True adds the paper's channel gates to the units without branches. The network whose count is published
        (1022M FLOPs) has none.
    fold_batchnorm
        True: the exported form; False: the training graph (see `Network`).
    seed
        Seed of the weights.
    batch
        Name of the dynamic batch axis, or a fixed batch size.
    embedding
        Number of values in the embedding.

    Raises
    ------
    ValueError
        An option is out of range.
    """
    net = Network("vargfacenet", fold_batchnorm=fold_batchnorm, seed=seed, batch=batch, epsilon=2e-5)
    x = net.conv_bn(net.image(normalize=True), "vargface_head_conv1", 40, 3)
    x = net.prelu(x, "vargface_head_conv1_act")
    x = _unit(net, x, "vargface_head_head_pooling", gate=squeeze_excitation, factor=1, stride=2)
    for stage, channels, units in _STAGES:
        x = _branch_unit(net, x, f"vargface_stage_{stage}_unit_1", channels)
        for unit in range(2, units + 1):
            x = _unit(net, x, f"vargface_stage_{stage}_unit_{unit}", gate=squeeze_excitation)
    x = net.prelu(net.conv_bn(x, "embed_convx", 1024, 1), "embed_convx_act")
    x = net.conv_bn(x, "embed_convx_depthwise", 1024, 7, groups=1024 // _GROUP_WIDTH, pad=0)
    x = net.prelu(net.conv_bn(x, "embed_convx_pointwise", 512, 1), "embed_convx_pointwise_act")
    return net.embedding_head(x, embedding)


def _separable(net: Network, x: Feature, name: str, channels: int, *, factor: int = 2, stride: int = 1) -> Feature:
    """Widen by `factor` in a grouped 3x3 convolution with PReLU, then go to `channels` in a linear 1x1 convolution."""
    groups = x.channels // _GROUP_WIDTH
    x = net.conv_bn(x, f"{name}_conv2d_depthwise", x.channels * factor, 3, stride=stride, groups=groups)
    x = net.prelu(x, f"{name}_conv2d_depthwise_act")
    return net.conv_bn(x, f"{name}_conv2d_pointwise", channels, 1)


def _unit(net: Network, x: Feature, name: str, *, gate: bool, factor: int = 2, stride: int = 1) -> Feature:
    """Two separable convolutions beside the input, which passes a third one where the stride is not 1."""
    body = _separable(net, x, f"{name}_sep1_data", x.channels, factor=factor, stride=stride)
    body = net.prelu(body, f"{name}_sep1_data_conv2d_pointwise_act")
    body = _separable(net, body, f"{name}_sep2_data", x.channels, factor=factor)
    if gate:
        body = net.squeeze_excitation(body, f"{name}_se", _SE_RATIO)
    if stride != 1:
        x = _separable(net, x, f"{name}_shortcut", x.channels, factor=factor, stride=stride)
    return net.prelu(net.add(body, x, f"{name}_add"), f"{name}_out_data_act")


def _branch_unit(net: Network, x: Feature, name: str, channels: int) -> Feature:
    """Start of a stage: halve the map in two summed branches and in the shortcut."""
    first = _separable(net, x, f"{name}_sep1_data_branch", channels, stride=2)
    second = _separable(net, x, f"{name}_sep2_data_branch", channels, stride=2)
    body = net.prelu(net.add(first, second, f"{name}_sep1_data_add"), f"{name}_sep1_data_act")
    body = _separable(net, body, f"{name}_sep2_data", channels)
    shortcut = _separable(net, x, f"{name}_shortcut", channels, stride=2)
    return net.prelu(net.add(body, shortcut, f"{name}_add"), f"{name}_out_data_act")
