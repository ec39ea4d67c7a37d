"""Networks as people write them in torch, exported, against a count of their modules made in torch by hooks.

Scaling, pooling, softmax, normalisation, interpolation and activations must add nothing, in whatever form the
exporter writes them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.onnx_graph.ir import from_model

from . import torch_networks

OPSETS = (11, 13, 17)


def exported(module: Any, path: Path, opset: int, *, training: bool) -> onnx.ModelProto:
    """Export through TorchScript; in training form BatchNorm stays a node and constants are computed in the graph."""
    import torch

    modes = torch.onnx.TrainingMode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is deprecated, and tracers warn about every size they read
        torch.onnx.export(
            module,
            (torch.rand(1, 3, 112, 112),),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=["data"],
            dynamic_axes={"data": {0: "N"}},
            training=modes.PRESERVE if training else modes.EVAL,
            do_constant_folding=not training,
        )
    return onnx.load(path)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("network", torch_networks.NETWORKS.values(), ids=torch_networks.NETWORKS)
def test_only_the_layers_count(network: Callable[[], Any], opset: int, tmp_path: Path) -> None:
    module = network().eval()
    facts = facts_of(from_model(exported(module, tmp_path / "model.onnx", opset, training=opset == 17), tmp_path))
    assert facts.macs == torch_networks.counted(module)
    assert (facts.uncounted, facts.problems, facts.assumed, facts.once) == ((), (), (), 0)
