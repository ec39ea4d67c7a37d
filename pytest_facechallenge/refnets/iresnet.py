"""iResNets: the baselines of both challenges.

A unit is BatchNormalization, 3x3 convolution, BatchNormalization, PReLU, 3x3 convolution with the stride, and
BatchNormalization, added to its input (the "improved residual" unit of ArcFace, arXiv 1801.07698); the first
convolution of the network has stride 1, so that 112x112 ends at 7x7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.refnets.network import Network

if TYPE_CHECKING:
    import onnx

#: Units in each of the four stages, by depth.
UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
_CHANNELS = (64, 128, 256, 512)


def iresnet(
    depth: int,
    *,
    fold_batchnorm: bool = True,
    seed: int = 0,
    batch: int | str = "N",
    embedding: int = 512,
    drawn: int = 0,
) -> onnx.ModelProto:
    """ArcFace iResNet, the MFR21 baseline: [batch, 3, 112, 112] to [batch, embedding].

    The input is RGB scaled to (x - 127.5) / 127.5; the graph does not normalise.

    Parameters
    ----------
    depth
        18, 34, 50, 100 or 200.
    fold_batchnorm
        True: the exported form; False: the training graph (see `Network`).
    seed
        Seed of the weights.
    batch
        Name of the dynamic batch axis, or a fixed batch size.
    embedding
        Number of values in the embedding.
    drawn
        How many values of each layer's weights are drawn, see `Network`; 0: all.

    Raises
    ------
    ValueError
        Unknown depth, or an option out of range.
    """
    if depth not in UNITS:
        raise ValueError(f"an iResNet has depth {', '.join(map(str, UNITS))}; got {depth}")
    net = Network(f"iresnet{depth}", fold_batchnorm=fold_batchnorm, seed=seed, batch=batch, drawn=drawn)
    return _residual_network(net, UNITS[depth], normalize=False, embedding=embedding)


def r100fc(
    *, fold_batchnorm: bool = True, seed: int = 0, batch: int | str = "N", embedding: int = 512
) -> onnx.ModelProto:
    """Large baseline of LFR19: [batch, 3, 112, 112] to [batch, embedding].

    The convolutions are iResNet-100's. What differs: the input is RGB in 0..255 and the graph starts with
    (x - 127.5) / 128, and epsilon is 2e-5 (the MXNet network it stands for). Options and errors as in `iresnet`.
    """
    net = Network("r100fc", fold_batchnorm=fold_batchnorm, seed=seed, batch=batch, epsilon=2e-5)
    return _residual_network(net, UNITS[100], normalize=True, embedding=embedding)


def _residual_network(net: Network, units: tuple[int, ...], *, normalize: bool, embedding: int) -> onnx.ModelProto:
    x = net.prelu(net.conv_bn(net.image(normalize=normalize), "conv0", 64, 3), "relu0")
    for stage, (count, channels) in enumerate(zip(units, _CHANNELS, strict=True), start=1):
        for unit in range(1, count + 1):
            name = f"stage{stage}_unit{unit}"
            stride = 2 if unit == 1 else 1
            body = net.batch_norm(x, f"{name}_bn1")
            body = net.prelu(net.conv_bn(body, f"{name}_conv1", channels, 3), f"{name}_relu1")
            body = net.conv_bn(body, f"{name}_conv2", channels, 3, stride=stride)
            if unit == 1:
                x = net.conv_bn(x, f"{name}_conv1sc", channels, 1, stride=stride)
            x = net.add(body, x, f"{name}_add")
    return net.embedding_head(net.batch_norm(x, "bn1"), embedding)
