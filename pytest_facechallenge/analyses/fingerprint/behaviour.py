"""The step ``fingerprint``: the fixed images are embedded, and how alike their embeddings are is written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.behaviour.gather import normalisation, open_shared, text_of
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.fingerprint.textures import COUNT, NAME, textures
from pytest_facechallenge.core.facts.behaviour import LoadFacts
from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts
from pytest_facechallenge.inference.images import to_input
from pytest_facechallenge.inference.session import Session

#: Images of one run: few, so that a large network is heard of between two of them.
BATCH = 8
#: Variance of normalised embeddings from which on they are taken for different: rounding alone gives 1e-13.
LEAST_VARIANCE = 1e-9
#: Largest number of an int16.
LARGEST = 32_767

Floats = npt.NDArray[np.float64]


class NoFingerprintError(ValueError):
    """The embeddings tell nothing; the message says why."""


def gather(context: Context) -> FingerprintFacts:
    """Embed the images; whatever keeps a fingerprint from being made is said in the facts."""
    load = context.facts.need(LoadFacts)
    if load.error:
        return _none("the model does not load")
    try:
        rows = _embedded(context, open_shared(context))
        return described(rows)
    except NoFingerprintError as error:
        return _none(str(error))
    except MemoryError:  # the run's limit shows nothing about the model
        raise
    except Exception as error:  # the runtime raises its own types, one per kind of trouble
        return _none(f"the model does not run on the images: {text_of(error)}")


def _embedded(context: Context, session: Session) -> Floats:
    """Return the embeddings of the images, run one by one where batches do not run or give no row an image."""
    images = to_input(textures(), *normalisation(context))
    try:
        return _in_batches(context, session, images, BATCH)
    except MemoryError:  # the run's limit shows nothing about the model
        raise
    except Exception:  # the runtime's own types, and what is no embedding; what single images give is said
        return _in_batches(context, session, images, 1)


def _in_batches(context: Context, session: Session, images: npt.NDArray[np.float32], size: int) -> Floats:
    rows: list[Floats] = []
    for at in range(0, COUNT, size):
        context.report(f"fingerprint: {at} of {COUNT} images")
        part = images[at : at + size]
        outputs = session.run(part)
        rows.append(_rows(outputs[0] if outputs else np.zeros(0), len(part)))
        if rows[-1].shape[1] != rows[0].shape[1]:
            raise NoFingerprintError("the number of values of an embedding changes from batch to batch")
    return np.concatenate(rows)


def _rows(output: npt.NDArray[Any], count: int) -> Floats:
    if output.ndim < 2 or len(output) != count or not np.issubdtype(output.dtype, np.number):
        raise NoFingerprintError(
            f"numbers of the shape [{count}, values] are expected of {count} images, found {list(output.shape)} of "
            f"{output.dtype}"
        )
    return output.reshape(count, -1).astype(np.float64)


def described(rows: Floats) -> FingerprintFacts:
    """Return the fingerprint of embeddings [96, D].

    What is kept is the U-centred Gram matrix of the normalised rows (Székely and Rizzo, 2014): its inner product with
    another one's is the unbiased estimate of linear CKA, which is 0 and not large for embeddings that are all nearly at
    right angles. An orthogonal map of the embeddings and their lengths change nothing.

    Raises
    ------
    NoFingerprintError
        Values are not finite, or the embeddings are all the same.
    """
    if not np.isfinite(rows).all():
        raise NoFingerprintError("the embeddings of the images hold values that are not finite")
    # Twice: the sum of squares of values near the largest number is infinite, and of those near 0 it is 0.
    rows = rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise NoFingerprintError("the embedding of an image is 0 in every value")
    rows = rows / lengths
    centred = rows - rows.mean(axis=0)
    gram = centred @ centred.T
    total = float(np.trace(gram))
    if total / len(rows) < LEAST_VARIANCE:
        raise NoFingerprintError("the embeddings of all images are the same")
    products = u_centred(gram)[np.triu_indices(len(gram), 1)]
    scale = float(np.abs(products).max(initial=0.0))
    if scale <= LEAST_VARIANCE * total / len(rows):
        raise NoFingerprintError("no two images have embeddings that are more alike than others")
    return FingerprintFacts(
        images=NAME,
        width=rows.shape[1],
        dimensions=total**2 / float(np.square(gram).sum()),
        products=np.rint(products * (LARGEST / scale)).astype("<i2").tobytes(),
    )


def u_centred(gram: Floats) -> Floats:
    """Return a symmetric matrix [N, N] without its diagonal, so that every row sums to 0."""
    count = len(gram)
    bare = gram - np.diag(np.diag(gram))
    rows = bare.sum(axis=1) / (count - 2)
    centred: Floats = bare - rows[:, None] - rows[None, :] + bare.sum() / ((count - 1) * (count - 2))
    np.fill_diagonal(centred, 0.0)
    return centred


def _none(why: str) -> FingerprintFacts:
    return FingerprintFacts(images=NAME, trouble=why)
