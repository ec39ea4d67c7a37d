"""Honest: networks of papers and libraries about faces that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def ir(n: Net, x: T, width: int, s: int = 2) -> T:
    """Apply a residual unit of faces: BatchNorm, convolution, PReLU, convolution."""
    y = n.cb(n.cbp(n.bn(x), width), width, 3, s)
    return y + (x if s == 1 and x.shape[1] == width else n.cb(x, width, 1, s))


def faces_trunk(n: Net, x: T, last: int = 32) -> T:
    """Go from the image to a map of 7 x 7 by four residual units."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, last):
        x = ir(n, x, width)
    return x


def affine(n: Net, x: T) -> T:
    """Scale and shift channels, as dlib writes a BatchNorm after training."""
    c = int(x.shape[1])
    return x * (1 + n.weight(1, c, 1, 1, gain=0.2)) + n.weight(1, c, 1, 1, gain=0.2)


@honest_torch("dlib's ResNet of 29 layers: affine layers, 2x2 means and empty channels as shortcuts, fc, BatchNorm.",
              idea="face libraries", opset=12, trained=3)  # fmt: skip
def dlib_affine_resnet(n: Net, x: T) -> T:
    x = F.max_pool2d(F.relu(affine(n, n.conv(x, 12, 7, 2, padding=0))), 3, 2)
    for width in (16, 24):
        y = affine(n, n.conv(F.relu(affine(n, n.conv(x, width, 3, 2))), width))
        skip = F.avg_pool2d(x, 2, 2, ceil_mode=True)
        x = F.relu(y + F.pad(skip, (0, 0, 0, 0, 0, width - int(x.shape[1]))))
        x = F.relu(x + affine(n, n.conv(F.relu(affine(n, n.conv(x, width))), width)))
    return n.bn(n.linear(x.mean((2, 3)), 128, bias=False))


@honest_torch("OpenVINO's face-reidentification-retail: MobileNetV2 with PReLU, a 7x7 depthwise end, 1x1 to 256.",
              idea="face libraries", trained=4, opset=11)  # fmt: skip
