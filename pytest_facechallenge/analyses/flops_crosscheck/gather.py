"""fvcore as an independent second opinion: on the submission, and on the participant's own torch module."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.analyses.flops_crosscheck.options import CrosscheckOptions
from pytest_facechallenge.analyses.flops_crosscheck.torch_interpreter import UnknownOperatorError, module_of
from pytest_facechallenge.core.facts.flops import CrosscheckFacts, FlopsFacts, GroupCount
from pytest_facechallenge.onnx_graph.ir import Graph, GraphError, from_model, read_model
from pytest_facechallenge.onnx_graph.shapes import infer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_facechallenge.analyses.context import Context

CONVOLUTIONS = "convolutions"
PRODUCTS = "matrix products"
NORMALISATION = "normalisation"
OTHERS = "pooling, upsampling and the like"

#: The families of our layers and fvcore's operator names, by the group they are compared in.
OURS = {
    "convolution": CONVOLUTIONS,
    "deconvolution": CONVOLUTIONS,
    "fully connected": PRODUCTS,
    "matrix product": PRODUCTS,
    "attention": PRODUCTS,
    "recurrent": "recurrent layers",
    "other": "transforms",
    "scaled and summed": PRODUCTS,
}
FVCORE = {
    "conv": CONVOLUTIONS,
    **dict.fromkeys(("linear", "addmm", "matmul", "mm", "bmm", "baddbmm", "einsum"), PRODUCTS),
    **dict.fromkeys(("batch_norm", "layer_norm", "group_norm", "instance_norm"), NORMALISATION),
}

#: Operators of torch that fvcore leaves out though they multiply and add.
LEFT_OUT = ("scaled_dot_product_attention", "lstm", "gru", "rnn", "fft", "_native_multi_head_attention")


class CrosscheckError(Exception):
    """fvcore could not be asked; the message is a sentence with what to do."""


def gather(context: Context) -> CrosscheckFacts:
    """Ask fvcore when the options say so; see `CrosscheckFacts`."""
    options = context.options.of(CrosscheckOptions)
    if not options.requested:
        return CrosscheckFacts(asked=False)
    ours = context.facts.need(FlopsFacts)
    folder = Path(options.folder) if options.folder else None
    return crosscheck(context.model_path, options.factory or None, ours, folder)


def crosscheck(
    model_path: Path,
    module_factory: str | None = None,
    ours: FlopsFacts | None = None,
    folder: Path | None = None,
) -> CrosscheckFacts:
    """Count a submission with fvcore, and the participant's own module beside it.

    Parameters
    ----------
    model_path
        The .onnx file.
    module_factory
        "package.module:factory": a callable without arguments that returns the torch.nn.Module (or the module
        itself); imported with ``folder`` on the path. It is the participant's code and is run.
    ours
        Our count; made when not given.
    folder
        Where the module may lie, the current folder when not given.

    Returns
    -------
    CrosscheckFacts
        What could not be counted is said there; nothing is raised for a missing library, an unknown operator or a
        failing module.
    """
    graph = from_model(read_model(model_path), model_path.parent)
    ours = ours or facts_of(graph)
    shapes = infer(graph)
    example = [shapes.shape(name) for name in graph.inputs]
    counted: Mapping[str, int] = {}
    by_module: Mapping[str, int] = {}
    left_out: list[str] = []
    problem = module_problem = version = ""
    try:
        version = _version()
        counted = _submission(graph, example, left_out)
    except CrosscheckError as error:
        problem = str(error)
    if module_factory:
        try:
            by_module = _module(module_factory, folder or Path.cwd(), example, left_out)
        except CrosscheckError as error:
            module_problem = str(error)
    groups = _groups(ours, None if problem else counted, by_module if module_factory and not module_problem else None)
    return CrosscheckFacts(
        asked=True,
        module_factory=module_factory or "",
        problem=problem,
        module_problem=module_problem,
        groups=groups,
        left_out=tuple(left_out),
        explanations=(*_explain(groups), *_explain_left_out(left_out)),
        version=version,
    )


def _version() -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import fvcore
            import torch
    except ImportError as error:
        raise CrosscheckError(
            f"fvcore and torch are needed for a second opinion, and {error.name or 'one of them'} is not installed; "
            'pip install "pytest-facechallenge[fvcore]" brings both.'
        ) from error
    return f"fvcore {getattr(fvcore, '__version__', '?')}, torch {torch.__version__}"


def _submission(graph: Graph, example: list[tuple[int, ...] | None], left_out: list[str]) -> Mapping[str, int]:
    try:
        module = module_of(graph)
    except UnknownOperatorError as error:
        raise CrosscheckError(f"{error}, so fvcore cannot see the submission; name your own module instead.") from error
    except (GraphError, TypeError) as error:  # torch has no counterpart of some element types
        raise CrosscheckError(f"the submission cannot be brought into torch: {error}") from error
    return _analyse(module, example, "the submission", left_out)


def _module(
    reference: str, folder: Path, example: list[tuple[int, ...] | None], left_out: list[str]
) -> Mapping[str, int]:
    _version()
    import torch

    name, colon, attribute = reference.partition(":")
    if not colon or not name or not attribute:
        raise CrosscheckError(f"{reference!r} names no module; write package.module:factory.")
    here = str(folder)
    sys.path.insert(0, here)
    try:
        made: Any = importlib.import_module(name)
        for part in attribute.split("."):
            made = getattr(made, part)
        module = made if isinstance(made, torch.nn.Module) else made()
    except Exception as error:  # the participant's code may raise anything
        raise CrosscheckError(
            f"{reference!r} gave no module: {type(error).__name__}: {error} "
            f"(looked for in {here} and among what is installed)."
        ) from error
    finally:
        sys.path.remove(here)
    if not isinstance(module, torch.nn.Module):
        raise CrosscheckError(f"{reference!r} must give a torch.nn.Module, it gave {type(module).__name__}.")
    return _analyse(module.eval(), example, reference, left_out)


def _analyse(module: Any, example: list[tuple[int, ...] | None], what: str, left_out: list[str]) -> Mapping[str, int]:
    """Return fvcore's figures (1 for each multiply-accumulate) by operator."""
    import torch

    if any(shape is None for shape in example):
        raise CrosscheckError("the shape of an input is not known, so no example image can be made.")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns about every number read from a tensor
        from fvcore.nn import FlopCountAnalysis

        inputs = tuple(torch.zeros(shape) for shape in example if shape is not None)
        try:
            analysis = FlopCountAnalysis(module, inputs)
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            counts = {name: int(number) for name, number in analysis.by_operator().items()}
            unsupported = analysis.unsupported_ops()
        except Exception as error:  # whatever the traced module raises
            raise CrosscheckError(f"fvcore cannot trace {what}: {type(error).__name__}: {error}") from error
    unseen = sorted({name for name in unsupported if any(part in name for part in LEFT_OUT)})
    left_out += [f"{name} in {what}" for name in unseen]
    return counts


