"""The repairs: one row each. Only what leaves every embedding as it is; the gathering step proves that it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from pytest_facechallenge.analyses.repair.layout import read_by, to_channels_first
from pytest_facechallenge.analyses.repair.lower import lower_opset
from pytest_facechallenge.analyses.repair.names import labels_of, name_normalisation
from pytest_facechallenge.analyses.repair.options import RepairOptions
from pytest_facechallenge.analyses.repair.training import set_to_inference
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.behaviour import BatchFacts
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.preprocessing import PreprocessingFacts
from pytest_facechallenge.inference.batch_repair import free_reshapes, make_batch_symbolic

#: The repair behind which images are fed in another layout than before.
LAYOUT = "layout"


@dataclass(frozen=True)
class Given:
    """What a repair may read beside the model.

    Attributes
    ----------
    facts
        About the model as it was handed in.
    options
        What the mended model has to be loaded by.
    labels
        How findings call every node of the main graph, in order; nodes keep their order and number until the last rows.
    """

    facts: Facts
    options: RepairOptions
    labels: list[str]


@dataclass(frozen=True)
class Repair:
    """One repair.

    Attributes
    ----------
    name, why
        For the report.
    apply
        Changes the model in place and returns what was changed, in words; "" when it does not apply.
    """

    name: str
    why: str
    apply: Callable[[onnx.ModelProto, Given], str]


def _inputs(model: onnx.ModelProto, _given: Given) -> str:
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in stored]
    count = len(model.graph.input) - len(kept)
    if not count:
        return ""
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)
    return f"{count} initializers are no longer listed as inputs"


def _embedding(model: onnx.ModelProto, given: Given) -> str:
    found = given.facts.get(BatchFacts)
    shapes = next((run.shapes for run in found.runs if run.gives_rows), ()) if found is not None else ()
    outputs = list(model.graph.output)
    if len(outputs) < 2 or len(shapes) != len(outputs):
        return ""
    rows = [at for at, shape in enumerate(shapes) if len(shape) == 2 and shape[1] > 1]
    if len(rows) != 1:
        return ""
    chosen = outputs[rows[0]]
    others = ", ".join(repr(value.name) for value in outputs if value is not chosen)
    del model.graph.output[:]
    model.graph.output.append(chosen)
    _remove_unread(model)
    return f"{chosen.name!r} is the only output; {others} removed"


def _remove_unread(model: onnx.ModelProto) -> None:
    """Remove the nodes of the main graph whose results reach no output, and the constants that nothing reads then."""
    wanted = {value.name for value in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            wanted.update(read_by(node))
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    stored = [tensor for tensor in model.graph.initializer if tensor.name in wanted]
    del model.graph.initializer[:]
    model.graph.initializer.extend(stored)


def _training(model: onnx.ModelProto, given: Given) -> str:
    changed = [given.labels[index] for index in set_to_inference(model)]
    return f"set to inference: {_counted(changed)}" if changed else ""


def _counted(labels: list[str]) -> str:
    return f"node {labels[0]!r}" if len(labels) == 1 else f"{len(labels)} nodes, first {labels[0]!r}"


def _batch(model: onnx.ModelProto, given: Given) -> str:
    fixed = given.facts.need(InterfaceFacts).fixed_batch()
    if not fixed:
        return ""
    make_batch_symbolic(model)
    return f"the batch of {fixed} is symbolic"


def _reshapes(model: onnx.ModelProto, given: Given) -> str:
    found, baked = given.facts.get(BatchFacts), given.facts.need(InterfaceFacts).baked
    if found is None or not found.freed or not all(run.gives_rows for run in found.freed):
        return ""
    changed = free_reshapes(model, [each.node for each in baked])
    del model.graph.value_info[:]
    return f"the batch is no longer a number in {', '.join(map(repr, changed))}" if changed else ""


def _slopes(model: onnx.ModelProto, given: Given) -> str:
    wanted = {
        use.node
        for use in given.facts.need(CompatibilityFacts).prelus
        if len(use.slope) == 1 and use.slope[0] > 1 and use.input is not None and len(use.input) == 4
        and use.input[1] == use.slope[0] and use.input[3] not in (-1, use.slope[0])
    }  # fmt: skip
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = []
    for index, node in enumerate(model.graph.node):
        tensor = stored.get(node.input[1]) if node.op_type == "PRelu" and len(node.input) == 2 else None
        if tensor is not None and given.labels[index] in wanted and len(tensor.dims) == 1:
            tensor.dims.extend([1, 1])
            changed.append(given.labels[index])
    return f"slopes of shape [C,1,1]: {_counted(changed)}" if changed else ""


def _imports(model: onnx.ModelProto, given: Given) -> str:
    used = {use.domain for use in given.facts.need(CompatibilityFacts).operators} | {""}
    kept = [entry for entry in model.opset_import if ("" if entry.domain == "ai.onnx" else entry.domain) in used]
    dropped = [entry.domain for entry in model.opset_import if entry not in kept]
    if not dropped or model.functions:
        return ""
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return f"imports that no node uses removed: {', '.join(dropped)}"


def _opset(model: onnx.ModelProto, given: Given) -> str:
    return lower_opset(model, given.options.opset) if given.options.opset else ""


def _ir_version(model: onnx.ModelProto, given: Given) -> str:
    old, newest = model.ir_version, given.options.ir_version
    if not newest or old <= newest or model.functions:
        return ""
    model.ir_version = newest
    for node in model.graph.node:
        del node.metadata_props[:]
    return f"IR version {newest} in place of {old}"


def _layout(model: onnx.ModelProto, _given: Given) -> str:
    return to_channels_first(model)


def _names(model: onnx.ModelProto, given: Given) -> str:
    found = given.facts.get(PreprocessingFacts)
    labels = given.labels if len(given.labels) == len(model.graph.node) else labels_of(model)
    return name_normalisation(model, labels, found) if found is not None else ""


#: Every repair, in the order in which they are tried.
REPAIRS: tuple[Repair, ...] = (
    Repair("inputs", "An initializer that is listed as an input can be overwritten, and is no image.", _inputs),
    Repair("inference", "In training mode values depend on the batch or on chance.", _training),
    Repair("batch", "The server makes a fixed batch symbolic; a file that says so needs no repair there.", _batch),
    Repair("reshapes", "A Reshape to a number of rows holds a batch of one size only.", _reshapes),
    Repair("slopes", "A slope [C] lines up with the width of an image in old runtimes.", _slopes),
    Repair("imports", "A runtime refuses an opset that it does not know, used or not.", _imports),
    Repair("opset", "Operators whose newer definitions only add types mean the same in the older opset.", _opset),
    Repair("ir version", "Newer versions of the format add nothing that this file uses.", _ir_version),
    Repair("embedding", "One output is expected: the one with a row of several values an image.", _embedding),
    Repair(LAYOUT, "The server feeds [N,3,112,112]; the Transpose behind the input undid nothing else.", _layout),
    Repair("names", "The organisers' checker decides by names whether a network normalises by itself.", _names),
)
