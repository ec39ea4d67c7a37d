"""Checks against the evaluation server's runtime."""

from __future__ import annotations

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.server_problems import Problem, remedy_for, unknown_to_server
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts, OperatorUse
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.server import ServerFacts
from pytest_facechallenge.core.known_runtimes import (
    NO_CUDA_KERNEL,
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


@check(
    CompatibilityFacts,
    ServerFacts,
    InterfaceFacts,
    parameters={"least_cosine": float, "most_difference": float},
)
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
        Write the file again in the older opset: the finding has the call for the exporter that wrote it. Imports that
        nothing uses, and an IR version that is only a number, are changed in the file as it is.
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
        return _tried(server, facts, rule, runtime, problems, notes)
    return _read_only(facts, rule, runtime, problems, notes)


def _read_only(facts: Facts, rule: Rule, runtime: Runtime, problems: list[Problem], notes: list[str]) -> Outcome:
    compat = facts.need(CompatibilityFacts)
    measured, limit = _measured(compat), _limit(runtime)
    if problems:
        return failed(
            f"onnxruntime {runtime.onnxruntime} cannot run this model. First: {problems[0].where}: {problems[0].what}.",
            measured=measured,
            limit=limit,
            evidence=_evidence(problems),
            remedy=remedy_for(problems, facts, rule),
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
    facts: Facts,
    rule: Rule,
    runtime: Runtime,
    problems: list[Problem],
    notes: list[str],
) -> Outcome:
    """Judge by what the real runtime did."""
    compat = facts.need(CompatibilityFacts)
    name, limit = f"onnxruntime {server.version or runtime.onnxruntime}", _limit(runtime)
    evidence = _evidence(problems)
    measured = f"{_measured(compat)}, {_REACHED[server.stage]}"
    remedy = remedy_for(problems, facts, rule)
    if server.timeout_seconds is not None or (server.stage == "start" and not server.signal):
        if problems:
            return _read_only(facts, rule, runtime, problems, [*notes, f"Running it did not help: {server.error}."])
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
