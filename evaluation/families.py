"""Networks that nobody here wrote: one of each family of the timm library, exported by PyTorch, and the answer to each.

python -m evaluation.families                  # honest: every one must pass
python -m evaluation.families --flip           # each with a flip test inside: every one must fail
python -m evaluation.families --only convnext  # families whose name contains this

It needs timm and torchvision, which the project does not: ``pip install timm torchvision``. The weights are random, the
images 112 x 112. Families that PyTorch cannot export at that size are listed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from evaluation.case import BATCH_RULE
from evaluation.product import judge

#: Models of a family that are tried before it counts as one that cannot be exported.
TRIED = 4


def families(timm: Any) -> dict[str, list[str]]:
    """Return the names of the models of each family, the smallest first."""
    import torch

    found: dict[str, list[tuple[int, str]]] = {}
    for name in timm.list_models():
        family = timm.models._registry._model_to_module[name]
        if name.startswith("test_"):
            continue
        try:
            with torch.device("meta"):
                model = timm.create_model(name, pretrained=False)
        except Exception as error:  # the library raises anything
            print(f"         {name}: {str(error)[:80]}")
            continue
        found.setdefault(family, []).append((sum(p.numel() for p in model.parameters()), name))
    return {family: [name for _, name in sorted(sizes)[:TRIED]] for family, sizes in found.items()}


def build(timm: Any, name: str) -> Any:
    """Make a model whose normalisation has learned something: fresh ones have layers that do nothing."""
    import torch

    torch.manual_seed(0)
    try:
        model = timm.create_model(name, pretrained=False, num_classes=512, img_size=112)
    except TypeError:  # a network without an own size
        model = timm.create_model(name, pretrained=False, num_classes=512)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "running_mean", None) is not None:
                module.running_mean.normal_(0, 0.1, generator=random)
                module.running_var.uniform_(0.7, 1.4, generator=random)
        for label, weights in model.named_parameters():
            if weights.dim() == 1:
                weights.add_(torch.randn(weights.shape, generator=random) * 0.1)
            if "gamma" in label or "ls" in label:
                weights.add_(0.3)
    return model.eval()


def with_flip_test(model: Any) -> Any:
    """Return the model with its flip test inside."""
    import torch

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = model

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.body(torch.flip(x, [3]))

    return Twice()


def exported(model: Any) -> onnx.ModelProto:
    import torch

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            model, (torch.randn(2, 3, 112, 112),), str(path), dynamo=False, opset_version=17, input_names=["data"],
            output_names=["fc"], dynamic_axes={"data": {0: "N"}, "fc": {0: "N"}},
        )  # fmt: skip
        return onnx.load(str(path))


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge one model of each family; return 1 when an answer is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    import timm

    counts = {"right": 0, "wrong": 0, "not exported": 0}
    for family, names in families(timm).items():
        if options.only not in family:
            continue
        for name in names:
            try:
                model = build(timm, name)
                made = exported(with_flip_test(model) if options.flip else model)
            except Exception as error:  # the exporter raises anything
                reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
                continue
            answer = judge(made)
            right = BATCH_RULE in answer.failed if options.flip else not answer.failed | answer.undecided
            counts["right" if right else "wrong"] += 1
            print(f"{'right' if right else 'WRONG':8} {family}: {name}", flush=True)
            for rule in () if right else answer.outcomes:
                print(f"         {answer.message(rule)[:400]}")
            break
        else:
            counts["not exported"] += 1
            print(f"{'-':8} {family}: {reason}", flush=True)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return int(counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
