"""Checks of the model's input and output."""

from __future__ import annotations

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.remedies import export_again, one_output
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.behaviour import BatchFacts, BatchRun
from pytest_facechallenge.core.facts.flow import FlowFacts, ProbesFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts, ValueDeclaration
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided
from pytest_facechallenge.core.rulebook import Rule


def shape_text(shape: tuple[int | str, ...] | None) -> str:
    """Return a shape as people write it, "[N,3,112,112]"."""
    return "no shape" if shape is None else f"[{','.join(map(str, shape))}]"


def _declared(value: ValueDeclaration) -> str:
    return f"{value.name!r} {value.dtype}{shape_text(value.shape)}"


@check(InterfaceFacts, parameters={"shape": list[int], "dtype": str, "any_resolution": bool})
def input_shape(facts: Facts, rule: Rule) -> Outcome:
    """Judge the model's input.

    What:
        Exactly one input, float32, of shape [N,3,112,112].

    Why:
        The server feeds aligned 112x112 RGB images; another shape or a second input cannot be fed.

    How it is measured:
        The declared inputs of the graph, without the initializers that older exporters list among them. The first
        axis may be symbolic or fixed (see the rule 'batch'); the other three must be exactly as the rule says.

    How to fix:
        Export with torch.onnx.export(model, torch.randn(1, 3, 112, 112), ...) and name only the first axis in
        dynamic_axes.
    """
    interface = facts.need(InterfaceFacts)
    wanted = [int(extent) for extent in rule.parameters.get("shape", [3, 112, 112])]
    dtype = str(rule.parameters.get("dtype", "float"))
    limit = f"{'float32' if dtype == 'float' else dtype} {shape_text(('N', *wanted))}"
    evidence = tuple(
        Evidence(where=f"input {value.name!r}", what=f"{value.dtype}{shape_text(value.shape)}")
        for value in interface.inputs
    )
    measured = "; ".join(_declared(value) for value in interface.inputs) or "no input"

    def broken(message: str) -> Outcome:
        remedy = export_again(facts, rule, _first(interface))
        return failed(message, remedy=remedy, measured=measured, limit=limit, evidence=evidence)

    if len(interface.inputs) != 1:
        return broken(f"Exactly one input is expected, found {len(interface.inputs)}: {measured}.")
    value = interface.inputs[0]
    if value.dtype != dtype:
        return broken(f"The input {value.name!r} must be float32, found {value.dtype}.")
    if value.shape is None or len(value.shape) != 1 + len(wanted):
        return broken(
            f"The input {value.name!r} must have {1 + len(wanted)} axes, {shape_text(('N', *wanted))}; "
            f"found {shape_text(value.shape)}."
        )
    if list(value.shape[1:]) != wanted:
        return broken(
            f"The input {value.name!r} must be {shape_text(('N', *wanted))}, found {shape_text(value.shape)}."
        )
    return passed(f"The one input is {_declared(value)}.", measured=measured, limit=limit, evidence=evidence)


def _first(interface: InterfaceFacts) -> str:
    """Return what to change before the model is written again."""
    shape = interface.inputs[0].shape if len(interface.inputs) == 1 else None
    if shape is not None and len(shape) == 4 and shape[-1] == 3:
        return "The channels come last (NHWC); the server feeds them first (NCHW)."
    return ""


def _runs(facts: Facts) -> list[BatchRun]:
    return [run for run in facts.need(BatchFacts).runs if not run.error]


def _no_run(facts: Facts) -> Outcome:
    errors = facts.need(BatchFacts).runs
    return undecided(
        f"The model ran on no batch, so its output is unknown: {errors[0].error if errors else 'no batch was tried'}",
        remedy="Solve what the rule 'batch' reports; then this rule can be judged.",
    )


