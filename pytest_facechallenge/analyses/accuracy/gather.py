"""The step ``accuracy``: every supplied testset embedded and scored. Runs in the sandboxed process."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.accuracy.colour_order import compare_colour_orders, images_to_compare
from pytest_facechallenge.analyses.accuracy.duplicates import duplicate_findings
from pytest_facechallenge.analyses.accuracy.entries import EntryEmbeddings, How, SomeImages, embed_shard, embed_testset
from pytest_facechallenge.analyses.accuracy.kept_verification import KeptVerification
from pytest_facechallenge.analyses.accuracy.request import (
    VERIFICATIONS,
    AccuracyOptions,
    AccuracyRequest,
    TestsetRequest,
)
from pytest_facechallenge.analyses.accuracy.score import (
    SetError,
    score_set,
    select_entries,
)
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.core.facts.accuracy import (
    MAX_PROBLEMS,
    AccuracyFacts,
    ColourOrder,
    EmbeddingRun,
    ImageProblem,
    SetResult,
    SuppliedTestset,
)
from pytest_facechallenge.embedding import Embedder, EmbeddingError, Preprocessing
from pytest_facechallenge.embedding.progress import heartbeat
from pytest_facechallenge.embedding.store import LOCK
from pytest_facechallenge.testsets import Testset, TestsetError, read_testset
from pytest_facechallenge.testsets.feature_format import write_features
from pytest_facechallenge.testsets.labels import LabelsError, read_labels
from pytest_facechallenge.testsets.model import BoolArray
from pytest_facechallenge.verification import Settings
from pytest_facechallenge.verification.cost import most_processor_seconds


def gather(context: Context) -> AccuracyFacts:
    """Embed and score the testsets that `AccuracyOptions.request` asks for.

    Raises
    ------
    EmbeddingError
        The model does not load, or its input is no stack of images.
    """
    request = context.options.of(AccuracyOptions).request
    if not request.testsets:
        return AccuracyFacts()
    preprocessing, source = server_preprocessing(context)
    embedder = Embedder(
        context.runnable_path, device=context.options.device, threads=context.options.threads, batch=request.batch
    )
    how = How(
        embedder=embedder,
        preprocessing=preprocessing,
        cache=Path(request.cache) if request.cache else None,
        workdir=context.workdir,
        report=context.report,
        allow=context.allow,
        verification=Settings(
            histograms=True,
            device=context.options.device,
            workers=context.options.threads or None,
            seed=context.options.seed,
        ),
        kept=KeptVerification(Path(request.cache) / VERIFICATIONS if request.cache else None, request.offered),
        lock=LOCK if request.shard is None else f"{LOCK}-{request.shard[0]}",
    )
    if request.shard is not None:
        for wanted in request.testsets:
            # What cannot be embedded here is found again, and told, by whoever embeds the whole.
            with suppress(TestsetError, LabelsError, EmbeddingError, OSError):
                embed_shard(how, _read(wanted, request), pixel_feeds(how, wanted, colour_order=False), request.shard)
        return AccuracyFacts()
    supplied: list[SuppliedTestset] = []
    results: list[SetResult] = []
    colour: ColourOrder | None = None
    for wanted in request.testsets:
        about, scored, order = _one_testset(
            how,
            request,
            wanted,
            supplied,
            colour_order=request.colour_order and (colour is None or bool(colour.why_not)),
        )
        supplied.append(about)
        results += scored
        colour = order or colour
    return AccuracyFacts(
        testsets=tuple(supplied),
        sets=tuple(results),
        colour_order=colour,
        mean=preprocessing.mean,
        std=preprocessing.std,
        preprocessing_source=source,
        provider=embedder.provider,
        runtime=embedder.runtime,
    )


def server_preprocessing(context: Context) -> tuple[Preprocessing, str]:
    """Return what the server does to pixels, and where that is known from.

    The step ``preprocessing`` finds out which of the organisers' two normalisations applies; without it the one that
    they apply to a model that does not normalise by itself is taken.
    """
    found = context.facts.gathered.get("preprocessing")
    mean, std = getattr(found, "server_mean", None), getattr(found, "server_std", None)
    if isinstance(mean, (int, float)) and isinstance(std, (int, float)) and std:
        return Preprocessing(mean=float(mean), std=float(std)), "the organisers' rule, applied to this model"
    return Preprocessing(), "the organisers' usual values; the step 'preprocessing' did not say"


def _one_testset(
    how: How, request: AccuracyRequest, wanted: TestsetRequest, earlier: list[SuppliedTestset], *, colour_order: bool
) -> tuple[SuppliedTestset, list[SetResult], ColourOrder | None]:
    about = SuppliedTestset(name=wanted.name, path=wanted.path)
    try:
        with heartbeat(how.report, f"reading {wanted.name}"):
            testset = _read(wanted, request)
        about = _described(about, testset, wanted)
        results: list[SetResult] = []
        order: ColourOrder | None = None
        ready: EntryEmbeddings | None = None
        some = _some_images(testset, wanted, colour_order=colour_order)
        feeds = pixel_feeds(how, wanted, colour_order=colour_order)
        for place, (flip, raw) in enumerate(feeds):
            entries = embed_testset(how, testset, flip=flip, raw=raw, some=some)
            if place + 1 == len(feeds) or feeds[place + 1].raw != raw:
                how.latest.forget()
            if about.embedding is None:
                about = _with_duplicates(about, testset, entries)
            about = _with_run(about, how.embedder, entries)
            results += [
                _scored(how, testset, entries, index, len(wanted.sets), wanted)
                for index, each in enumerate(wanted.sets)
                if each.wanted and how.fed(raw=each.raw) == how.fed(raw=raw) and each.flip == flip
            ]
            if flip == official_flip(testset) and how.fed(raw=raw) == how.fed(raw=True):
                ready = entries
            if colour_order and order is None and not flip:
                comparable = entries.usable & _largest_set(testset, wanted)
                order = compare_colour_orders(how, testset, entries.rows, comparable, raw=raw)
        if request.write_features and testset.form.startswith("LFR19"):
            ready = ready or embed_testset(how, testset, flip=official_flip(testset), raw=True)
            with heartbeat(how.report, f"writing {request.write_features}"):
                about = _written(about, request.write_features, ready, earlier)
    except (TestsetError, LabelsError, EmbeddingError, OSError) as error:
        return msgspec.structs.replace(about, error=str(error)), [], None
    return about, results, order


class Feed(NamedTuple):
    """One way in which a testset's images are fed: with their mirror images or without, as 0..255 or as the server."""

    flip: bool
    raw: bool


