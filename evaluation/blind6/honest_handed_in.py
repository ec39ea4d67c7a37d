"""Honest: trained, then merged, pruned or factored; or given the names and forms of other tools; or of raw pixels."""

from __future__ import annotations

import onnx.version_converter
import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind5.tails import tail
from evaluation.blind6.honest_forms import (
    Factored,
    Pruned,
    by_onnxruntime,
    converted,
    copied_constants,
    gemm_apart,
    hashed_names,
    honest_form,
    merged,
    norms_as_products,
    old_names,
    paddle_names,
    weights_as_inputs,
    weights_as_nodes,
)

assert onnx.version_converter is not None


def to_one(x: T) -> T:
    return (x - 127.5) * 0.0078125


def by_imagenet(x: T) -> T:
    """ImageNet's statistics in 0 to 255."""
    mean = torch.tensor([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1)
    return (x - mean) * torch.tensor([0.01712, 0.01751, 0.01743]).reshape(1, 3, 1, 1)


def by_itself(x: T) -> T:
    """Take each image's own mean off, and divide by its deviation."""
    y = x - x.mean((1, 2, 3), keepdim=True)
    return y / ((y * y).mean((1, 2, 3), keepdim=True) + 1.0).sqrt()


def by_colour_covariance(x: T) -> T:
    """Whiten the colours by a stored covariance, as AlexNet's principal components."""
    turn = torch.tensor([[0.58, 0.58, 0.57], [0.71, -0.02, -0.70], [-0.40, 0.81, -0.42]])
    return F.conv2d((x - 120.0) * 0.016, (turn * torch.tensor([[0.6], [2.0], [3.5]]))[:, :, None, None])


def by_video_range(x: T) -> T:
    """YCbCr of 0 to 255, luma 16 to 235, chroma about 128."""
    m = torch.tensor([[0.257, 0.504, 0.098], [-0.148, -0.291, 0.439], [0.439, -0.368, -0.071]])
    y = F.conv2d(x, m[:, :, None, None], torch.tensor([16.0, 128.0, 128.0]))
    return (y - 128.0) * 0.0078


@honest_form("RepVGG after its branches were merged: a plain chain of 3x3 layers.", idea="merged", trained=5, opset=12)
def repvgg_merged(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = F.relu(merged(n, F.relu(merged(n, x, width, s=2)), width))
    return n.embed(x)


@honest_form("MobileOne merged: depthwise and pointwise layers, four branches each in training.", idea="merged",
             trained=4)  # fmt: skip
def mobileone_merged(n: Net, x: T) -> T:
    x = F.relu(merged(n, x, 12, s=2))
    for width in (16, 24, 32):
        x = F.relu(merged(n, x, x.shape[1], (3, 3, 3, 1), 2, -1))
        x = F.relu(merged(n, x, width, (1, 1, 1)))
    return n.gdc(x, 512)


@honest_form("RepViT merged: depthwise mixer, squeeze and excite, pointwise channel mixer with a shortcut.",
             idea="merged", trained=4, opset=14)  # fmt: skip
def repvit_merged(n: Net, x: T) -> T:
    x = F.gelu(n.cb(F.gelu(n.cb(x, 12, 3, 2)), 16, 3, 2))
    for _ in range(2):
        y = n.se(merged(n, x, 16, (3, 1), 1, -1))
        x = y + n.cb(F.gelu(n.cb(y, 32, 1)), 16, 1)
    return tail(n, x)


@honest_form(
    "FastViT merged: a stem of re-parametrised layers, 7x7 depthwise with a merged 3x3.",
    idea="merged",
    trained=4,
    opset=13,
)
def fastvit_merged(n: Net, x: T) -> T:
    x = F.gelu(merged(n, F.gelu(merged(n, x, 12, s=2)), 12, (3, 1), 2, -1))
    for width in (24, 32):
        x = F.gelu(n.cb(merged(n, x, x.shape[1], (7, 3), 2, -1), width, 1))
        x = x + 0.3 * n.conv(F.gelu(n.conv(merged(n, x, width, (7,), 1, -1), 2 * width, 1)), width, 1)
    return n.embed(x)


@honest_form("Pruned by magnitude after training, half of the weights are stored zeros.", idea="pruned", trained=6)
def pruned_after_training(n: Net, x: T) -> T:
    for narrow, width in ((3, 16), (16, 24), (24, 32), (32, 40)):
        x = F.relu(n.bn(n.same(x, lambda a=narrow, b=width: Pruned(a, b, 0.5))))  # type: ignore[misc]
    return n.embed(x, 256)


@honest_form("The trained head, factored by its singular values into two layers of rank 24.", idea="low rank",
             trained=6, opset=13)  # fmt: skip
def head_by_singular_values(n: Net, x: T) -> T:
    y = n.stem(x)
    y = n.cbp(n.cbp(y, 24, 3, 2), 32, 3, 2).flatten(1)
    return n.bn(n.same(y, lambda: Factored(1568, 96, 24)))


@honest_form("Partial FC's iResNet, BatchNorm apart, nodes named as PyTorch 1.8 did.", idea="tools", trained=5,
             norms_apart=True, forms=(old_names,))  # fmt: skip
def partial_fc_iresnet(n: Net, x: T) -> T:
    x = n.cbp(x, 12)
    for width in (16, 20, 24, 32):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
        x = n.cb(n.cbp(n.bn(x), width), width) + x
    return n.embed(n.bn(x), 128)


@honest_form("ArcFace of MXNet's age: IR version 3's weights among the inputs, opset 9's forms.", idea="tools",
             norms_apart=True, forms=(weights_as_inputs,))  # fmt: skip
def weights_listed_as_inputs(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.se(n.cb(n.cbp(n.bn(x), width), width, 3, 2)) + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x))


@honest_form("Paddle's names and a matrix product apart from its bias.", idea="tools", trained=4,
             forms=(gemm_apart, paddle_names), norms_apart=True, opset=12)  # fmt: skip
def paddle_named_mobile(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2)
    return n.gdc(x)


@honest_form("Caffe's BatchNorm and Scale as a product and a sum each.", idea="tools", norms_apart=True,
             forms=(norms_as_products, gemm_apart))  # fmt: skip
def scale_layers_of_caffe(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 5, 2)
    for width in (20, 28, 36):
        x = F.relu(n.cb(n.cbr(x, width), width, 3, 2) + n.cb(x, width, 1, 2))
    return n.embed(x, 32)


@honest_form("A block shared in depth whose weights the exporter wrote once for every use.", idea="tools",
             forms=(copied_constants,), trained=3, opset=13)  # fmt: skip
def shared_weights_written_thrice(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 20)
    a, b = n.weight(20, 20, 3, 3, gain=0.4), n.weight(20, 20, 3, 3, gain=0.3)
    for _ in range(3):
        x = x + F.conv2d(F.relu(F.conv2d(x, a, padding=1)), b, padding=1)
    return tail(n, n.bn(x), dim=128)


@honest_form("Every weight in a Constant node and names of hashes.", idea="tools", trained=4,
             forms=(hashed_names, weights_as_nodes), opset=16)  # fmt: skip
def constants_and_hashes(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        x = F.silu(n.cb(n.se(x), width, 3, 2))
    return n.gdc(x, 512)


@honest_form("A transformer saved by onnxruntime's optimiser.", idea="tools", forms=(by_onnxruntime,), opset=14,
             trained=3)  # fmt: skip
def saved_by_onnxruntime(n: Net, x: T) -> T:
    t = n.block(n.block(n.patches(x, 24)))
    return n.embed(n.ln(t).mean(1))


@honest_form("Exported at opset 11, converted to 17 by ONNX.", idea="tools", forms=(converted(17),), trained=4)
def converted_upwards(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.cb(n.cbr(x, width, 1), width, 3, 2)
        x = F.relu(y + n.cb(F.avg_pool2d(x, 2), width, 1))
    return n.embed(x.mean((2, 3), keepdim=True))


@honest_form("A batch of one in the file, sizes by arithmetic on shapes.", idea="tools", batch=1, fold=False, opset=11)
def fixed_batch_by_shapes(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    y = x.view(-1, 6, 4, x.size(2) * x.size(3)).mean(2).view(-1, 6, x.size(2), x.size(3))
    return tail(n, n.cbr(torch.cat([x, y], 1), 24))


@honest_form("Pixels of 0 to 255: 127.5 off and 128 under, by Sub and Mul, as the server looks for.", idea="raw",
             before=to_one, forms=(old_names,), trained=5)  # fmt: skip
def raw_sub_and_mul(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cb(n.cbp(n.bn(x), width), width, 3, 2) + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x), 128)


@honest_form("Pixels of 0 to 255 less ImageNet's means, over its deviations.", idea="raw", before=by_imagenet,
             forms=(old_names,), opset=12, trained=4)  # fmt: skip
def raw_imagenet_statistics(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        y = F.silu(n.cb(F.silu(n.cb(x, 2 * width, 1)), 2 * width, 3, 2, -1))
        x = n.cb(n.se(y), width, 1)
    return n.gdc(x, 96)


@honest_form("Pixels of 0 to 255, each image less its own mean and over its own deviation.", idea="raw",
             before=by_itself, forms=(old_names,), opset=13)  # fmt: skip
def raw_standardised_by_itself(n: Net, x: T) -> T:
    return tail(n, n.cbr(x, 16, 5, 2))


@honest_form("Pixels of 0 to 255, colours whitened by a stored covariance.", idea="raw", before=by_colour_covariance,
             forms=(old_names,), trained=4)  # fmt: skip
def raw_whitened_colours(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 7, 2)
    return n.embed(n.down(n.res(n.down(n.down(x, 16), 24)), 32))


@honest_form("Pixels of 0 to 255 as luma and chroma of video, about 128.", idea="raw", before=by_video_range,
             forms=(old_names,), opset=14)  # fmt: skip
def raw_video_planes(n: Net, x: T) -> T:
    y = torch.cat([n.cbr(x[:, :1], 10, 5, 2), n.cbr(x[:, 1:], 6, 5, 2)], 1)
    return tail(n, n.res(n.down(y, 24)), dim=32)
