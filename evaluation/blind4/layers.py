"""PyTorch networks written as functions: a layer is made where the function first calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody calls it
from torch import Tensor, nn

T: TypeAlias = Tensor
Body: TypeAlias = Callable[["Net", T], T]
#: A network as a part of another one: a function of images.
Part: TypeAlias = Callable[[T], T]


class Weight(nn.Module):
    """A parameter that is no part of a layer."""

    def __init__(self, value: T) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self) -> T:
        return self.value


class Net(nn.Module):
    """A network [N, 3, 112, 112] to [N, D] whose layers are made in the first call of ``body``, in order.

    Parameters
    ----------
    body
        Writes the network: takes this object, which has a method for each layer, and the images.
    """

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        self.kept = nn.ModuleList()
        self.made = False
        self._at = 0

    def forward(self, x: T) -> T:
        self._at = 0
        y = self.body(self, x)
        self.made = True
        return y

    def keep(self, make: Callable[[], nn.Module]) -> Any:
        """Return the next layer, which is made in the first call."""
        if not self.made:
            self.kept.append(make())
        self._at += 1
        return self.kept[self._at - 1]

    # ---- layers: the input's width is read off the input

    def weight(self, *shape: int, gain: float = 1.0) -> T:
        """Return a parameter, normal, divided by the root of the size of its last axis."""
        return cast(T, self.keep(lambda: Weight(gain * torch.randn(shape) / shape[-1] ** 0.5))())

    def conv(
        self, x: T, width: int, k: int | tuple[int, int] = 3, s: int | tuple[int, int] = 1, g: int = 1, **more: Any
    ) -> T:
        """Convolve with the padding that keeps the size at stride 1; ``g`` groups, -1 for depthwise."""
        kh, kw = (k, k) if isinstance(k, int) else k
        d = more.get("dilation", 1)
        more.setdefault("padding", (d * (kh - 1) // 2, d * (kw - 1) // 2))
        groups = x.shape[1] if g == -1 else g
        return cast(T, self.keep(lambda: nn.Conv2d(x.shape[1], width, (kh, kw), s, groups=groups, **more))(x))

    def deconv(self, x: T, width: int) -> T:
        return cast(T, self.keep(lambda: nn.ConvTranspose2d(x.shape[1], width, 2, 2))(x))

    def bn(self, x: T) -> T:
        layer = nn.BatchNorm1d if x.dim() == 2 else nn.BatchNorm2d
        return cast(T, self.keep(lambda: layer(x.shape[1]))(x))

    def gn(self, x: T, groups: int = 4) -> T:
        return cast(T, self.keep(lambda: nn.GroupNorm(groups, x.shape[1]))(x))

    def ln(self, x: T) -> T:
        return cast(T, self.keep(lambda: nn.LayerNorm(x.shape[-1]))(x))

    def ln2d(self, x: T) -> T:
        """LayerNorm over the channels of a map."""
        return self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def prelu(self, x: T) -> T:
        return cast(T, self.keep(lambda: nn.PReLU(x.shape[1], 0.25))(x))

    def linear(self, x: T, width: int, bias: bool = True) -> T:
        return cast(T, self.keep(lambda: nn.Linear(x.shape[-1], width, bias))(x))

    def cb(self, x: T, width: int, k: Any = 3, s: Any = 1, g: int = 1, **more: Any) -> T:
        """Conv without bias, BatchNorm."""
        return self.bn(self.conv(x, width, k, s, g, bias=False, **more))

    def cbr(self, x: T, width: int, k: Any = 3, s: Any = 1, g: int = 1, **more: Any) -> T:
        """Conv, BatchNorm, ReLU."""
        return F.relu(self.cb(x, width, k, s, g, **more))

    def cbp(self, x: T, width: int, k: Any = 3, s: Any = 1, g: int = 1, **more: Any) -> T:
        """Conv, BatchNorm, PReLU."""
        return self.prelu(self.cb(x, width, k, s, g, **more))

    def same(self, x: T, layer: Callable[[], nn.Module]) -> T:
        """Apply any other layer."""
        return cast(T, self.keep(layer)(x))

    # ---- blocks that many networks share

    def stem(self, x: T, width: int = 16) -> T:
        """Two strided convolutions: [N, 3, 112, 112] to [N, width, 28, 28]."""
        return self.cbr(self.cbr(x, width // 2, 3, 2), width, 3, 2)

    def down(self, x: T, width: int) -> T:
        return self.cbr(x, width, 3, 2)

    def res(self, x: T) -> T:
        """A basic residual block."""
        c = x.shape[1]
        return F.relu(x + self.cb(self.cbr(x, c), c))

    def inverted(self, x: T, width: int, s: int = 1, k: int = 3, factor: int = 2) -> T:
        """MobileNet's inverted residual with PReLU."""
        mid = x.shape[1] * factor
        y = self.cb(self.cbp(self.cbp(x, mid, 1), mid, k, s, -1), width, 1)
        return x + y if s == 1 and x.shape[1] == width else y

    def se(self, x: T, r: int = 4) -> T:
        y = F.relu(self.conv(x.mean((2, 3), keepdim=True), max(x.shape[1] // r, 2), 1))
        return x * torch.sigmoid(self.conv(y, x.shape[1], 1))

    def heads(self, x: T, count: int) -> tuple[T, T, T]:
        """Project tokens [N, L, C] to queries, keys and values [N, heads, L, C / heads]."""
        c = int(x.shape[-1])
        length = int(x.shape[1])
        made = self.linear(x, 3 * c).reshape(-1, length, 3, count, c // count).permute(2, 0, 3, 1, 4)
        return made[0], made[1], made[2]

    def attention(self, x: T, count: int = 2, bias: T | None = None) -> T:
        """Multi-head self-attention over tokens [N, L, C]."""
        q, k, v = self.heads(x, count)
        score = q @ k.transpose(-1, -2) * (int(x.shape[-1]) / count) ** -0.5
        mixed = (score if bias is None else score + bias).softmax(-1) @ v
        return self.linear(mixed.transpose(1, 2).reshape(-1, int(x.shape[1]), int(x.shape[2])), int(x.shape[-1]))

    def block(self, x: T, count: int = 2, bias: T | None = None) -> T:
        """Add attention and a feed-forward layer, normalised before."""
        x = x + self.attention(self.ln(x), count, bias)
        return x + self.ff(self.ln(x))

    def ff(self, x: T, factor: int = 2) -> T:
        c = int(x.shape[-1])
        return self.linear(F.gelu(self.linear(x, factor * c)), c)

    def patches(self, x: T, width: int = 32, side: int = 16, places: bool = True) -> T:
        """Embed patches: [N, 3, 112, 112] to [N, (112 / side)², width]."""
        y = self.conv(x, width, side, side, padding=0).flatten(2).transpose(1, 2)
        return y + self.weight(1, y.shape[1], width, gain=2.0) if places else y

    def gdc(self, x: T, dim: int = 64) -> T:
        """MobileFaceNet's head: a depthwise convolution over the whole map, a linear layer, BatchNorm."""
        c, h, w = x.shape[1:]
        y = self.bn(self.conv(x, c, (h, w), 1, -1, padding=0, bias=False))
        return self.embed(y, dim)

    def embed(self, x: T, dim: int = 64) -> T:
        """Flatten, a linear layer, BatchNorm."""
        return self.bn(self.linear(x.flatten(1), dim))

    def pooled(self, x: T, dim: int = 64) -> T:
        return self.embed(x.mean((2, 3)), dim)


def window(x: T, side: int) -> T:
    """Cut a map [N, C, H, W] into windows: [N * windows, side², C]."""
    c, h, w = (int(size) for size in x.shape[1:])
    y = x.reshape(-1, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1)
    return y.reshape(-1, side * side, c)


def unwindow(x: T, side: int, h: int, w: int) -> T:
    """Undo `window`."""
    c = int(x.shape[-1])
    y = x.reshape(-1, h // side, w // side, side, side, c).permute(0, 5, 1, 3, 2, 4)
    return y.reshape(-1, c, h, w)


def shuffle(x: T, groups: int) -> T:
    """ShuffleNet's shuffle of channels, in operators that the exporter knows."""
    c, h, w = (int(size) for size in x.shape[1:])
    return x.reshape(-1, groups, c // groups, h, w).transpose(1, 2).reshape(-1, c, h, w)


def tokens(x: T) -> T:
    """[N, C, H, W] to [N, H * W, C]."""
    return x.flatten(2).transpose(1, 2)


def grid(x: T, h: int, w: int) -> T:
    """[N, H * W, C] to [N, C, H, W]."""
    return x.transpose(1, 2).reshape(-1, int(x.shape[-1]), h, w)
