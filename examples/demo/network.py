"""A narrow MobileFaceNet (Chen et al., "MobileFaceNets", 2018) and the CosFace head (Wang et al., 2018).

The paper's table of layers at half width or less and with fewer repeats: a network for drawings, not for faces.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

EMBEDDING = 256
# (expansion, output channels, repeats, stride of the first), the bottlenecks of the paper's table in its order.
_STAGES = ((2, 32, 3, 2), (4, 64, 1, 2), (2, 64, 4, 1), (4, 64, 1, 2), (2, 64, 2, 1))
_STEM = 16
_LAST = 256


def _conv(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, groups: int = 1, linear: bool = False
) -> nn.Sequential:
    """Convolution and BatchNorm, with PReLU unless `linear`."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if not linear:
        layers.append(nn.PReLU(outputs))
    return nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """Widen by 1x1, depthwise 3x3, narrow by a linear 1x1; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            _conv(inputs, wide, 1),
            _conv(wide, wide, 3, stride=stride, padding=1, groups=wide),
            _conv(wide, outputs, 1, linear=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.residual else y


class MobileFaceNet(nn.Module):
    """Images [N, 3, 112, 112], float32 in -1..1, RGB, to embeddings [N, EMBEDDING], not normalised."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            _conv(3, _STEM, 3, stride=2, padding=1),
            _conv(_STEM, _STEM, 3, padding=1, groups=_STEM),
        ]
        channels = _STEM
        for expansion, outputs, repeats, stride in _STAGES:
            for repeat in range(repeats):
                layers.append(Bottleneck(channels, outputs, expansion, stride if repeat == 0 else 1))
                channels = outputs
        layers += [
            _conv(channels, _LAST, 1),
            _conv(_LAST, _LAST, 7, groups=_LAST, linear=True),
            nn.Conv2d(_LAST, EMBEDDING, 1, bias=False),
            nn.BatchNorm2d(EMBEDDING),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.flatten(self.layers(x), 1)


class CosFace(nn.Module):
    """Cosine to one centre per person, the right one lowered by a margin, times a scale: logits for cross entropy."""

    def __init__(self, people: int, *, scale: float = 30.0, margin: float = 0.25) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(people, EMBEDDING) * 0.01)
        self.scale, self.margin = scale, margin

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        cosine = functional.linear(functional.normalize(embeddings), functional.normalize(self.centres))
        return self.scale * (cosine - self.margin * functional.one_hot(labels, len(self.centres)))
