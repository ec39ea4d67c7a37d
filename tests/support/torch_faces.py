"""A small face network in torch, and files of it by the real exporters. Needs torch and onnxscript."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")


class Face(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is imported by name
    """Two blocks, 64 values an image.

    ``flat`` is how forward() flattens: "flatten", "baked" (to [1,-1]) or "view"; ``norm`` returns the norm as well.
    """

    def __init__(self, flat: str = "flatten", *, norm: str = "", channels_last: bool = False) -> None:
        super().__init__()
        torch.manual_seed(7)
        layers: list[Any] = []
        for old, new in ((3, 16), (16, 32), (32, 32), (32, 32)):
            conv = torch.nn.Conv2d(old, new, 3, 2, 1, bias=False)
            layers += [conv, torch.nn.BatchNorm2d(new), torch.nn.PReLU(new)]
        self.body = torch.nn.Sequential(*layers)
        self.fc = torch.nn.Linear(32 * 49, 64)
        self.bn = torch.nn.BatchNorm1d(64)
        self.flat, self.norm, self.channels_last = flat, norm, channels_last
        self._settle()

    def _settle(self) -> None:
        """Give every BatchNormalization the statistics of some images."""
        norms = [layer for layer in self.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
        for layer in norms:
            layer.momentum = None
        flat, norm, self.flat, self.norm = self.flat, self.norm, "flatten", ""
        last, self.channels_last = self.channels_last, False
        with torch.no_grad():
            for seed in range(3):
                low = torch.rand(8, 3, 14, 14, generator=torch.Generator().manual_seed(seed))
                self(torch.nn.functional.interpolate(low, size=(112, 112), mode="bilinear") * 2 - 1)
        self.flat, self.norm, self.channels_last = flat, norm, last
        self.eval()

    def forward(self, x: Any) -> Any:
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        x = self.body(x)
        match self.flat:
            case "baked":
                x = x.reshape(1, -1)
            case "view":
                x = x.view(x.size(0), -1)
            case _:
                x = torch.flatten(x, 1)
        x = self.bn(self.fc(x))
        if not self.norm:
            return x
        length = torch.norm(x, 2, 1, True)
        return {"last": (x / length, length), "first": (length, x / length), "alone": length}[self.norm]


def export(model: Any, path: Path, **more: Any) -> Path:
    """Write a file with torch's exporter; the traced one unless ``dynamo`` says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    batch = more.pop("batch", 1)
    shape = (batch, 112, 112, 3) if getattr(model, "channels_last", False) else (batch, 3, 112, 112)
    options = {"dynamo": False, "opset_version": 11, "input_names": ["data"], **more}
    if "dynamic_axes" not in options and not options["dynamo"]:
        options["dynamic_axes"] = {"data": {0: "N"}}
    quietly(torch.onnx.export, model, (torch.zeros(*shape),), str(path), **options)
    return path


def quietly(function: Any, *given: Any, **more: Any) -> Any:
    """Call an exporter without its warnings and its talk."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        return function(*given, **more)
