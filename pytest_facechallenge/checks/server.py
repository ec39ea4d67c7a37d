"""Checks against the evaluation server's runtime."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts, OperatorUse, PReluUse
from pytest_facechallenge.core.facts.server import ServerFacts
from pytest_facechallenge.core.known_runtimes import (
    EXTRA_STANDARD,
    NO_CUDA_KERNEL,
    STANDARD_DOMAINS,
    TYPE_SINCE,
    contrib_operators,
)
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided
from pytest_facechallenge.core.rulebook import Rule, Runtime

#: The cosine similarity that the embeddings of one image from two runtimes must reach. Runtimes sum in another order;
#: for float32 networks that costs less than 1e-6 (measured between 1.6.0 and a current one). 0.99999 is an angle of
#: 0.0045, which can change no matching score by more than 0.0045.
LEAST_COSINE = 0.99999

#: The largest difference of two values, in parts of the largest value.
MOST_DIFFERENCE = 0.01

_REACHED = {
    "start": "not started",
    "load": "not loaded",
    "run": "loaded, not run",
    "batch": "runs single images",
    "done": "runs",
}


@dataclass(frozen=True)
class Problem:
    """One thing that the runtime does not know: where (its place in the file decides which is first), what, the fix."""

    position: int
    where: str
    what: str
    remedy: str


@check(CompatibilityFacts, ServerFacts, parameters={"least_cosine": float, "most_difference": float})
def server_runtime(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the evaluation server's runtime can load and run the model.

    What:
        The server's onnxruntime loads the model and runs it.
    Why:
        The server's runtime is old. A model exported with a newer opset, IR version or operator is refused there,
        although it runs everywhere else.
    How it is measured:
        Read from the file: IR version, opsets, the version of every operator's definition, domains, element types, and
        the shapes of PRelu slopes (a slope of shape [C] for images is accepted by checkers and fails when it runs).
        The first node that the runtime does not know is named. With --facechallenge-server-python the model is run in
        that runtime itself, on seeded images, and its embeddings are compared with those of the local runtime: the
        cosine similarity of each must reach 0.99999 and no value may differ by more than 1 % of the largest. What the
        real runtime did decides over what was read, if its version is the server's. Without it a pass rests on reading
        alone, and says so. Both are the CPU build: the server's GPU build is not installable any more.
    How to fix:
        Export with torch.onnx.export(..., opset_version=N) with N as named in the finding, and save with the IR version
        of that time (model.ir_version = 7 with onnx). Replace operators that the runtime does not know by older ones.
    """
    runtime = rule.book.runtime
    if runtime is None:
        return not_applicable("The challenge names no runtime of an evaluation server.")
    compat = facts.need(CompatibilityFacts)
    problems = unknown_to_server(compat, runtime)
    notes = list(_warnings(compat, runtime))
    server = facts.get(ServerFacts)
    failure = facts.failure(ServerFacts)
    if failure is not None:
        notes.append(f"The server's runtime was not run: {failure.message}")
    elif server is None or not server.ran:
        notes.append(
            f"onnxruntime {runtime.onnxruntime} itself was not run: judged by reading the file. "
            "--facechallenge-server-python with an interpreter that has it would run it."
        )
    elif server.version and not _same_version(server.version, runtime.onnxruntime):
        notes.append(
            f"The given interpreter has onnxruntime {server.version}, the server {runtime.onnxruntime}: not used."
        )
    else:
        return _tried(server, compat, rule, runtime, problems, notes)
    return _read_only(compat, runtime, problems, notes)


def _read_only(compat: CompatibilityFacts, runtime: Runtime, problems: list[Problem], notes: list[str]) -> Outcome:
    measured, limit = _measured(compat), _limit(runtime)
    if problems:
        return failed(
            f"onnxruntime {runtime.onnxruntime} cannot run this model. First: {problems[0].where}: {problems[0].what}.",
            measured=measured,
            limit=limit,
            evidence=_evidence(problems),
            remedy=" ".join(dict.fromkeys(problem.remedy for problem in problems)),
            notes=tuple(notes),
        )
    doubtful = _uncertain(compat, runtime)
    if doubtful:
        names = ", ".join(f"{use.domain}.{use.op} (node {use.first!r})" for use in doubtful[:5])
        return undecided(
            f"Whether onnxruntime {runtime.onnxruntime} knows these operators is not recorded here: {names}.",
            measured=measured,
            limit=limit,
            notes=tuple(notes),
            remedy=f"Run it: --facechallenge-server-python with an interpreter that has {runtime.onnxruntime}.",
        )
    return passed(
        f"Every operator, version and type of the model is known to onnxruntime {runtime.onnxruntime}.",
        measured=measured,
        limit=limit,
        notes=tuple(notes),
    )