@check(InterfaceFacts, BatchFacts, parameters={"axes": int})
def output(facts: Facts, rule: Rule) -> Outcome:
    """Judge the model's output.

    What:
        Exactly one output, float32, of shape [N,D], and the model gives what it declares.

    Why:
        The server takes one row of D numbers per image as its embedding.

    How it is measured:
        The declared outputs are compared with the shapes and types that real runs on batches of several sizes
        images gave.

    How to fix:
        Return only the embedding from forward(), flattened to two axes (x.flatten(1)), and export again.
    """
    interface = facts.need(InterfaceFacts)
    runs = _runs(facts)
    if not runs:
        return _no_run(facts)
    evidence = [
        Evidence(where=f"declared output {value.name!r}", what=f"{value.dtype}{shape_text(value.shape)}")
        for value in interface.outputs
    ]
    evidence += [
        Evidence(
            where=f"batch of {run.size}",
            what=f"gave {', '.join(f'{d}{shape_text(s)}' for d, s in zip(run.dtypes, run.shapes, strict=True))}",
        )
        for run in runs
    ]
    measured = f"{runs[0].dtypes[0]}{shape_text(('N', *runs[-1].shapes[0][1:]))}" if runs[0].shapes else "no output"
    limit = "one float32 [N,D]"

    def broken(message: str) -> Outcome:
        return failed(
            message,
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
            remedy=remedy,
        )

    remedy = export_again(facts, rule, "Return only the embedding from forward(), float32 and flattened to [N,D].")
    if len(interface.outputs) != 1:
        remedy = one_output(facts, rule)
        return broken(f"Exactly one output is expected, found {len(interface.outputs)}{_norms(interface, runs)}.")
    if all(run.gives_rows and run.width == 1 for run in runs):
        remedy = "Export the embedding in its place; the norm is not needed for the cosine similarity."
        return broken(
            f"The output {interface.outputs[0].name!r} is [N,1], one number an image: it is the norm of the embedding "
            "and not the embedding."
        )
    declared = interface.outputs[0]
    for run in runs:
        if not run.shapes:
            return broken(f"A batch of {run.size} gave no output.")
        shape, dtype = run.shapes[0], run.dtypes[0]
        if dtype not in ("float32", "float64"):
            return broken(f"The output must be float32, a batch of {run.size} gave {dtype}.")
        if len(shape) != 2:
            return broken(f"The output must have two axes [N,D], a batch of {run.size} gave {shape_text(shape)}.")
        if declared.shape is not None and not _agrees(declared.shape, shape):
            return broken(
                f"The output {declared.name!r} declares {shape_text(declared.shape)}, but a batch of {run.size} gave "
                f"{shape_text(shape)}."
            )
    widths = sorted({run.shapes[0][1] for run in runs})
    if len(widths) > 1:
        return broken(f"The width of the embedding depends on the batch: {widths}.")
    given = runs[0].dtypes[0]
    if {"float": "float32", "double": "float64"}.get(declared.dtype) != given:
        return broken(f"The output {declared.name!r} declares {declared.dtype}, but it gives {given}.")
    wide = ("The output is float64, which the organisers' checker accepts; no rule speaks of its type.",)
    return passed(
        f"One {given} output with one row per image, as declared.",
        notes=wide if given == "float64" else (),
        measured=measured,
        limit=limit,
        evidence=tuple(evidence),
    )


def _norms(interface: InterfaceFacts, runs: list[BatchRun]) -> str:
    """Return which of several outputs are the norm, as the rest of a sentence."""
    shapes = runs[0].shapes
    if len(shapes) != len(interface.outputs):
        return ""
    narrow = [value.name for value, shape in zip(interface.outputs, shapes, strict=True) if shape[1:] == (1,)]
    return f"; {', '.join(map(repr, narrow))} is [N,1], the norm of the embedding" if narrow else ""


def _agrees(declared: tuple[int | str, ...], given: tuple[int, ...]) -> bool:
    """Whether a run's shape fits the declaration; the batch axis is the business of the rule ``batch``."""
    if len(declared) != len(given):
        return False
    return all(isinstance(a, str) or a == b for a, b in zip(declared[1:], given[1:], strict=True))


@check(InterfaceFacts, BatchFacts, FlowFacts, ProbesFacts, limit="needed")
def embedding_dim(facts: Facts, rule: Rule) -> Outcome:
    """Judge the length of the embedding.

    What:
        The number of values per image.

    Why:
        Longer features are an advantage that the track limits.

    How it is measured:
        On real runs: the values of the output over the images that went in, so that a batch that is folded into one
        row is counted as what it is. What the model declares is shown beside it, but a declaration alone never passes.
        Where the graph shows that the number of images, or what is in them, decides how many values there are, batches
        of the sizes that it computes with and extremes of natural images are run as well; the branches of a condition
        count whether or not an image takes them. What decides it and was not met leaves the rule undecided.

    How to fix:
        Change the width of the last fully connected layer (num_features in most ArcFace code), train, export again.
    """
    runs = _runs(facts)
    if not runs:
        return _no_run(facts)
    interface = facts.need(InterfaceFacts)
    sizes = {run.size: run.width for run in runs}
    flow, probes = facts.get(FlowFacts), facts.get(ProbesFacts)
    if probes is not None:
        sizes |= {run.size: run.width for run in probes.batch if run.width and run.size not in sizes}
    decided = () if flow is None else flow.widths
    extreme = max((image.width for image in (() if probes is None else probes.images)), default=0)
    worst = max(*sizes.values(), extreme, *(width for each in decided for width in each.widths))
    name = interface.outputs[0].name if interface.outputs else "?"
    evidence = tuple(
        Evidence(where=f"batch of {size}", what=f"{width} values per image") for size, width in sizes.items()
    )
    evidence += tuple(Evidence(where=f"node {each.node!r}", what=f"{each.op} {each.what}") for each in decided)
    measured = f"{worst} values"
    seen = {*sizes.values(), *([extreme] if extreme else [])}
    if rule.within(worst) and decided and len(seen) < 2 and not any(each.widths for each in decided):
        return undecided(
            f"The node {decided[0].node!r} ({decided[0].op}) {decided[0].what}; all that was run gives {worst} values, "
            "so how many there can be is not decided.",
            remedy="Give every image the same number of values, by a constant; then this can be decided.",
            measured=measured,
            limit=rule.limit_text(),
            evidence=evidence,
        )
    if rule.within(worst):
        return passed(
            f"The embedding has {worst} values.", measured=measured, limit=rule.limit_text(), evidence=evidence
        )
    return failed(
        f"The output {name!r} has {worst} values per image; {rule.book.tracks[rule.track].title} allows at most "
        f"{rule.limit}.",
        remedy=f"Set the last fully connected layer to at most {rule.limit} outputs, train, and export again.",
        measured=measured,
        limit=rule.limit_text(),
        evidence=evidence,
    )
