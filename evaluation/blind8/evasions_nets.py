"""Plain networks that the evasions of this set are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T


def light(n: Net, x: T) -> T:
    """Write a small LightCNN: of each pair of maps the larger one is kept."""
    for width, s in ((10, 4), (14, 2), (18, 2)):
        a, b = n.cb(x, 2 * width, 5 if s == 4 else 3, s).chunk(2, 1)
        x = torch.maximum(a, b)
    return n.embed(x)


def fire(n: Net, x: T) -> T:
    """Write a small SqueezeNet with fire modules."""
    x = F.max_pool2d(n.cbr(x, 16, 3, 2), 2)
    for width in (12, 16):
        y = n.cbr(x, 8, 1)
        x = F.max_pool2d(torch.cat([n.cbr(y, width, 1), n.cbr(y, width, 3)], 1), 2)
    return n.embed(x, 64)


def mixed(n: Net, x: T) -> T:
    """Write a small MixNet: depthwise kernels of three sizes."""
    x = n.cbr(x, 12, 3, 2)
    for width in (18, 24, 30):
        parts = n.cbr(x, width, 1).chunk(3, 1)
        y = torch.cat([n.conv(p, width // 3, k, 2, -1) for p, k in zip(parts, (3, 5, 7), strict=True)], 1)
        x = n.cb(F.hardswish(n.bn(y)), width, 1)
    return n.gdc(x)


def mixer(n: Net, x: T) -> T:
    """Write a small MLP-Mixer over 49 patches."""
    t = n.patches(x, 24, 16, places=False)
    for _ in range(2):
        t = t + n.linear(F.gelu(n.linear(n.ln(t).transpose(1, 2), 32)), 49).transpose(1, 2)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 64)


def vit(n: Net, x: T) -> T:
    """Write a small ViT over 49 patches."""
    t = n.patches(x, 32, 16)
    for _ in range(2):
        t = n.block(t)
    return n.embed(n.ln(t).mean(1), 64)


def shallow(n: Net, x: T) -> T:
    """Write a small iResNet with PReLU."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        y = n.prelu(n.cb(n.bn(x), width, 3))
        x = n.cb(y, width, 3, 2) + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x), 64)