def _tried(
    server: ServerFacts,
    compat: CompatibilityFacts,
    rule: Rule,
    runtime: Runtime,
    problems: list[Problem],
    notes: list[str],
) -> Outcome:
    """Judge by what the real runtime did."""
    name, limit = f"onnxruntime {server.version or runtime.onnxruntime}", _limit(runtime)
    evidence = _evidence(problems)
    measured = f"{_measured(compat)}, {_REACHED[server.stage]}"
    remedy = " ".join(dict.fromkeys(problem.remedy for problem in problems))
    if server.timeout_seconds is not None or (server.stage == "start" and not server.signal):
        if problems:
            return _read_only(compat, runtime, problems, [*notes, f"Running it did not help: {server.error}."])
        return undecided(
            f"{name} could not be tried: {server.error}.",
            remedy="Give --facechallenge-server-python an interpreter that imports the server's onnxruntime, and "
            "enough time. Reading the file found nothing that this runtime lacks.",
            evidence=evidence,
            notes=tuple(notes),
            measured=measured,
            limit=limit,
        )
    batch_only = server.stage == "batch" and server.local_stage == "batch" and not server.signal
    if server.stage != "done" and not batch_only:
        doing = {"load": "loading it", "run": "running one image", "batch": "running several images at once"}
        return failed(
            f"{name} failed while {doing.get(server.stage, 'starting')}: {server.error}.",
            remedy=remedy
            or "Run the model with that runtime yourself to find the node that it names, and replace or re-export it.",
            evidence=(*evidence, Evidence(where=name, what=server.error)),
            notes=tuple(notes),
            measured=measured,
            limit=limit,
        )
    if batch_only:
        notes.append(f"Several images at once fail here and in the server's runtime: {server.error}.")
    notes += [f"Reading the file found {problem.what} ({problem.where}), yet {name} runs it." for problem in problems]
    notes.append(f"Tried with the CPU build ({', '.join(server.providers)}), Python {server.python}.")
    return _compared(server, rule, runtime, name, measured, notes)


def _compared(server: ServerFacts, rule: Rule, runtime: Runtime, name: str, measured: str, notes: list[str]) -> Outcome:
    """Judge by how far the embeddings of the two runtimes lie apart."""
    found, limit = server.compared, _limit(runtime)
    if found is None:
        notes.append(f"No embeddings to compare with: the local runtime says {server.local_error or 'another shape'}.")
        return passed(f"{name} loads and runs the model.", measured=measured, limit=limit, notes=tuple(notes))
    least = float(rule.parameters.get("least_cosine") or LEAST_COSINE)
    most = float(rule.parameters.get("most_difference") or MOST_DIFFERENCE)
    relative = found.max_difference / found.max_value if found.max_value else found.max_difference
    text = f"cosine similarity {found.least_cosine:.7f}, largest difference {relative:.2g} of the largest value"
    measured = f"{measured}, cosine {found.least_cosine:.7f}"
    if found.least_cosine < least or relative > most:
        return failed(
            f"{name} gives other embeddings than {server.local_version} for the same images: {text} (at least "
            f"{least:g} and at most {most:g} are expected).",
            remedy="Scores come from the server's runtime. Compare the outputs of inner nodes between both runtimes to "
            "find the operator that differs (often Resize, a reduction or an operator with a changed default).",
            notes=tuple(notes),
            measured=measured,
            limit=limit,
        )
    return passed(
        f"{name} loads and runs the model, with the embeddings of {server.local_version}: {text}.",
        measured=measured,
        limit=limit,
        notes=tuple(notes),
    )


def _measured(compat: CompatibilityFacts) -> str:
    return f"opset {compat.opsets.get('', 0)}, IR {compat.ir_version}"


def _limit(runtime: Runtime) -> str:
    return f"opset <= {runtime.max_opset}, IR <= {runtime.max_ir_version}"


def _same_version(one: str, other: str) -> bool:
    return one.split(".")[:2] == other.split(".")[:2]


def _evidence(problems: list[Problem]) -> tuple[Evidence, ...]:
    return tuple(Evidence(where=problem.where, what=problem.what) for problem in problems[:20])


def unknown_to_server(compat: CompatibilityFacts, runtime: Runtime) -> list[Problem]:
    """Return what the runtime does not know about the model, read from the file, in the file's order."""
    return sorted(_problems(compat, runtime), key=lambda problem: problem.position)


def _problems(compat: CompatibilityFacts, runtime: Runtime) -> list[Problem]:
    found = [*_operator_problems(compat, runtime), *_number_problems(compat, runtime)]
    found += [
        Problem(10**9, use.where, f"the element type {use.dtype} is not known", f"Convert {use.where} to float32.")
        for use in compat.types
        if TYPE_SINCE.get(use.dtype, 0) > runtime.max_opset or use.dtype.startswith("type ")
    ]
    found += [problem for use in compat.prelus if (problem := _prelu(use)) is not None]
    if compat.functions and runtime.max_ir_version < 8:
        found.append(
            Problem(
                10**9,
                f"function {compat.functions[0]!r}",
                "local functions need IR version 8",
                "Inline the functions: onnx.inliner.inline_local_functions(model).",
            )
        )
    return found