def pixel_feeds(how: How, wanted: TestsetRequest, *, colour_order: bool) -> list[Feed]:
    """Return the ways in which images are fed that make different embeddings; with the same pixels side by side.

    A model that normalises by itself gets 0..255 from the server as well, so tracks of both kinds feed it alike.

    Parameters
    ----------
    colour_order
        Whether the order of colours is looked at, which takes the first way without mirror images that any set has.
        Where every image is to be looked at and no set is scored, the first way of any set is taken.
    """
    same = how.fed(raw=True) == how.fed(raw=False)
    feeds = {Feed(each.flip, each.raw and not same) for each in wanted.sets if each.wanted}
    every = {Feed(each.flip, each.raw and not same) for each in wanted.sets}
    plain = {feed for feed in every if not feed.flip}
    if colour_order and plain and not feeds & plain:
        feeds.add(min(plain))
    if wanted.whole and every and not feeds:
        feeds.add(min(every))
    return sorted(feeds, key=lambda feed: (feed.raw, feed.flip))


def _some_images(testset: Testset, wanted: TestsetRequest, *, colour_order: bool) -> SomeImages | None:
    """Return the images that what is wanted of a testset reads; None for all of them.

    Lists of pairs and of templates are embedded whole: what they leave out is counted over all of their images.
    """
    if wanted.whole or testset.pooling is not None or testset.pairs is not None:
        return None
    needed = np.zeros(len(testset), dtype=bool)
    for each in wanted.sets:
        if each.wanted:
            with suppress(SetError):
                needed |= select_entries(testset, each.select)
    if colour_order and testset.identities is not None:
        needed[images_to_compare(testset.identities, _largest_set(testset, wanted))] = True
    chosen = np.flatnonzero(needed).astype(np.int64)
    return SomeImages(testset.images, chosen) if 0 < len(chosen) < len(testset) else None


def _read(wanted: TestsetRequest, request: AccuracyRequest) -> Testset:
    testset = read_testset(Path(wanted.path), wanted.name)
    if request.labels and testset.form.startswith("LFR19"):
        identities = read_labels(Path(request.labels), len(testset))
        testset = dataclasses.replace(testset, identities=identities, findings=())
    return testset


