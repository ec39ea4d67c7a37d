"""The proof of a repair: embeddings of the same images before and after, one by one and in a batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.server.options import ServerOptions
from pytest_facechallenge.analyses.server.trial import Trial, run_in
from pytest_facechallenge.core.facts.repair import Agreement, Proof
from pytest_facechallenge.inference.session import Session, describe_runtime

Embeddings = npt.NDArray[np.float64]

#: Characters of a runtime's message that are kept.
_MOST_SAID = 300
_NOT_RUN = "the model as it was handed in does not run on single images"


@dataclass(frozen=True)
class Fed:
    """The same images as each of the two models takes them: [K,3,112,112] as the server feeds them, or turned."""

    given: npt.NDArray[np.float32]
    mended: npt.NDArray[np.float32]


def local_proof(context: Context, target: Path, fed: Fed, place: int) -> Proof | str:
    """Return what this runtime says of the mended model at ``target``, or why it does not run.

    Parameters
    ----------
    place
        Which output of the model as it was handed in is the embedding; the mended one has one output.
    """
    options = context.options
    try:
        session = Session(target, options.device, options.threads)
        after = _one_by_one(session, fed.mended, 0)
        together = session.run(fed.mended)[0].reshape(len(fed.mended), -1).astype(np.float64)
    except Exception as error:  # the runtime raises its own types
        return _said(error)
    try:
        given = Session(context.model_path, options.device, options.threads)
        before: Embeddings | str = _one_by_one(given, fed.given, place)
    except Exception as error:  # as above
        before = f"{_NOT_RUN}: {_said(error)}"
    return Proof(
        runtime=describe_runtime(),
        images=len(fed.mended),
        before_after=agreement(before, after),
        alone_together=agreement(after, together),
    )


def server_proof(context: Context, target: Path, fed: Fed, place: int) -> Proof | None:
    """Return what the evaluation server's runtime says; None where none is given."""
    options = context.options.of(ServerOptions)
    if not options.python:
        return None
    before_path, after_path = context.workdir / "repair_before.npy", context.workdir / "repair_after.npy"
    np.save(before_path, fed.given)
    np.save(after_path, fed.mended)
    given = run_in(context, options.python, "repair_before", before_path, options.timeout, context.model_path)
    mended = run_in(context, options.python, "repair_after", after_path, options.timeout, target)
    version = str(mended.result.get("version", "of the server"))
    after = mended.embeddings if mended.embeddings is not None else f"the mended model fails there: {_of(mended)}"
    before = given.embeddings if given.embeddings is not None else f"{_NOT_RUN} there: {_of(given)}"
    if place:
        before = "the embedding is not the first output of the model as it was handed in"
    together = mended.together if mended.together is not None else f"a batch does not run there: {_of(mended)}"
    return Proof(
        runtime=f"onnxruntime {version}",
        images=len(fed.mended),
        before_after=agreement(before, after),
        alone_together=agreement(after, together),
    )


def _of(trial: Trial) -> str:
    return trial.error[:_MOST_SAID]


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:_MOST_SAID] or type(error).__name__


def _one_by_one(session: Session, images: npt.NDArray[np.float32], place: int) -> Embeddings:
    rows = [session.run(images[at : at + 1])[place].reshape(1, -1) for at in range(len(images))]
    return np.concatenate(rows).astype(np.float64)


def agreement(one: Embeddings | str, other: Embeddings | str) -> Agreement:
    """Compare embeddings [K,D] of the same images; a text says why there are none."""
    if isinstance(one, str):
        return Agreement(trouble=one)
    if isinstance(other, str):
        return Agreement(trouble=other)
    if one.shape != other.shape:
        return Agreement(trouble=f"the shapes differ: {list(one.shape)} and {list(other.shape)}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return Agreement(trouble="values are not finite")
    difference = float(np.abs(one - other).max(initial=0.0)) / max(float(np.abs(one).max(initial=0.0)), 1e-30)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = np.sum(one * other, axis=1) / np.maximum(norms, 1e-30)
    return Agreement(difference=difference, cosine_distance=max(0.0, float((1 - cosines).max(initial=0.0))))
