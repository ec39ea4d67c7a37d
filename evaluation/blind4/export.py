"""From a PyTorch network to an ONNX model: weights drawn, statistics measured, a short training, the exporter."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from evaluation.blind4.layers import Body, Net
from evaluation.case import seed_of
from evaluation.images import faces

T: TypeAlias = Tensor
#: What the input and the output are called, drawn by the name of the network.
INPUTS = ("data", "input", "x", "images")
OUTPUTS = ("fc", "embedding", "features", "output")


@contextmanager
def _one_thread(seed: int) -> Any:
    """Draw from the seed, on one thread, so that the same weights come out; leave PyTorch as it was."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _loosen(model: nn.Module) -> None:
    """Give one-dimensional parameters, which start at 0 and 1, values of their own."""
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() == 1:
                weights.add_(0.1 * torch.randn(weights.shape))


def _measure(model: nn.Module) -> None:
    """Measure the statistics of every BatchNorm on made-up images."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    with torch.no_grad():
        model(torch.from_numpy(faces(24, 999)))
    model.eval()


def _train(model: nn.Module, steps: int) -> None:
    """Train to tell made-up people apart, who are seen moved, noisy and in another light."""
    people = torch.from_numpy(faces(12, 321))
    model(people[:2])
    centres = nn.Parameter(torch.randn(12, model(people[:2]).shape[1]))
    chosen = torch.optim.Adam([*model.parameters(), centres], 2e-3)
    model.train()
    for _ in range(steps):
        who = torch.randperm(12)[:8]
        x = torch.roll(people[who], int(torch.randint(-4, 5, ())), 3)
        x = x * (0.8 + 0.4 * torch.rand(8, 1, 1, 1)) + 0.1 * torch.randn_like(x)
        cosines = nn.functional.normalize(model(x)) @ nn.functional.normalize(centres).T
        chosen.zero_grad()
        nn.functional.cross_entropy(16 * cosines, who).backward()
        chosen.step()
    model.eval()


@cache
def network(body: Body, seed: str, trained: int = 0) -> Net:
    """Return a network with its weights, the same for the same seed."""
    with _one_thread(seed_of(seed)):
        net = Net(body)
        with torch.no_grad():
            net.train()(torch.from_numpy(faces(4, 998)))
        _loosen(net)
        if trained:
            _train(net, trained)
        _measure(net)
    return net


class Whole(nn.Module):
    """Networks as parts of one: ``forward(parts, x)`` says how."""

    def __init__(self, forward: Callable[..., T], *parts: nn.Module) -> None:
        super().__init__()
        self.parts, self.how = nn.ModuleList(parts), forward

    def forward(self, x: T) -> T:
        return self.how(*self.parts, x)


def exported(
    model: nn.Module, name: str, opset: int = 11, batch: int | None = None, dynamo: bool = False, fold: bool = True
) -> onnx.ModelProto:
    """Export with the exporter of TorchScript, or with that of torch.export (``dynamo``); ``batch`` fixes the batch."""
    seed = seed_of(name)
    source, sink = INPUTS[seed % 4], OUTPUTS[seed // 4 % 4]
    images = torch.from_numpy(faces(batch or 2, 5))
    settings: dict[str, Any] = {"input_names": [source], "output_names": [sink], "opset_version": opset}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model.eval()
        if dynamo:
            shapes = None if batch else {"x": {0: torch.export.Dim("N")}}
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                torch.onnx.export(
                    model, (images,), str(path), dynamic_shapes=shapes, external_data=False, verbose=False, **settings
                )
                return onnx.load(str(path))
        axes = {} if batch else {source: {0: "N"}, sink: {0: "N"}}
        written = io.BytesIO()
        torch.onnx.export(
            model, (images,), cast(Any, written), dynamo=False, do_constant_folding=fold, dynamic_axes=axes, **settings
        )
    return onnx.load_from_string(written.getvalue())


def embedded(model: nn.Module, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Run a network in PyTorch."""
    with torch.no_grad():
        return np.asarray(model.eval()(torch.from_numpy(np.ascontiguousarray(images, np.float32))).numpy())
