"""Small networks with the building blocks of well-known ones, and a count of their multiply-accumulates by hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional


def counted(module: nn.Module) -> int:
    """Return the multiply-accumulates of convolutions, linear layers and attentions for one image."""
    total = 0

    def seen(layer: Any, inputs: Any, output: Any) -> None:
        nonlocal total
        if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.ConvTranspose2d):
            total += inputs[0].numel() // layer.in_channels * layer.weight.numel()
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, Attention):
            batch, tokens, width = inputs[0].shape
            total += 2 * batch * tokens * tokens * width

    hooks = [layer.register_forward_hook(seen) for layer in module.modules()]
    with torch.no_grad():
        module(torch.rand(1, 3, 112, 112))
    for hook in hooks:
        hook.remove()
    return total


def unit(cin: int, cout: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: Any = nn.PReLU) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(cout), act()
    )


class Excited(nn.Module):
    """Inverted residuals with squeeze-and-excitation, as in MobileNetV3 and EfficientNet; a normalised embedding."""

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.stem = unit(3, 8, 3, 4, act=act)
        self.wide, self.deep, self.narrow = unit(8, 16, 1, act=act), unit(16, 16, 5, 1, 16, act), nn.Conv2d(16, 8, 1)
        self.squeeze, self.excite = nn.Linear(16, 4), nn.Linear(4, 16)
        self.head = nn.Linear(8, 16)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        y = self.deep(self.wide(x))
        scale = functional.hardsigmoid(self.excite(functional.relu(self.squeeze(y.mean((2, 3))))))
        x = x + self.narrow(y * scale[:, :, None, None])
        return functional.normalize(self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1)))


class Shuffled(nn.Module):
    """Channel split and shuffle, a global depth-wise convolution, normalised pixels: ShuffleNetV2, MobileFaceNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch = unit(3, 16, 3, 4), unit(8, 8, 3, 1, 8)
        self.whole, self.head, self.last = nn.Conv2d(16, 16, 28, groups=16), nn.Linear(16, 8), nn.BatchNorm1d(8)

    def forward(self, x: Any) -> Any:
        x = self.stem((x - 127.5) / 128)
        left, right = x.chunk(2, 1)
        x = torch.cat([left, self.branch(right)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.last(self.head(self.whole(x).flatten(1)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Any, bias: Any = 0) -> Any:
        batch, tokens, width = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        scores = (q * (width // self.heads) ** -0.5) @ k.transpose(-2, -1) + bias
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, width))


class Transformer(nn.Module):
    """Two blocks with a learned scale on every branch (CaiT), the mean of the tokens at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, 32, 16, 16), nn.Parameter(torch.rand(1, 49, 32))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(5))
        self.attentions = nn.ModuleList(Attention(32, 4) for _ in range(2))
        self.mlps = nn.ModuleList(nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)) for _ in range(2))
        self.scale = nn.Parameter(torch.rand(32))

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        for i in range(2):
            x = x + self.scale * self.attentions[i](self.norms[2 * i](x))
            x = x + self.scale * self.mlps[i](self.norms[2 * i + 1](x))
        return self.norms[4](x).mean(1)


class Windows(nn.Module):
    """Shifted windows with a table of relative biases, then merged patches (Swin)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first = nn.Conv2d(3, 16, 8, 8), nn.LayerNorm(16)
        self.norm, self.attention = nn.LayerNorm(16), Attention(16, 2)
        self.table = nn.Parameter(torch.rand(169, 2))
        self.places = torch.arange(49 * 49) % 169
        self.merged, self.narrow = nn.LayerNorm(64), nn.Linear(64, 32, bias=False)

    def forward(self, x: Any) -> Any:
        x = self.first(self.patches(x).permute(0, 2, 3, 1))
        y = torch.roll(self.norm(x), (-3, -3), (1, 2))
        n, h, w, c = y.shape
        y = y.view(n, h // 7, 7, w // 7, 7, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 49, c)
        y = self.attention(y, self.table[self.places].view(49, 49, 2).permute(2, 0, 1)[None])
        y = y.view(n, h // 7, w // 7, 7, 7, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        x = x + torch.roll(y, (3, 3), (1, 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.narrow(self.merged(x)).mean((1, 2))


class Modern(nn.Module):
    """Depth-wise 7x7, normalisation over channels by hand, response normalisation, layer scale (ConvNeXt V1, V2)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 16, 4, 4), nn.Conv2d(16, 16, 7, 1, 3, groups=16)
        self.norm, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16)
        self.gamma, self.scale = nn.Parameter(torch.rand(32)), nn.Parameter(torch.rand(16))
        self.weight, self.shrink = nn.Parameter(torch.rand(16)), nn.Conv2d(16, 32, 2, 2)

    def over_channels(self, x: Any) -> Any:
        mean = x.mean(1, keepdim=True)
        spread = (x - mean).pow(2).mean(1, keepdim=True)
        return self.weight[:, None, None] * ((x - mean) / torch.sqrt(spread + 1e-6))

    def forward(self, x: Any) -> Any:
        x = self.over_channels(self.stem(x))
        y = functional.gelu(self.up(self.norm(self.deep(x).permute(0, 2, 3, 1))))
        response = torch.norm(y, p=2, dim=(1, 2), keepdim=True)
        y = self.gamma * (y * (response / (response.mean(-1, keepdim=True) + 1e-6))) + y
        x = x + (self.scale * self.down(y)).permute(0, 3, 1, 2)
        return self.shrink(self.over_channels(x)).mean((2, 3))


class Attended(nn.Module):
    """Attention over channels, places, rows and columns, and between branches (CBAM, coordinate attention, SK, ECA)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.other = unit(3, 16, 3, 4, act=nn.SiLU), unit(16, 16, 3, 1, 4, act=nn.ReLU)
        self.channel, self.place = nn.Conv2d(16, 16, 1), nn.Conv2d(2, 1, 7, padding=3)
        self.rows, self.columns, self.branch = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1), nn.Linear(16, 32)
        self.line, self.last = nn.Conv1d(1, 1, 3, padding=1), unit(16, 16, 3, 2, act=nn.SiLU)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        x = x * torch.sigmoid(self.channel(functional.adaptive_avg_pool2d(x, 1)))
        x = x * torch.sigmoid(self.place(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))
        x = x * torch.sigmoid(self.rows(x.mean(3, keepdim=True))) * torch.sigmoid(self.columns(x.mean(2, keepdim=True)))
        both = torch.stack([x, self.other(x)], 1)
        weights = self.branch(both.sum(1).mean((2, 3))).view(-1, 2, 16).softmax(1)
        x = self.last((both * weights[..., None, None]).sum(1))
        y = torch.sigmoid(self.line(x.mean((2, 3))[:, None])).transpose(1, 2)[..., None]
        return (x * y).mean((2, 3))


class Scales(nn.Module):
    """Maps of several sizes, interpolated and added, a deconvolution, group normalisation, generalised mean (HRNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = unit(3, 8, 3, 4), unit(8, 16, 3, 2)
        self.left, self.right, self.up = nn.Conv2d(8, 8, 1), nn.Conv2d(16, 8, 1), nn.ConvTranspose2d(8, 4, 2, 2)
        self.norm = nn.GroupNorm(2, 8)

    def forward(self, x: Any) -> Any:
        one = self.one(x)
        two = self.right(self.two(one))
        x = self.left(one) + functional.interpolate(two, scale_factor=2, mode="bilinear", align_corners=False)
        x = self.up(self.norm(x + functional.interpolate(two, size=one.shape[2:], mode="nearest")))
        return functional.normalize(functional.avg_pool2d(x, 2).clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "squeeze and excitation, hard swish": lambda: Excited(nn.Hardswish),
    "squeeze and excitation, swish": lambda: Excited(nn.SiLU),
    "shuffle": Shuffled,
    "transformer": Transformer,
    "windows": Windows,
    "modern convolutions": Modern,
    "attentions": Attended,
    "several scales": Scales,
}