def _scored(
    how: How, testset: Testset, entries: EntryEmbeddings, index: int, count: int, wanted: TestsetRequest
) -> SetResult:
    each = wanted.sets[index]
    how.allow(most_processor_seconds(int(entries.usable.sum()), entries.rows.shape[1]))
    with heartbeat(how.report, f"scoring {testset.name}: {each.name} (set {index + 1} of {count})"):
        return score_set(testset, each, entries.rows, entries.usable, how.verification, how.kept)


def _selections(testset: Testset, wanted: TestsetRequest) -> list[BoolArray]:
    """Return what each set takes: bool [entries]; a set that takes nothing is told when it is scored."""
    found = []
    for each in wanted.sets:
        with suppress(SetError):
            found.append(select_entries(testset, each.select))
    return found


def _largest_set(testset: Testset, wanted: TestsetRequest) -> BoolArray:
    """Return the entries of the set with most of them: names of people may mean others in another set."""
    return max(_selections(testset, wanted), key=np.count_nonzero, default=np.zeros(len(testset), dtype=bool))


def _described(about: SuppliedTestset, testset: Testset, wanted: TestsetRequest) -> SuppliedTestset:
    findings = list(testset.findings)
    outside = len(testset) - int(
        np.logical_or.reduce([np.zeros(len(testset), bool), *_selections(testset, wanted)]).sum()
    )
    if outside:
        findings.append(f"{outside:,} of {len(testset):,} entries belong to none of the judged tracks' sets")
    return msgspec.structs.replace(
        about,
        form=testset.form,
        images=len(testset.images),
        entries=len(testset),
        identities=testset.identity_count,
        findings=tuple(findings),
    )


def _with_duplicates(about: SuppliedTestset, testset: Testset, entries: EntryEmbeddings) -> SuppliedTestset:
    if testset.pooling is not None:  # here `usable` is of entries and not of images
        return about
    findings = duplicate_findings(testset, entries.runs[0].digests, entries.usable)
    return msgspec.structs.replace(about, findings=(*about.findings, *findings))


def _with_run(about: SuppliedTestset, embedder: Embedder, entries: EntryEmbeddings) -> SuppliedTestset:
    computed = sum(run.computed for run in entries.runs)
    seconds = sum(run.seconds for run in entries.runs)
    notes = dict.fromkeys(note for run in entries.runs for note in run.cache_notes)
    return msgspec.structs.replace(
        about,
        findings=(*about.findings, *notes),
        problems=tuple(
            ImageProblem(name=problem.name, kind=problem.kind, what=problem.what)
            for problem in entries.problems[:MAX_PROBLEMS]
        ),
        problem_count=len(entries.problems),
        embedding=EmbeddingRun(
            computed=computed,
            cached=sum(run.cached for run in entries.runs),
            seconds=seconds,
            rate=computed / seconds if seconds > 0 else 0.0,
            width=entries.rows.shape[1],
            batch=embedder.batch,
            damaged_cache_files=sum(len(run.damaged) for run in entries.runs),
        ),
    )


def _finite_rows(rows: npt.NDArray[np.float32]) -> int:
    """Count the rows (float32 [N, D], perhaps a memory map) without NaN and infinite values, in pieces."""
    step = 8192
    return sum(int(np.isfinite(rows[at : at + step]).all(axis=1).sum()) for at in range(0, len(rows), step))


def official_flip(testset: Testset) -> bool:
    """Whether LFR19's scripts add the mirror image for this testset: for images they do, for video frames not."""
    return testset.form == "LFR19 images"


def _written(
    about: SuppliedTestset, path: str, entries: EntryEmbeddings, earlier: list[SuppliedTestset]
) -> SuppliedTestset:
    """Write the feature file, or say why not: a row that is missing would shift or spoil the submission."""
    missing = len(entries.rows) - _finite_rows(entries.rows)
    if missing:
        finding = (
            f"{path} was not written: {missing:,} of {len(entries.rows):,} rows have no embedding, or one with NaN"
        )
        return msgspec.structs.replace(about, findings=(*about.findings, finding))
    if any(path == other.written_features for other in earlier):
        finding = f"{path} was not written from {about.name}: it already holds the features of another testset"
        return msgspec.structs.replace(about, findings=(*about.findings, finding))
    try:
        write_features(Path(path), entries.rows)
    except OSError as error:  # the scores are there and stay
        return msgspec.structs.replace(about, findings=(*about.findings, f"{path} was not written: {error}"))
    return msgspec.structs.replace(about, written_features=path)
