"""What the organisers' own checker would say."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.server_problems import unknown_to_server
from pytest_facechallenge.core import dtypes
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts
from pytest_facechallenge.core.facts.organisers_checker import OrganisersCheckerFacts
from pytest_facechallenge.core.facts.weights import WeightsFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed
from pytest_facechallenge.core.rulebook import Rule

#: Its constants, where the rulebook sets none of its own: nodes, height and width, size of the file in MiB.
LEAST_NODES, SIDE, MOST_MIB = 8, 112, 1024


class Step(msgspec.Struct, frozen=True):
    """One of its checks: what it looks at, what it finds, why it stops there (empty when it goes on), and the fix."""

    name: str
    finds: str
    stops: str = ""
    remedy: str = ""


@check(
    OrganisersCheckerFacts,
    CompatibilityFacts,
    WeightsFacts,
    parameters={"least_nodes": int, "side": int, "most_mib": int, "checker_track": str},
    limit="number",
)
def helper_verdict(facts: Facts, rule: Rule) -> Outcome:
    """Say what the organisers' own checker, onnx_helper.py, would say of this model.

    What:
        The organisers' checker accepts the model.
    Why:
        Participants are asked to use it before they submit, and the server applies the same code: what it refuses is
        not scored, even where it is mistaken.
    How it is measured:
        Its checks are made again in its order, and it stops at the first that fails: the last .onnx by name, loading,
        four axes, the batch axis (a fixed one is made symbolic and the model loaded again), one output, eight nodes,
        112x112, 1024 MiB, the choice of the normalisation, initializers of at least four bytes an element, one
        image, a batch of 32 copies whose sum is a number, two axes of output, the length of the feature. Its timing
        (the sixth smallest of 50 runs) belongs to the rule latency and is not judged here. Loading counts as refused
        when the server's runtime does not know the model, even if the local one does. Where its verdict differs from
        what this plugin finds, the difference is explained in the notes.
    How to fix:
        Fix what the check it stops at complains about. Small integer constants that it wrongly refuses can be stored
        as int32 or int64.
    """
    found = facts.need(OrganisersCheckerFacts)
    steps: list[Step] = []
    for step in _steps(found, facts, rule):
        steps.append(step)
        if step.stops:
            break
    last = steps[-1]
    evidence = tuple(
        Evidence(
            where=f"check {i}: {step.name}", what=f"{step.finds}; stops: {step.stops}" if step.stops else step.finds
        )
        for i, step in enumerate(steps, 1)
    )
    notes = tuple(_differences(found, facts, last))
    limit = "accepted"
    who = _who(rule)
    if last.stops:
        return failed(
            f"{who} would refuse this model at its check {len(steps)} ({last.name}): {last.stops}.",
            measured=f"refused at check {len(steps)}, {last.name}",
            limit=limit,
            evidence=evidence,
            remedy=last.remedy,
            notes=notes,
        )
    return passed(
        f"{who} would accept this model, if it is fast enough (judged by the rule latency). It would feed "
        f"(pixel - {found.server_mean:g}) / {found.server_std:g}.",
        measured="accepted, timing excluded",
        limit=limit,
        evidence=evidence,
        notes=notes,
    )


#: The check that reports the same as a step of the organisers' checker that stops.
_OWNERS = {
    "loading": "onnx_valid",
    "axes of the input": "input_shape",
    "batch axis": "batch",
    "outputs": "output",
    "nodes": "onnx_valid",
    "size of the image": "input_shape",
    "size of the file": "model_size",
    "width of the initializers": "no_float16",
    "one image": "batch",
    "a batch": "batch",
    "axes of the output": "output",
    "length of the feature": "embedding_dim",
    "the file": "package",
}


def owner_of_refusal(facts: Facts, rule: Rule) -> str:
    """Return the check that reports what the organisers' checker stops at; "" where it accepts or facts are missing."""
    found = facts.get(OrganisersCheckerFacts)
    if found is None or facts.get(CompatibilityFacts) is None:
        return ""
    stopped = next((step for step in _steps(found, facts, rule) if step.stops), None)
    if stopped is None:
        return ""
    if stopped.name == "loading" and not found.load_error:
        return "server_runtime"
    name = "a batch" if stopped.name.startswith("a batch") else stopped.name
    return _OWNERS.get(name, "")


def _who(rule: Rule) -> str:
    track = rule.parameters.get("checker_track")
    return f"The organisers' checker (track {track})" if track else "The organisers' checker"


