"""Remedies, chosen by who wrote the file: one call to paste, with the file's own names, or a sentence.

A command is shown only where `tests/remedies` runs its very words and judges the result.
"""

from __future__ import annotations

import re

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.producer import Producer
from pytest_facechallenge.core.rulebook import Rule

_TORCH = (Producer.TORCH_SCRIPT, Producer.TORCH_DYNAMO)

ONE_FILE = (
    "Write the weights into the model's own file: python -c \"import onnx; onnx.save(onnx.load('model.onnx'), "
    "'model.onnx', save_as_external_data=False)\" where the side file lies beside it."
)
PACK = "Pack model.onnx alone: python -m zipfile -c submission.zip model.onnx"
PULL = "The file is a pointer of git-lfs: git lfs pull"
CHECKPOINT = (
    "This is a PyTorch checkpoint, not an ONNX model: build the network, load the checkpoint into it with "
    "load_state_dict, and export it."
)


def _producer(facts: Facts) -> Producer:
    found = facts.get(InterfaceFacts)
    return found.exporter if found is not None else Producer.UNKNOWN


def _opset(rule: Rule) -> int:
    return rule.book.runtime.max_opset if rule.book.runtime is not None else 0


def torch_call(facts: Facts, rule: Rule) -> str:
    """Return the call of torch's exporter that gives what the server loads, with the file's own names."""
    found = facts.get(InterfaceFacts)
    data = _plain(found.inputs[0].name if found is not None and found.inputs else "", "data")
    embedding = _plain(_embedding(found) if found is not None else "", "embedding")
    if embedding.isdigit():  # a name that the exporter gave and does not take
        embedding = "embedding"
    newest = _opset(rule)
    opset = f"opset_version={newest}, " if newest else ""
    return (
        f"torch.onnx.export(model.eval(), torch.zeros(1, 3, 112, 112), 'model.onnx', dynamo=False, {opset}"
        f"input_names=[{data!r}], output_names=[{embedding!r}], dynamic_axes={{{data!r}: {{0: 'N'}}}})"
    )


def _plain(name: str, other: str) -> str:
    """Return a name from the file where a shell takes it for nothing but a name, else ``other``."""
    return name if re.fullmatch(r"[\w./:-]+", name, re.ASCII) else other


def _embedding(found: InterfaceFacts) -> str:
    """Return the name of the output that is the embedding: the last extent is the largest one that is known."""

    def width(shape: tuple[int | str, ...] | None) -> int:
        return shape[-1] if shape and isinstance(shape[-1], int) else 0

    named = sorted(found.outputs, key=lambda value: -width(value.shape))
    return named[0].name if named else "embedding"


def export_again(facts: Facts, rule: Rule, first: str = "") -> str:
    """Return how to write the file again so that the server loads and feeds it.

    Parameters
    ----------
    first
        What to change before, a sentence.
    """
    newest = _opset(rule)
    opset = f"opset {newest}" if newest else "an opset of the server's time"
    match _producer(facts):
        case Producer.TORCH_SCRIPT | Producer.TORCH_DYNAMO:
            how = f"Export again with one call: {torch_call(facts, rule)}"
        case Producer.TF2ONNX:
            how = (
                f"Convert again with tf2onnx to {opset}, with the image's channels first. Or have a copy mended, where "
                f"the file begins with a Transpose or its opset alone is too new: {mend(rule)}"
            )
        case Producer.MXNET:
            how = f"Export again with mxnet's mx2onnx from a float32 model, with a symbolic batch and {opset}."
        case Producer.PADDLE:
            how = f"Convert again with paddle2onnx to {opset}, with -1 for the batch in the input's shape."
        case Producer.ONNXRUNTIME_OPTIMISED:
            how = (
                "onnxruntime wrote this file (optimized_model_filepath), for the machine it ran on: hand in the file "
                "that you gave it."
            )
        case Producer.QUANTISER:
            how = "A quantiser wrote this file: hand in the float32 model that you gave it."
        case _:
            how = f"Export again: {opset}, one float32 input [N,3,112,112] whose first axis is symbolic."
    return f"{first} {how}".strip()


def mend(rule: Rule) -> str:
    """Return the command that writes a mended copy, for faults that it mends."""
    return f"facechallenge repair model.onnx --out mended --track {rule.full_track}"


def keep_float32(facts: Facts, rule: Rule) -> str:
    """Return how to hand in weights as float32."""
    producer = _producer(facts)
    if producer is Producer.QUANTISER:
        return export_again(facts, rule)
    first = "Hand in the model that you converted; no float16 and no quantised weights are allowed."
    if producer in _TORCH:
        return f"{first} Or export it again from model.float(): {torch_call(facts, rule)}"
    return first


def one_output(facts: Facts, rule: Rule) -> str:
    """Return the call that leaves the embedding alone among the outputs."""
    found = facts.get(InterfaceFacts)
    names = [found.inputs[0].name, _embedding(found)] if found is not None and found.inputs else []
    if len(names) != 2 or not all(_plain(name, "") for name in names):
        return "Return only the embedding from forward(), float32 and flattened to [N,D], and export again."
    return (
        f"Keep {names[1]!r} alone: python -c \"import onnx.utils; onnx.utils.extract_model('model.onnx', "
        f"'embedding.onnx', [{names[0]!r}], [{names[1]!r}])\""
    )


def drop_imports() -> str:
    """Return the call that removes the opset imports that no node uses."""
    return (
        "Remove the imports that no node uses: python -c \"import onnx; m = onnx.load('model.onnx'); used = {n.domain "
        "for n in m.graph.node}; kept = [e for e in m.opset_import if e.domain in used]; del m.opset_import[:]; "
        "m.opset_import.extend(kept); onnx.save(m, 'model.onnx')\""
    )


def lower_ir(newest: int) -> str:
    """Return the call that writes the IR version of the server's time."""
    return (
        f"Write IR version {newest}: python -c \"import onnx; m = onnx.load('model.onnx'); m.ir_version = {newest}; "
        "onnx.save(m, 'model.onnx')\""
    )


def lower_opset(newest: int) -> str:
    """Return the call that writes an older opset, for a file whose nodes mean the same there."""
    return (
        f'Write opset {newest}, where every node of this file means the same: python -c "import onnx; m = '
        f"onnx.load('model.onnx'); [setattr(e, 'version', {newest}) for e in m.opset_import if not e.domain]; "
        "onnx.save(m, 'model.onnx')\""
    )
