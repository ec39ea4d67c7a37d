"""The networks: a small model of each family of timm, its weights, its flip tests, and what each exporter makes of it.

This module needs torch and timm, the others of this package do not.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import onnx
import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evaluation.images import SIDE, faces
from evaluation.timm_families.record import Candidate, Family, Versions

WIDTH = 512
#: The largest networks that are judged.
MOST_PARAMETERS, MOST_MACS = 60e6, 2e9
#: Families whose smallest models are larger are made narrow, where they have a width to give.
NARROW = {"embed_dim": 192, "depth": 6, "num_heads": 3}
NARROWED: dict[str, dict[str, Any]] = {
    "beit_base_patch16_224": NARROW,
    "deepseek_vit_412m": NARROW,
    "gemma4_vit_167m": NARROW,
    "naflexvit_base_patch16_gap": NARROW,
    "qwen3_vit_88m": NARROW,
    "samvit_base_patch16_224": NARROW | {"global_attn_indexes": (2, 5)},
    "nasnetalarge": {"stem_size": 32, "num_features": 1056},
}
#: Models of a family that are tried, the smallest first, before it counts as one that cannot be exported.
TRIED = 3
#: Operator sets of the exporter of TorchScript, the second where an operator is missing in the first; 13 is the newest
#: that the evaluation server loads. That of torch.export writes 18 and newer.
OPSETS = {"torchscript": (13, 17), "dynamo": (18,)}
#: Layer scales that start near 0 would make a fresh layer one that does nothing.
NEARLY_ZERO, SCALED = 0.1, 0.3
#: Where the cosine similarity of the embeddings of untrained weights is larger, the last layer centres them.
ALL_THE_SAME = 0.99999


class LeftOutError(ValueError):
    """A network that is not judged, and why."""


def versions() -> Versions:
    """Return the versions of what makes the networks."""
    return Versions(timm=timm.__version__, torch=str(torch.__version__), onnx=onnx.__version__)


def families() -> Iterator[Family]:
    """Yield the families, a module of timm.models each, with their smallest models."""
    modules = timm.models._registry._model_to_module
    found: dict[str, list[Candidate]] = {}
    for name in timm.list_models():
        if name.startswith("test_"):
            continue
        candidates = found.setdefault(modules[name], [])
        try:
            with torch.device("meta"):
                model = timm.create_model(name, num_classes=WIDTH, **NARROWED.get(name, {}))
        except Exception:  # the library raises anything, and some networks compute with their weights when made
            continue
        candidates.append(Candidate(name, size(model)))
    for family, candidates in found.items():
        if not candidates:
            names = [name for name in timm.list_models() if modules[name] == family and not name.startswith("test_")]
            candidates += [Candidate(name, 0) for name in names]
        yield Family(family, tuple(sorted(candidates, key=lambda each: each.parameters)[:TRIED]))


def size(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(weights.numel() for weights in model.parameters())


def built(name: str, parameters: int = 0) -> nn.Module:
    """Make a model with weights from a seed, and BatchNormalization that measured made-up faces.

    Raises
    ------
    LeftOutError
        The network is larger than the limits.
    Exception
        Whatever timm raises for a network that cannot be made or run at 112 x 112.
    """
    if parameters > MOST_PARAMETERS:  # as counted before: one that is too large is not made
        raise LeftOutError(f"{parameters / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images = torch.from_numpy(faces(8, 999))
    settings = {"num_classes": WIDTH, "exportable": True, **NARROWED.get(name, {})}
    try:
        model = timm.create_model(name, img_size=SIDE, **settings)
    except TypeError:  # a network without an own size
        model = timm.create_model(name, **settings)
    model.eval().requires_grad_(False)
    with torch.no_grad():
        macs = counted(model, images[:1])
        if macs > MOST_MACS:
            raise LeftOutError(f"{macs / 1e9:.1f} billion multiply-adds")
        loosen(model)
        measure(model, images)
        embeddings = model(images)
        if nn.functional.cosine_similarity(embeddings[:1], embeddings[1:]).min() > ALL_THE_SAME:
            model.get_classifier().bias.sub_(embeddings.mean(0))
            embeddings = model(images)
    if embeddings.shape != (len(images), WIDTH) or not torch.isfinite(embeddings).all():
        raise LeftOutError(f"no finite embeddings of {WIDTH} values, but {list(embeddings.shape)}")
    return cast(nn.Module, model)


def counted(model: nn.Module, images: Tensor) -> float:
    """Return the multiply-adds of a run."""
    counter = FlopCounterMode(display=False)
    with counter:
        model(images)
    return float(counter.get_total_flops()) / 2


def loosen(model: nn.Module) -> None:
    """Give values of their own to parameters that all start the same: fresh, they do nothing."""
    random = torch.Generator().manual_seed(1)
    for label, weights in model.named_parameters():
        same = weights.numel() > 1 and bool((weights == weights.flatten()[0]).all())
        if weights.dim() > 1 and not same:
            continue
        small = same and 0 <= float(weights.flatten()[0]) < NEARLY_ZERO
        scales = any(word in label.rpartition(".")[2] for word in ("gamma", "scale")) or ".ls" in label
        weights.add_(torch.randn(weights.shape, generator=random) * 0.1)
        if small and scales:
            weights.add_(SCALED)


def measure(model: nn.Module, images: Tensor) -> None:
    """Let every BatchNormalization measure images; all else stays as it is when it is used."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    model(images)
    for norm in norms:
        norm.momentum = 0.1
    model.eval()


class FlipTwice(nn.Module):
    """The embedding of the image plus that of its mirror image, by two runs."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.body(torch.flip(x, [3]))


class FlipInBatch(FlipTwice):
    """The same by one run of both, one below the other in the batch."""

    def forward(self, x: Tensor) -> Tensor:
        both = self.body(torch.cat([x, torch.flip(x, [3])]))
        count = x.shape[0]
        return both[:count] + both[count:]


FORMS = {"plain": lambda body: body, "flip by two runs": FlipTwice, "flip in the batch": FlipInBatch}


def exported(model: nn.Module, exporter: str) -> onnx.ModelProto:
    """Export by ``torchscript`` or ``dynamo``, with a batch of any size.

    Raises
    ------
    Exception
        Whatever the exporter raises for the oldest operator set that it was asked for.
    """
    first: Exception | None = None
    for opset in OPSETS[exporter]:
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                return _exported(model, exporter, opset)
        except Exception as error:  # the exporters raise anything
            first = first or error
    raise first or AssertionError


def _exported(model: nn.Module, exporter: str, opset: int) -> onnx.ModelProto:
    images = torch.from_numpy(faces(2, 5))
    settings: dict[str, Any] = {"input_names": ["data"], "output_names": ["fc"], "opset_version": opset}
    if exporter == "dynamo":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            settings |= {"dynamic_shapes": ({0: torch.export.Dim("N")},), "external_data": False, "verbose": False}
            torch.onnx.export(model, (images,), str(path), dynamo=True, **settings)
            return onnx.load(str(path))
    written = io.BytesIO()
    axes = {"data": {0: "N"}, "fc": {0: "N"}}
    torch.onnx.export(model, (images,), cast(Any, written), dynamo=False, dynamic_axes=axes, **settings)
    return onnx.load_from_string(written.getvalue())