def _steps(found: OrganisersCheckerFacts, facts: Facts, rule: Rule) -> Iterator[Step]:
    """Yield its checks in its order; what comes after the first that stops need not be sensible."""
    yield _file(found)
    yield _load(found, facts, rule)
    axes = len(found.input_shape)
    wrong = "" if axes == 4 else f"four axes are expected, the input has {axes}"
    yield Step("axes of the input", f"shape {list(found.input_shape)}", wrong, "Export with input [N,3,112,112].")
    repair = "the batch axis is symbolic"
    if found.repaired:
        repair = f"the batch axis is fixed at {found.input_shape[0]}; made symbolic and loaded again"
    wrong = f"the repaired model does not load: {found.repair_error}" if found.repair_error else ""
    yield Step("batch axis", repair, wrong, "Export with dynamic_axes={'input': {0: 'batch'}}.")
    wrong = "" if found.outputs == 1 else f"one output is expected, the model has {found.outputs}"
    yield Step("outputs", str(found.outputs), wrong, "Return only the embedding from forward().")
    least = int(rule.parameters.get("least_nodes") or LEAST_NODES)
    wrong = "" if found.nodes >= least else f"at least {least} nodes are expected, the graph has {found.nodes}"
    yield Step("nodes", str(found.nodes), wrong, "Export a whole network; it takes this one for an empty shell.")
    side = int(rule.parameters.get("side") or SIDE)
    fits = found.input_shape[2:] == (side, side)
    wrong = "" if fits else f"{side}x{side} is expected, the input declares {list(found.input_shape[2:])}"
    yield Step("size of the image", f"{list(found.input_shape[2:])}", wrong, f"Export with a {side}x{side} input.")
    most = int(rule.parameters.get("most_mib") or MOST_MIB)
    size = found.bytes / 2**20
    wrong = "" if size <= most else f"at most {most} MiB are allowed, the file has {size:.4f}"
    yield Step("size of the file", f"{size:.1f} MiB", wrong, "Use a smaller network.")
    yield Step("normalisation", f"it feeds (pixel - {found.server_mean:g}) / {found.server_std:g}")
    yield _initializers(found)
    wrong = f"it does not run: {found.single_error}" if found.single_error else ""
    yield Step("one image", "not run" if found.single_error is None else "run", wrong, "Make the model run locally.")
    yield _batch(found)
    shape = list(found.batch_shape)
    wrong = "" if len(shape) >= 2 else f"at least two axes are expected, the output has {len(shape)}"
    yield Step("axes of the output", f"shape {shape}", wrong, "Return the embeddings as [N, D].")
    yield _length(found, rule)


def _file(found: OrganisersCheckerFacts) -> Step:
    last = found.onnx_files[-1]
    wrong = f"it would judge {last!r}, not {found.judged_file!r}" if last != found.judged_file else ""
    return Step("the file", f"{last!r}, last of {len(found.onnx_files)}", wrong, "Submit exactly one .onnx file.")


def _load(found: OrganisersCheckerFacts, facts: Facts, rule: Rule) -> Step:
    remedy = "See the rules onnx-valid and server-runtime."
    if found.load_error:
        return Step("loading", "refused", f"the model does not load: {found.load_error}", remedy)
    runtime = rule.book.runtime
    unknown = unknown_to_server(facts.need(CompatibilityFacts), runtime) if runtime else []
    if runtime and unknown:
        where = f"{unknown[0].where}: {unknown[0].what}"
        return Step("loading", "refused", f"onnxruntime {runtime.onnxruntime} does not load it: {where}", remedy)
    return Step("loading", "loads")


def _initializers(found: OrganisersCheckerFacts) -> Step:
    name = "width of the initializers"
    if not found.narrow_initializer:
        return Step(name, "all have at least four bytes an element")
    what = f"initializer {found.narrow_initializer!r} is {found.narrow_dtype}"
    remedy = "Store it as float32."
    if dtypes.is_integer(found.narrow_dtype):
        remedy = "Store it as int32 or int64."
    return Step(name, what, f"{what}, and less than four bytes an element are refused whatever they are", remedy)


def _batch(found: OrganisersCheckerFacts) -> Step:
    name, remedy = f"a batch of {found.batch} copies", "Export with a dynamic batch axis and without fixed reshapes."
    if found.batch_error:
        return Step(name, "fails", f"it does not run: {found.batch_error}", remedy)
    if found.batch_sum_finite is False:
        return Step(name, "run", "the sum of the result is not a finite number", "Find the layer that overflows.")
    return Step(name, f"run, sum is finite, result {list(found.batch_shape)}")


def _length(found: OrganisersCheckerFacts, rule: Rule) -> Step:
    length = found.batch_shape[1]
    limit = rule.limit if isinstance(rule.limit, (int, float)) else None
    wrong = f"at most {limit} is allowed, the feature has {length}" if limit is not None and length > limit else ""
    return Step("length of the feature", str(length), wrong, f"Let the last layer give at most {limit} values.")


def _differences(found: OrganisersCheckerFacts, facts: Facts, last: Step) -> Iterator[str]:
    """Yield where its verdict and this plugin's findings differ, and why."""
    weights = facts.get(WeightsFacts)
    harmless = dtypes.is_integer(found.narrow_dtype) and weights is not None and not weights.shared
    if found.narrow_initializer and harmless and last.name == "width of the initializers":
        yield (
            f"It is mistaken about {found.narrow_initializer!r}: the rule is about weights, and no weight comes from "
            "narrow integers here (rule no-float16)."
        )
    if weights is not None and not found.narrow_initializer:
        missed = [tensor.where for tensor in weights.narrow_floats] + [
            source.where for pool in weights.shared for source in pool.sources
        ]
        if missed:
            yield (
                f"It looks at the initializers of the main graph only and misses {missed[0]}"
                f"{f' and {len(missed) - 1} more' if len(missed) > 1 else ''} (rule no-float16)."
            )
    if found.batch_shape and found.batch_shape[0] != found.batch:
        yield (
            f"It does not count rows: {found.batch} images give {found.batch_shape[0]} here, which it accepts and "
            "the rule batch does not."
        )
    yield (
        "The checker itself fails to load any model with onnxruntime-gpu 1.9 and newer, which want their providers "
        "named; use it with the runtime of the server."
    )
