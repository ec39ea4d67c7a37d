"""Files by the real exporters and converters, and stand-ins for those that are not at hand."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import pytest

from tests.support.models import network, save


def plainest(folder: Path) -> Path:
    """torch's traced exporter without dynamic axes."""
    from tests.support.torch_faces import Face, export

    return export(Face(), folder / "model.onnx", dynamic_axes=None)


def keeping_initializers(folder: Path) -> Path:
    """The same with every weight listed as an input."""
    from tests.support.torch_faces import Face, export

    return export(Face(), folder / "model.onnx", keep_initializers_as_inputs=True)


def default_export(folder: Path) -> Path:
    """torch's exporter of today with its defaults."""
    from tests.support.torch_faces import Face, export

    return export(Face(), folder / "model.onnx", dynamo=True, opset_version=None, input_names=None)


def without_side_file(folder: Path) -> Path:
    """A model whose weights were left behind."""
    path = save(network(), folder / "model.onnx")
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    (folder / "model.onnx.data").unlink()
    return path


def half(folder: Path) -> Path:
    """What the converter of onnxconverter-common writes."""
    from tests.support.torch_faces import Face, export, quietly

    float16 = pytest.importorskip("onnxconverter_common.float16")
    model = onnx.load(str(export(Face(), folder / "float32.onnx")))
    return save(quietly(float16.convert_float_to_float16, model), folder / "model.onnx")


def channels_last(folder: Path) -> Path:
    """What tf2onnx writes of a Keras model."""
    from tests.remedies.test_converters import tf2onnx_like

    return save(tf2onnx_like(), folder / "model.onnx")


def two_outputs(folder: Path) -> Path:
    """The embedding and its norm, as AdaFace returns them."""
    from tests.support.torch_faces import Face, export

    return export(Face(norm="last"), folder / "model.onnx", output_names=["feature", "norm"])


def norm_alone(folder: Path) -> Path:
    """The norm, kept by mistake."""
    from tests.support.torch_faces import Face, export

    return export(Face(norm="alone"), folder / "model.onnx")


def saved_by_onnxruntime(folder: Path) -> Path:
    """What onnxruntime writes with its basic optimisations."""
    import onnxruntime

    given = save(network(), folder / "given.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "model.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnxruntime.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
    return folder / "model.onnx"


def trained(folder: Path) -> Path:
    """An export while training."""
    from tests.support.torch_faces import Face, export, torch

    return export(
        Face().train(), folder / "model.onnx", batch=2, training=torch.onnx.TrainingMode.TRAINING, opset_version=12,
        do_constant_folding=False,
    )  # fmt: skip


def quantised(folder: Path) -> Path:
    """What onnxruntime's dynamic quantisation writes."""
    from onnxruntime.quantization import quantize_dynamic

    from tests.support.torch_faces import Face, export, quietly

    given = export(Face(), folder / "given.onnx", opset_version=13)
    path = folder / "model.onnx"
    quietly(quantize_dynamic, str(given), str(path), op_types_to_quantize=["MatMul", "Gemm"])
    return path


def baked(folder: Path) -> Path:
    """A forward() that reshapes to [1,-1]."""
    from tests.support.torch_faces import Face, export

    return export(Face("baked"), folder / "model.onnx")


def swapping(folder: Path) -> Path:
    """A swap of channels by Gather."""
    from tests.situations.test_channel_swap import swapping as swapped

    return save(swapped("Gather"), folder / "model.onnx")
