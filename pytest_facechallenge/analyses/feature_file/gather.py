"""The step ``features``: a feature file read, looked over in one streaming pass, and scored against labels."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.accuracy.request import SetRequest
from pytest_facechallenge.analyses.accuracy.score import score_set
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.feature_file.request import FeatureFileOptions
from pytest_facechallenge.core.facts.accuracy import SetResult
from pytest_facechallenge.core.facts.feature_file import FeatureFileFacts, Norms
from pytest_facechallenge.core.files import identity, why
from pytest_facechallenge.embedding.progress import heartbeat
from pytest_facechallenge.testsets.feature_format import FeatureFileError, map_rows, read_header
from pytest_facechallenge.testsets.labels import LabelsError, read_labels
from pytest_facechallenge.testsets.model import ImageBlobs, Testset
from pytest_facechallenge.verification import Settings
from pytest_facechallenge.verification.cost import most_processor_seconds

#: A row's norm may be so far from 1: float32 normalisation of 512 values stays within about 1e-6.
NORM_TOLERANCE = 1e-3
#: Bytes of the float64 block that is looked at at once.
_BLOCK_BYTES = 32 << 20
_SHOWN = 20


def gather(context: Context) -> FeatureFileFacts:
    """Look at the feature file that `FeatureFileOptions.path` names."""
    request = context.options.of(FeatureFileOptions)
    if not request.path:
        return FeatureFileFacts()
    path = Path(request.path)
    try:
        before = identity(path)
        header = read_header(path)
    except (FeatureFileError, OSError, ValueError) as error:
        return FeatureFileFacts(path=request.path, error=why(error))
    facts = FeatureFileFacts(
        path=request.path,
        bytes=header.bytes,
        header=(header.rows, header.cols, header.stride, header.kind),
        header_problems=header.problems(),
        labels=request.labels,
    )
    try:
        rows = map_rows(path, header)
    except (FeatureFileError, OSError) as error:
        return msgspec.structs.replace(facts, error=why(error))
    with heartbeat(context.report, f"reading {path.name}"):
        facts = look_over(facts, rows)
    if not request.labels:
        return _unless_changed(facts, path, before)
    with heartbeat(context.report, f"scoring {path.name}"):
        settings = Settings(
            histograms=True,
            device=context.options.device,
            workers=context.options.threads or None,
            seed=context.options.seed,
        )
        context.allow(most_processor_seconds(*rows.shape))
        facts = msgspec.structs.replace(facts, score=_score(request, rows, settings))
    return _unless_changed(facts, path, before)


def _unless_changed(facts: FeatureFileFacts, path: Path, before: tuple[int, ...]) -> FeatureFileFacts:
    """Return the facts; with an error when the file was written while it was read, since it was no one file then."""
    try:
        now: tuple[int, ...] = identity(path)
    except OSError:
        now = ()
    if now == before:
        return facts
    error = f"{path.name} was written or replaced while it was read; judge it again when nobody writes it"
    return msgspec.structs.replace(facts, error=error, score=None)


def look_over(facts: FeatureFileFacts, rows: npt.NDArray[np.float32]) -> FeatureFileFacts:
    """Add what one pass over the rows shows: finite, zero, norms. Reads ``rows`` (float32 [N, D]) in pieces."""
    bad: list[int] = []
    non_finite = zero = off_unit = finite = 0
    smallest, largest, total = np.inf, 0.0, 0.0
    step = max(1, _BLOCK_BYTES // (8 * max(1, rows.shape[1])))
    for start in range(0, len(rows), step):
        block = np.asarray(rows[start : start + step], dtype=np.float64)
        good = np.isfinite(block).all(axis=1)
        norms = np.sqrt(np.einsum("ij,ij->i", block[good], block[good]))
        nothing = np.flatnonzero(good)[norms == 0]
        non_finite += int((~good).sum())
        zero += len(nothing)
        if len(bad) < _SHOWN:
            bad += (start + np.union1d(np.flatnonzero(~good), nothing)).tolist()
        if len(norms):
            finite += len(norms)
            smallest, largest = min(smallest, float(norms.min())), max(largest, float(norms.max()))
            total += float(norms.sum())
            off_unit += int((np.abs(norms - 1) > NORM_TOLERANCE).sum())
    return msgspec.structs.replace(
        facts,
        rows=len(rows),
        width=rows.shape[1],
        non_finite_rows=non_finite,
        zero_rows=zero,
        first_bad_rows=tuple(bad[:_SHOWN]),
        norms=Norms(
            smallest=smallest, largest=largest, mean=total / finite, off_unit=off_unit, tolerance=NORM_TOLERANCE
        )
        if finite
        else None,
    )


def _score(request: FeatureFileOptions, rows: npt.NDArray[np.float32], settings: Settings) -> SetResult:
    name = Path(request.path).name
    wanted = SetRequest(name=name, official=False, protocol="all-to-all", points=request.points)
    try:
        labels = read_labels(Path(request.labels), len(rows))
    except LabelsError as error:
        return SetResult(testset=name, set=name, official=False, protocol="all-to-all", error=str(error))
    testset = Testset(
        name=name,
        path=Path(request.path),
        form="LFR19 images",
        images=ImageBlobs([]),
        entry_names=[f"row {row}" for row in range(len(rows))],
        identities=labels,
    )
    usable = np.ones(len(rows), dtype=bool)
    return score_set(testset, wanted, rows, usable, settings)
