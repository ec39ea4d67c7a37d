"""The step ``helper``: look at the model as the organisers' checker does, without its timing.

What that checker does, and in which order, is described by facts read in challenges/iccv21-mfr/onnx_helper.py of the
public repository deepinsight/insightface; it is rebuilt here, not copied.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.weights import inventory
from pytest_facechallenge.core import dtypes
from pytest_facechallenge.core.facts.organisers_checker import OrganisersCheckerFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.inference.session import open_session
from pytest_facechallenge.onnx_graph.server_feed import first_names, server_feed

#: Copies of the image in the batch that it runs.
BATCH = 32

#: Height and width of its image.
SIDE = 112


def gather(context: Context) -> OrganisersCheckerFacts:
    """Load the model, repair a fixed batch axis, run one image and a batch of them.

    What the step ``batch`` ran already is taken from its facts, and nothing is run again; its batch of 32 holds
    distinct images where the checker's holds copies of one. Where it ran smaller batches only, the graph shows that
    images stay apart at every size: the row of each copy is that of the image by itself. Otherwise the image is seeded
    noise. Either is normalised as the checker chooses. Nothing is timed.

    Raises
    ------
    google.protobuf.message.DecodeError
        The file is not an ONNX protobuf.
    """
    package = context.facts.need(PackageFacts)
    context.session = None  # no later step of the stage needs it, and a large network need not be held twice
    give_back()
    model = context.model
    mean, std, _ = server_feed(first_names(model.graph))
    narrow = next(
        (t for t in model.graph.initializer if 0 < dtypes.bits(inventory.element_type(t)) < dtypes.WIDE), None
    )
    names = [entry.name for entry in package.entries if entry.name.endswith(".onnx")] or [package.model_name]
    known: dict[str, Any] = {
        "onnx_files": tuple(sorted(names)),
        "judged_file": package.model_name,
        "bytes": package.bytes,
        "nodes": len(model.graph.node),
        "outputs": len(model.graph.output),
        "server_mean": mean,
        "server_std": std,
        "narrow_initializer": narrow.name if narrow else "",
        "narrow_dtype": inventory.element_type(narrow) if narrow else "",
    }
    shape = known["input_shape"] = _input_shape(model.graph)
    known["repaired"] = len(shape) == 4 and isinstance(shape[0], int)
    earlier = {run.size: run for run in _earlier_runs(context)}
    if 1 in earlier and (BATCH in earlier or not any(run.error for run in earlier.values())):
        return OrganisersCheckerFacts(**known, **_taken(earlier[1], earlier.get(BATCH)))
    escaping = inventory.escaping_side_file(model, context.model_path.parent)
    if escaping:
        return OrganisersCheckerFacts(**known, load_error=f"not tried: {escaping}")
    try:
        session = open_session(context.model_path, threads=context.options.threads, log_level=4)
    except Exception as error:  # the runtime raises many types; its words are what is wanted
        return OrganisersCheckerFacts(**known, load_error=_words(error))
    if known["repaired"]:
        try:
            session = open_session(context.repaired_path, threads=context.options.threads, log_level=4)
        except Exception as error:  # as above
            return OrganisersCheckerFacts(**known, repair_error=_words(error))
    if len(shape) != 4 or shape[2:] != (SIDE, SIDE):
        return OrganisersCheckerFacts(**known)
    known["single_error"], _ = _run(session, _image(context, mean, std))
    if not known["single_error"]:
        known["batch"] = BATCH
        known["batch_error"], found = _run(session, np.repeat(_image(context, mean, std), BATCH, axis=0))
        if found is not None:
            known["batch_shape"] = found.shape
            with np.errstate(all="ignore"):
                known["batch_sum_finite"] = bool(np.isfinite(np.sum(found)))
    return OrganisersCheckerFacts(**known)


class _BatchRun(Protocol):
    """What is read of a run of the step ``batch``."""

    size: int
    error: str
    shapes: tuple[tuple[int, ...], ...]
    finite: bool


def _earlier_runs(context: Context) -> tuple[_BatchRun, ...]:
    return tuple(getattr(context.facts.gathered.get("batch"), "runs", ()))


def _taken(single: _BatchRun, batch: _BatchRun | None) -> dict[str, Any]:
    """Return what the runs of the step ``batch`` say, as fields of `OrganisersCheckerFacts`."""
    if batch is None:
        if single.error:
            return {"single_error": single.error}
        shape = single.shapes[0] if single.shapes else ()
        return {
            "single_error": "",
            "batch": BATCH,
            "batch_error": "",
            "batch_shape": (BATCH, *shape[1:]),
            "batch_sum_finite": single.finite,
        }
    return {
        "single_error": single.error,
        "batch": BATCH,
        "batch_error": batch.error,
        "batch_shape": batch.shapes[0] if batch.shapes else (),
        "batch_sum_finite": None if batch.error else batch.finite,
    }


def _input_shape(graph: onnx.GraphProto) -> tuple[int | str, ...]:
    """Return the declared extents of the first input that is no initializer; text for a symbolic one."""
    stored = {tensor.name for tensor in graph.initializer}
    value = next((value for value in graph.input if value.name not in stored), None)
    if value is None:
        return ()
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)


def _image(context: Context, mean: float, std: float) -> npt.NDArray[np.float32]:
    pixels = np.random.default_rng(context.options.seed).integers(0, 256, (1, 3, SIDE, SIDE))
    return ((pixels - mean) / std).astype(np.float32)


def _run(session: Any, images: npt.NDArray[np.float32]) -> tuple[str, Any]:
    """Return (the runtime's error or "", the first output or None)."""
    try:
        return "", np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])
    except Exception as error:  # as above
        return _words(error), None


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]