def openvino_retail_reidentification(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(n.inverted(x, width, 2, 3, 3), width)
    x = n.cb(n.cbp(x, 64, 1), 64, 7, 1, -1, padding=0)
    return n.conv(x, 256, 1).flatten(1)


@honest_torch("DR-GAN's encoder: ELU behind each layer, a mean over the map, features times a learned confidence.",
              idea="face papers", opset=13)  # fmt: skip
def dr_gan_encoder(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = F.elu(n.cb(F.elu(n.cb(x, width, 3, 2)), width))
    y = n.bn(F.elu(n.cb(x, 96)).mean((2, 3)))
    return y[:, :80] * torch.sigmoid(n.linear(y[:, 80:], 1))


@honest_torch("p-CNN: one pooled feature, three identity layers for poses, weighed by a soft guess of the pose.",
              idea="face papers", trained=4, opset=11)  # fmt: skip
def pose_directed_branches(n: Net, x: T) -> T:
    y = n.bn(faces_trunk(n, x, 48).mean((2, 3)))
    pose = n.linear(F.relu(n.linear(y, 16)), 3).softmax(1)
    parts = torch.stack([n.linear(y, 96) for _ in range(3)], 1)
    return n.bn((parts * pose.unsqueeze(2)).sum(1))


@honest_torch("HPDA: a pyramid of local gates on features, then products of two stages pooled (hierarchical bilinear).",
              idea="face papers", opset=12)  # fmt: skip
def hierarchical_diverse_attention(n: Net, x: T) -> T:
    x = ir(n, ir(n, n.cbp(x, 12, 3, 2), 16), 24)
    low, x = x, ir(n, x, 32)
    made = []
    for cells in (1, 7):
        y = F.avg_pool2d(x, 7 // cells) if cells == 1 else x
        made.append((y * torch.sigmoid(n.conv(F.relu(n.conv(y, 8, 1)), 1, 1))).mean((2, 3)))
    both = n.conv(F.max_pool2d(low, 2), 40, 1) * n.conv(x, 40, 1)
    return n.embed(torch.cat([*made, both.mean((2, 3))], 1), 128)


@honest_torch("DSA-Face: four maps of attention over the places of the last features, each made sparse by a threshold.",
              idea="face papers", trained=3, opset=13)  # fmt: skip
def diverse_sparse_attentions(n: Net, x: T) -> T:
    x = faces_trunk(n, x)
    a = F.relu(torch.sigmoid(n.cb(x, 4, 1)).flatten(2) - 0.3)
    a = a / (a.sum(2, keepdim=True) + 1e-3)
    return n.embed(a @ tokens(x), 128)


@honest_torch("FaceLiVT: RepMix units with branches as trained, then heads that are linear layers over the places.",
              idea="face transformers", trained=4, opset=17)  # fmt: skip
def facelivt_linear_heads(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        x = x + n.bn(x) + n.cb(x, int(x.shape[1]), 3, 1, -1)
        x = n.cb(F.gelu(n.cb(x, width, 3, 2)), width, 1)
    t = tokens(n.bn(x))
    a, b = t.transpose(1, 2).chunk(2, 1)
    mixed = [n.linear(F.gelu(n.linear(part, 98)), 49) for part in (a, b)]
    t = t + n.linear(torch.cat(mixed, 1).transpose(1, 2), 32)
    t = t + n.ff(n.ln(t))
    return n.gdc(grid(t, 7, 7), 512)


@honest_torch("CFormerFaceNet: depthwise units with hard swish, then attention of two heads on the small map, GDC.",
              idea="face transformers", opset=14)  # fmt: skip
def cformer_facenet(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = n.cb(F.hardswish(n.cb(F.hardswish(n.cb(x, 2 * width, 1)), 2 * width, 5, 2, -1)), width, 1)
    t = n.ln(tokens(x) + tokens(n.conv(x, 32, 3, 1, -1)))
    t = t + n.attention(t)
    return n.gdc(grid(t + n.ff(n.ln(t)), 7, 7), 256)


@honest_torch("TF-NAS as FaceX-Zoo has it: MBConv of different kernels and widths, swish first, gates in some.",
              idea="face libraries", trained=4, opset=13)  # fmt: skip
def tf_nas_searched(n: Net, x: T) -> T:
    x = F.relu(n.cb(x, 12, 3, 2))
    for width, k, wide, gate, act in ((16, 3, 30, False, F.relu), (24, 5, 44, True, F.silu), (32, 3, 84, True, F.silu)):
        y = act(n.cb(act(n.cb(x, wide, 1)), wide, k, 2, -1))
        x = n.cb(n.se(y) if gate else y, width, 1)
    return n.embed(n.bn(x), 512)


@honest_torch("DeepVisage: maximum pooling between residual stages, the feature standardised before the loss.",
              idea="face papers", opset=11)  # fmt: skip
def deepvisage_standardised(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = F.max_pool2d(n.cbp(x, width), 2)
        x = x + n.prelu(n.conv(n.prelu(n.conv(x, width)), width))
    return n.bn(n.same(n.linear(x.flatten(1), 512), lambda: torch.nn.Dropout(0.5)))


@honest_torch("FaceXFormer: features of three stages as tokens; tokens for tasks read them, that of identity goes on.",
              idea="face transformers", opset=17)  # fmt: skip
def task_tokens_over_stages(n: Net, x: T) -> T:
    made: list[T] = []
    x = n.stem(x, 16)
    for width in (16, 24, 32):
        x = n.res(n.down(x, width)) if made else n.res(x)
        pool = {28: 4, 14: 2, 7: 1}[int(x.shape[2])]
        made.append(n.conv(F.max_pool2d(x, pool), 24, 1))
    t = n.ln(tokens(n.conv(torch.cat(made, 1), 24, 1)))
    task = n.weight(1, 4, 24, gain=3.0)
    for _ in range(2):
        k, v = n.linear(t, 24), n.linear(t, 24)
        read = (n.linear(task, 24) @ k.transpose(1, 2) * 24**-0.5).softmax(-1) @ v
        task = n.ln(task + read)
        task = task + n.attention(task)
    return n.bn(n.linear(task[:, 0], 128))


@honest_torch("MTCNN's output network as an encoder: layers without padding, PReLU, pools that round up.",
              idea="face detectors", trained=4, opset=11)  # fmt: skip
def mtcnn_output_network(n: Net, x: T) -> T:
    x = F.max_pool2d(n.prelu(n.conv(x, 12, 3, padding=0)), 3, 2, ceil_mode=True)
    x = F.max_pool2d(n.prelu(n.conv(x, 20, 3, padding=0)), 3, 2, ceil_mode=True)
    x = F.max_pool2d(n.prelu(n.conv(x, 28, 3, padding=0)), 2, 2, ceil_mode=True)
    x = F.max_pool2d(n.prelu(n.conv(x, 32, 2, padding=0)), 2, 2)
    return n.bn(n.linear(F.prelu(n.linear(x.flatten(1), 96), torch.tensor([0.25])), 96))


@honest_torch("YuNet's backbone: a plain first layer, then pointwise and depthwise pairs, one BatchNorm for each.",
              idea="face detectors", opset=12, trained=3)  # fmt: skip
def yunet_pairs(n: Net, x: T) -> T:
    def pair(y: T, width: int) -> T:
        return F.relu(n.bn(n.conv(n.conv(y, width, 1), width, 3, 1, -1)))

    x = F.relu(n.cb(x, 16, 3, 2))
    x = pair(n.conv(x, 16, 1), 16)
    for width in (24, 32, 32):
        x = pair(pair(F.max_pool2d(x, 2), width), width)
    return n.embed(x, 128)


@honest_torch("LFFD: strided layers without padding, then long plain residuals with ReLU before and after the sum.",
              idea="face detectors", opset=13, trained=3)  # fmt: skip
def lffd_long_residuals(n: Net, x: T) -> T:
    x = F.relu(n.conv(F.relu(n.conv(x, 12, 3, 2, padding=0)), 16, 3, 2, padding=0))
    for width in (16, 24, 32):
        if width > 16:
            x = F.relu(n.conv(x, width, 3, 2, padding=0))
        for _ in range(2):
            x = F.relu(x + 0.5 * n.conv(F.relu(n.conv(x, width)), width))
    return n.pooled(F.relu(n.conv(x, 64, 1)), 128)


@honest_torch("SSR-Net: one stream with ReLU and means, one with tanh and maxima, joined by products stage for stage.",
              idea="face papers", opset=12)  # fmt: skip
def soft_stages_of_two_streams(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    a, b, made = x, x, []
    for width in (16, 24, 32):
        a = F.avg_pool2d(n.cbr(a, width), 2)
        b = F.max_pool2d(torch.tanh(n.cb(b, width)), 2)
        made.append(n.bn(n.linear(F.relu(n.conv(a, 10, 1)).mean((2, 3)) * n.conv(b, 10, 1).amax((2, 3)), 48)))
    return torch.cat(made, 1)


@honest_torch("Distract your attention: four heads of spatial and channel gates, joined by log softmax and a sum.",
              idea="face papers", opset=13)  # fmt: skip
def distract_your_attention(n: Net, x: T) -> T:
    x, made = faces_trunk(n, x, 40), []
    for _ in range(4):
        y = x * torch.sigmoid(n.cb(F.relu(n.cb(x, 20, 1)), 40, (1, 3)) + n.cb(x, 40, (3, 1)))
        g = n.linear(F.relu(n.linear(y.mean((2, 3)), 8)), 40)
        made.append(y.mean((2, 3)) * torch.sigmoid(g))
    y = torch.stack(made, 1)
    return n.embed((y * (1 + y.log_softmax(1))).sum(1), 96)


@honest_torch("3DMM-CNN: 99 coefficients of shape of a ResNet, divided by the stored spread of each, as the feature.",
              idea="face papers", opset=11)  # fmt: skip
def shape_coefficients(n: Net, x: T) -> T:
    x = F.max_pool2d(n.cbr(x, 16, 7, 2), 3, 2, 1)
    for width in (24, 32):
        x = n.res(n.down(x, width))
    spread = torch.linspace(3.0, 0.4, 99)
    return n.linear(n.bn(x.mean((2, 3))), 99) / spread