def _groups(
    ours: FlopsFacts, submission: Mapping[str, int] | None, module: Mapping[str, int] | None
) -> tuple[GroupCount, ...]:
    mine: dict[str, int] = {}
    for layer in ours.layers:
        group = OURS[layer.family]
        mine[group] = mine.get(group, 0) + layer.macs

    def grouped(counts: Mapping[str, int] | None) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, number in (counts or {}).items():
            group = FVCORE.get(name, OTHERS)
            found[group] = found.get(group, 0) + number
        return found

    theirs, modules = grouped(submission), grouped(module)
    names = dict.fromkeys([*mine, CONVOLUTIONS, PRODUCTS, *theirs, *modules])
    compared = {name for name in names if name not in (NORMALISATION, OTHERS)}
    return tuple(
        GroupCount(
            group=name,
            ours=mine.get(name, 0) if name in compared else None,
            submission=None if submission is None else theirs.get(name, 0),
            module=None if module is None else modules.get(name, 0),
            rounding=_rounding(submission, module) if name == PRODUCTS else 0,
        )
        for name in names
    )


def _rounding(*counts: Mapping[str, int] | None) -> int:
    """Return how far off fvcore may be: it reads the cost of an einsum from numpy's report, printed with 4 digits."""
    products = max((found.get("einsum", 0) for found in counts if found), default=0)
    return -(-products // 2000)


def _explain_left_out(left_out: list[str]) -> list[str]:
    return [f"fvcore has no count for {', '.join(left_out)}: it multiplies and adds"] if left_out else []


def _explain(groups: tuple[GroupCount, ...]) -> list[str]:
    said = ["fvcore counts a multiplication with its addition as 1, the challenge as 2: MACs are compared"]
    for group in groups:
        columns = (("the submission", group.submission), ("the module", group.module))
        for where, value in columns:
            if value is None:
                continue
            if group.ours is None and value:
                said.append(f"{group.group}: fvcore adds {value:,} for {where}, the challenge counts none")
            elif group.ours is not None and value != group.ours:
                rounded = abs(value - group.ours) <= group.rounding
                why = " (fvcore reads an einsum's cost from a report of four digits)" if rounded else ""
                said.append(f"{group.group}: fvcore finds {value:,} MACs in {where}, we find {group.ours:,}{why}")
    return said