def _newest(domain: str, runtime: Runtime) -> int | None:
    return {"": runtime.max_opset, "ai.onnx.ml": runtime.max_ml_opset}.get(domain)


def _operator_problems(compat: CompatibilityFacts, runtime: Runtime) -> list[Problem]:
    found: list[Problem] = []
    known, exact = contrib_operators(runtime.onnxruntime)
    for use in compat.operators:
        where, newest = f"node {use.first!r}", _newest(use.domain, runtime)
        name = f"{use.domain}.{use.op}" if use.domain else use.op
        if not use.domain and use.op in EXTRA_STANDARD and not 0 < use.since <= runtime.max_opset:
            continue
        if newest is not None and use.since > newest:
            older = [version for version in use.history if version <= newest]
            what = (
                f"{name} uses the definition of opset {use.since}; the runtime knows that of opset {older[-1]}"
                if older
                else f"{name} came with opset {use.since}; the runtime knows operators up to opset {newest}"
            )
            remedy = f"Export again with opset_version={newest}, so that {name} is written in an older form."
            found.append(Problem(use.position, where, what, remedy))
        elif newest is not None and use.since == 0:
            found.append(Problem(use.position, where, f"{name} is no operator of the standard", f"Replace {name}."))
        elif use.domain == "com.microsoft" and exact and use.op not in known:
            what = f"{name} is no operator of onnxruntime {runtime.onnxruntime}"
            remedy = "Export without optimising for a newer onnxruntime; the plain operators are known."
            found.append(Problem(use.position, where, what, remedy))
        elif newest is None and use.domain not in STANDARD_DOMAINS:
            what = f"{name} belongs to a domain that the runtime does not know"
            found.append(Problem(use.position, where, what, f"Replace {name} by standard operators."))
    return found


def _number_problems(compat: CompatibilityFacts, runtime: Runtime) -> list[Problem]:
    """Return what is wrong with the numbers in the file's head; they come after the nodes that show it."""
    found: list[Problem] = []
    for domain, newest in (("", runtime.max_opset), ("ai.onnx.ml", runtime.max_ml_opset)):
        declared = compat.opsets.get(domain, 0)
        if declared <= newest:
            continue
        where = f"opset_import of {domain or 'ai.onnx'}"
        if any(use.domain == domain and (use.since > newest or not use.since) for use in compat.operators):
            remedy = f"Export with opset_version={newest}."
            found.append(Problem(10**8, where, f"version {declared}, at most {newest} is loaded", remedy))
        else:
            what = (
                f"version {declared}, at most {newest} is loaded; only the number is too new, every node has the same "
                f"definition at {newest}"
            )
            remedy = f"Export with opset_version={newest}, or set the opset_import's version to {newest} with onnx."
            found.append(Problem(10**8, where, what, remedy))
    if compat.ir_version > runtime.max_ir_version:
        newest = runtime.max_ir_version
        what = f"IR version {compat.ir_version}, at most {newest} is loaded"
        found.append(Problem(10**8, "the file's head", what, f"Set model.ir_version = {newest} with onnx and save."))
    return found


def _prelu(use: PReluUse) -> Problem | None:
    """Return the trap of a slope that does not broadcast: [C] lines up with an image's width, not its channels."""
    extents = [extent for extent in use.slope if extent != 1]
    if not extents:
        return None
    remedy = f"Give the slope of {use.node!r} the shape [C,1,1] instead of [C]; the values stay the same."
    if use.input is None:
        return None
    aligned = zip(reversed(use.slope), reversed(use.input), strict=False)
    fits = len(use.slope) <= len(use.input) and all(s in (1, x) or x == -1 for s, x in aligned)
    if fits:
        return None
    what = f"the slope of shape {list(use.slope)} does not broadcast to the input of shape {list(use.input)}"
    return Problem(10**7, f"node {use.node!r}", what, remedy)


def _uncertain(compat: CompatibilityFacts, runtime: Runtime) -> list[OperatorUse]:
    """Return the operators of onnxruntime's own domain of which no table says whether this version has them."""
    known, exact = contrib_operators(runtime.onnxruntime)
    return [use for use in compat.operators if use.domain == "com.microsoft" and not exact and use.op not in known]


def _warnings(compat: CompatibilityFacts, runtime: Runtime) -> list[str]:
    found = [
        f"{use.op} (node {use.first!r}, {use.count} in all) has no CUDA kernel in that runtime: it runs on the CPU, "
        "and each image crosses over and back."
        for use in compat.operators
        if not use.domain and use.op in NO_CUDA_KERNEL
    ]
    if 0 < compat.opsets.get("", 0) < runtime.min_opset:
        found.append(f"Opset {compat.opsets['']} is older than {runtime.min_opset}, the oldest promised.")
    found += [
        f"Whether the slope {list(use.slope)} of PRelu {use.node!r} fits its input is not known before it runs."
        for use in compat.prelus
        if use.input is None and len(use.slope) == 1 and use.slope[0] > 1
    ]
    return found
