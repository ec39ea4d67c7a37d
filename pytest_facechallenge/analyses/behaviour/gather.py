"""Gathers what the model does when it is run: loading, batches, extreme images, repetition."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.interface.gather import external_is_safe
from pytest_facechallenge.core.facts.behaviour import (
    BatchFacts,
    BatchRun,
    ImageRun,
    ImagesFacts,
    LoadFacts,
    RepeatFacts,
)
from pytest_facechallenge.core.facts.flow import FlowFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.inference.batch_repair import repaired_copy
from pytest_facechallenge.inference.images import extremes, natural, to_input
from pytest_facechallenge.inference.session import DeviceError, Session, describe_runtime

#: The organisers' checker runs 32; 1 is the online evaluation's latency case; 2 and 7 catch baked-in batch sizes.
BATCH_SIZES = (1, 2, 7, 32)
#: Those that are run where the graph shows that images stay apart in a batch of any size.
SIZES_APART = (1, 2, 7)
#: Images that are embedded again for ``repeat``: noise is in every number of one, and a large network takes its time.
REPEATED = 1


def text_of(error: Exception) -> str:
    """Return the runtime's own text, on one line."""
    return " ".join(str(error).split())[:600] or type(error).__name__


def gather_load(context: Context) -> LoadFacts:
    """Load the model; where its batch axis is fixed, make it symbolic as the evaluation server does, and load again."""
    interface = context.facts.need(InterfaceFacts)
    if not external_is_safe(interface):
        bad = next(entry for entry in interface.external if entry.problem)
        return _not_loaded(context, f"not tried: {bad.tensor} refers to {bad.location!r}, but {bad.problem}")
    context.report("loading the model")
    try:
        session = Session(context.model_path, context.options.device, context.options.threads)
    except DeviceError:
        raise  # not the model's fault, so not a finding about it
    except Exception as error:  # the runtime raises its own types, one per kind of trouble
        return _not_loaded(context, text_of(error))
    fixed, repair_error = interface.fixed_batch(), ""
    if fixed:
        context.report(f"making the fixed batch of {fixed} symbolic, and loading again")
        try:
            session = Session(context.repaired_path, context.options.device, context.options.threads)
        except Exception as error:
            repair_error = text_of(error)
    context.session = session
    return LoadFacts(
        error="",
        asked=context.options.device,
        providers=session.providers,
        runtime=describe_runtime(),
        repaired=bool(fixed) and not repair_error,
        fixed_batch=fixed,
        repair_error=repair_error,
        input_name=session.inputs[0] if session.inputs else "",
        output_names=session.outputs,
    )


def _not_loaded(context: Context, error: str) -> LoadFacts:
    return LoadFacts(error=error, asked=context.options.device, providers=(), runtime=describe_runtime())


def open_shared(context: Context) -> Session:
    """Return the session of this stage; a worker that goes on after a crash loads the model again."""
    if context.session is None:
        load = context.facts.need(LoadFacts)
        if load.error:
            raise RuntimeError(f"the model does not load: {load.error}")
        context.report("loading the model")
        context.session = Session(context.runnable_path, context.options.device, context.options.threads)
    if len(context.session.inputs) != 1:
        raise RuntimeError(f"the model has {len(context.session.inputs)} inputs; one is expected, so it was not run")
    return context.session


def normalisation(context: Context) -> tuple[float, float]:
    """Return mean and std of what the evaluation server would feed this model."""
    facts = context.facts.gathered.get("preprocessing")
    return (float(getattr(facts, "server_mean", 127.5)), float(getattr(facts, "server_std", 127.5)))


def gather_batch(context: Context) -> BatchFacts:
    """Run batches of `batch_sizes` distinct images, each beside different others, and compare row by row."""
    session = open_shared(context)
    mean, std = normalisation(context)
    images = to_input(natural(max(batch_sizes(context)), context.options.seed), mean, std)
    runs = _run_batches(context, session, images)
    return BatchFacts(runs=runs, mean=mean, std=std, freed=_runs_when_freed(context, runs, images))


def batch_sizes(context: Context) -> tuple[int, ...]:
    """Return the sizes of the batches to run: fewer where the file's own graph shows that images stay apart.

    It shows so where no node lets an image reach another one's row, or their number any value, and nothing was repaired
    before the model ran.
    """
    facts = context.facts
    flow, load, interface = facts.get(FlowFacts), facts.get(LoadFacts), facts.get(InterfaceFacts)
    shown = flow is not None and flow.apart and load is not None and not load.fixed_batch
    return SIZES_APART if shown and interface is not None and not (interface.baked or interface.mixing) else BATCH_SIZES


def _runs_when_freed(
    context: Context, runs: tuple[BatchRun, ...], images: npt.NDArray[np.float32]
) -> tuple[BatchRun, ...]:
    """Return the runs with every baked Reshape freed, where there is one and the batches as they are do not all run.

    That is the proof that these Reshapes are the reason: nothing else was changed.
    """
    baked = context.facts.need(InterfaceFacts).baked
    if not baked or all(run.gives_rows for run in runs):
        return ()
    context.report("running the batches with the batch taken out of the Reshape nodes")
    try:
        path = repaired_copy(context.model_path, [each.node for each in baked], "reshapes_freed.onnx")
        return _run_batches(context, Session(path, context.options.device, context.options.threads), images)
    except Exception:  # then these nodes are not all that is wrong, which the empty answer says
        return ()


