"""Two small face networks in PyTorch: one of separable convolutions, one of residual blocks; 128 values an image."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

WIDTH = 128


def _layer(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, curve: bool = True
) -> nn.Module:
    padding = 0 if kernel == 7 else kernel // 2
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.PReLU(outputs)] if curve else []))


class _Separable(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.added = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            _layer(inputs, wide, 1),
            _layer(wide, wide, 3, stride=stride, groups=wide),
            _layer(wide, outputs, 1, curve=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.added else y


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(inputs),
            _layer(inputs, outputs, 3),
            _layer(outputs, outputs, 3, stride=stride, curve=False),
        )
        same = stride == 1 and inputs == outputs
        self.beside = nn.Identity() if same else _layer(inputs, outputs, 1, stride=stride, curve=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x) + self.beside(x)
        return y


class _Face(nn.Module):
    """Images [N, 3, 112, 112], halved, through the layers of an architecture."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.halved(functional.avg_pool2d(x, 2))

    def halved(self, x: torch.Tensor) -> torch.Tensor:
        """Return the embeddings of images [N, 3, 56, 56]: training halves its images once, not in every step."""
        y: torch.Tensor = self.layers(x)
        return y


def separable() -> _Face:
    """Return a narrow network in the manner of MobileFaceNet (Chen et al., 2018), with random weights."""
    return _Face(
        _layer(3, 16, 3, stride=2),
        _Separable(16, 24, 2),
        _Separable(24, 24, 1),
        _Separable(24, 32, 2),
        _Separable(32, 32, 1),
        _layer(32, 128, 1),
        _layer(128, 128, 7, groups=128, curve=False),
        nn.Flatten(),
        nn.Linear(128, WIDTH, bias=False),
        nn.BatchNorm1d(WIDTH),
    )


def residual() -> _Face:
    """Return a narrow network in the manner of iResNet (Duta et al., 2020), with random weights."""
    return _Face(
        _layer(3, 12, 3, stride=2),
        _Residual(12, 24, 2),
        _Residual(24, 24, 1),
        _Residual(24, 40, 2),
        nn.BatchNorm2d(40),
        nn.Flatten(),
        nn.Linear(40 * 49, WIDTH, bias=False),
        nn.BatchNorm1d(WIDTH),
    )


ARCHITECTURES = {"separable": separable, "residual": residual}