def _run_batches(context: Context, session: Session, images: npt.NDArray[np.float32]) -> tuple[BatchRun, ...]:
    sizes = batch_sizes(context)
    largest = max(sizes)
    reference: npt.NDArray[Any] | None = None
    runs: dict[int, BatchRun] = {}
    for size in sorted(sizes, reverse=True):
        # Every second image backwards: other companions and other places than in the reference batch.
        order = list(range(largest)) if size == largest else list(range(2 * size - 1, -1, -2))
        companions = f"images {', '.join(map(str, order[:8]))}{'…' if size > 8 else ''}"
        context.report(f"running a batch of {size} images")
        try:
            outputs = session.run(images[order])
        except Exception as error:
            runs[size] = BatchRun(size=size, error=text_of(error), companions=companions)
            continue
        rows = outputs[0] if outputs else np.zeros((0,), np.float32)
        if size == largest and rows.ndim >= 1 and len(rows) == largest:
            reference = rows
        runs[size] = _described(size, outputs, companions, rows, None if reference is None else reference[order])
    return tuple(runs[size] for size in sizes)


def _described(
    size: int, outputs: list[npt.NDArray[Any]], companions: str, rows: npt.NDArray[Any], wanted: npt.NDArray[Any] | None
) -> BatchRun:
    numeric = np.issubdtype(rows.dtype, np.floating)
    finite = bool(numeric and np.isfinite(rows).all())
    worst, cosine, relative = -1, -1.0, -1.0
    if wanted is not None and rows.shape == wanted.shape and finite and np.isfinite(wanted).all():
        a = rows.reshape(size, -1).astype(np.float64)
        b = wanted.reshape(size, -1).astype(np.float64)
        scale = np.maximum(np.abs(b).max(axis=1), 1e-30)
        differences = np.abs(a - b).max(axis=1) / scale
        norms = np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)
        distances = 1 - (a * b).sum(axis=1) / norms
        worst = int(differences.argmax())
        cosine, relative = float(max(0.0, distances[worst])), float(differences[worst])
    return BatchRun(
        size=size,
        error="",
        shapes=tuple(tuple(int(extent) for extent in output.shape) for output in outputs),
        dtypes=tuple(str(output.dtype) for output in outputs),
        finite=finite,
        companions=companions,
        worst_row=worst,
        worst_cosine_distance=cosine,
        worst_relative_difference=relative,
    )


def gather_images(context: Context) -> ImagesFacts:
    """Embed extreme images and two ordinary ones, and find the two that are most alike."""
    session = open_shared(context)
    mean, std = normalisation(context)
    ordinary = natural(2, context.options.seed + 1)
    named = extremes(context.options.seed) | {f"ordinary image {i}": ordinary[i] for i in range(2)}
    context.report(f"embedding {len(named)} images: {', '.join(named)}")
    runs, rows = [], {}
    for name, image in named.items():
        try:
            row = session.run(to_input(image[None], mean, std))[0]
        except Exception as error:
            runs.append(ImageRun(image=name, error=text_of(error)))
            continue
        values = np.asarray(row, np.float64).ravel() if np.issubdtype(row.dtype, np.number) else np.full(1, np.nan)
        finite = bool(np.isfinite(values).all())
        norm = float(np.linalg.norm(values)) if finite else -1.0
        runs.append(ImageRun(image=name, error="", finite=finite, norm=norm))
        if finite and norm > 0:
            rows[name] = values / norm
    pairs = [
        (one, two, float(rows[one] @ rows[two]))
        for one in rows
        for two in rows
        if one < two and rows[one].shape == rows[two].shape
    ]
    return ImagesFacts(runs=tuple(runs), alike=tuple(sorted(pairs, key=lambda pair: -pair[2])))


def gather_repeat(context: Context) -> RepeatFacts:
    """Embed the same images again, in this session and in a new one."""
    session = open_shared(context)
    mean, std = normalisation(context)
    batch = to_input(natural(REPEATED, context.options.seed + 2), mean, std)
    context.report("embedding an image again, in this session and in a new one")
    try:
        first = np.asarray(session.run(batch)[0], np.float64)
        again = np.asarray(session.run(batch)[0], np.float64)
        # Let go of the first session: two copies of a large network need not be held at once.
        context.session = session = None  # type: ignore[assignment]
        context.session = Session(context.runnable_path, context.options.device, context.options.threads)
        other = np.asarray(context.session.run(batch)[0], np.float64)
    except Exception as error:
        return RepeatFacts(error=text_of(error))
    return RepeatFacts(
        error="",
        same_session=_relative(first, again),
        new_session=_relative(first, other),
        images=REPEATED,
    )


def _relative(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    if first.shape != second.shape or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return float(np.finfo(np.float64).max)
    scale = max(float(np.abs(first).max(initial=0.0)), 1e-30)
    return float(np.abs(first - second).max(initial=0.0)) / scale
