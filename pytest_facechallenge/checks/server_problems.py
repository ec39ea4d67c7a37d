"""What the evaluation server's runtime does not know about a model, read from the file, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pytest_facechallenge.checks import remedies
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.compatibility import CompatibilityFacts, PReluUse
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.known_runtimes import EXTRA_STANDARD, STANDARD_DOMAINS, TYPE_SINCE, contrib_operators
from pytest_facechallenge.core.producer import Producer
from pytest_facechallenge.core.rulebook import Rule, Runtime


class Mend(StrEnum):
    """What mends a problem."""

    AGAIN = "write the file again"
    IMPORTS = "remove imports"
    NUMBER = "lower the number of the opset"
    IR = "lower the IR version"
    SLOPES = "shape slopes as channels"
    BY_HAND = "see the problem's own remedy"


@dataclass(frozen=True)
class Problem:
    """One thing that the runtime does not know: where (its place in the file decides which is first), what, the fix."""

    position: int
    where: str
    what: str
    mend: Mend
    remedy: str = ""


def remedy_for(problems: Sequence[Problem], facts: Facts, rule: Rule) -> str:
    """Return one remedy for all problems, each part of it once; "" when there are none."""
    kinds = {problem.mend for problem in problems}
    found = facts.get(InterfaceFacts)
    parts: list[str] = []
    again = Mend.AGAIN in kinds
    if again:
        parts.append(remedies.export_again(facts, rule))
    rewritten = again and found is not None and found.exporter in (Producer.TORCH_SCRIPT, Producer.TORCH_DYNAMO)
    if Mend.IMPORTS in kinds and not again:
        parts.append(remedies.drop_imports())
    if rule.book.runtime is not None and not rewritten:
        if Mend.NUMBER in kinds and not again:
            parts.append(remedies.lower_opset(rule.book.runtime.max_opset))
        if Mend.IR in kinds and not again:
            parts.append(remedies.lower_ir(rule.book.runtime.max_ir_version))
    parts += [problem.remedy for problem in problems if problem.remedy]
    if Mend.SLOPES in kinds:
        parts.append(f"Give slopes [C] the shape [C,1,1]; the values stay the same: {remedies.mend(rule)}")
    return " ".join(dict.fromkeys(parts))


def unknown_to_server(compat: CompatibilityFacts, runtime: Runtime) -> list[Problem]:
    """Return what the runtime does not know about the model, read from the file, in the file's order."""
    return sorted(_problems(compat, runtime), key=lambda problem: problem.position)


def _problems(compat: CompatibilityFacts, runtime: Runtime) -> list[Problem]:
    found = [*_operator_problems(compat, runtime), *_number_problems(compat, runtime)]
    found += [
        Problem(
            10**9,
            use.where,
            f"the element type {use.dtype} is not known",
            Mend.BY_HAND,
            f"Convert {use.where} to float32.",
        )
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
                Mend.AGAIN,
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
            found.append(Problem(use.position, where, what, Mend.AGAIN))
        elif newest is not None and use.since == 0:
            what = f"{name} is no operator of the standard"
            found.append(Problem(use.position, where, what, Mend.AGAIN))
        elif use.domain == "com.microsoft" and exact and use.op not in known:
            what = f"{name} is no operator of onnxruntime {runtime.onnxruntime}"
            found.append(Problem(use.position, where, what, Mend.AGAIN))
        elif newest is None and use.domain not in STANDARD_DOMAINS:
            what = f"{name} belongs to a domain that the runtime does not know"
            found.append(Problem(use.position, where, what, Mend.AGAIN))
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
            what = f"version {declared}, at most {newest} is loaded"
            found.append(Problem(10**8, where, what, Mend.AGAIN))
        elif not any(use.domain == domain for use in compat.operators):
            what = f"version {declared}, at most {newest} is loaded; no node uses it"
            found.append(Problem(10**8, where, what, Mend.IMPORTS))
        else:
            what = (
                f"version {declared}, at most {newest} is loaded; only the number is too new, every node has the same "
                f"definition at {newest}"
            )
            found.append(Problem(10**8, where, what, Mend.AGAIN if domain else Mend.NUMBER))
    if compat.ir_version > runtime.max_ir_version:
        newest = runtime.max_ir_version
        what = f"IR version {compat.ir_version}, at most {newest} is loaded"
        found.append(Problem(10**8, "the file's head", what, Mend.IR))
    return found


def _prelu(use: PReluUse) -> Problem | None:
    """Return the trap of a slope that does not broadcast: [C] lines up with an image's width, not its channels."""
    extents = [extent for extent in use.slope if extent != 1]
    if not extents:
        return None
    if use.input is None:
        return None
    aligned = zip(reversed(use.slope), reversed(use.input), strict=False)
    fits = len(use.slope) <= len(use.input) and all(s in (1, x) or x == -1 for s, x in aligned)
    if fits:
        return None
    what = f"the slope of shape {list(use.slope)} does not broadcast to the input of shape {list(use.input)}"
    if len(extents) == 1 and len(use.slope) == 1 and len(use.input) == 4 and use.input[1] == use.slope[0]:
        return Problem(10**7, f"node {use.node!r}", what, Mend.SLOPES)
    remedy = f"Give the slope of {use.node!r} a shape that broadcasts to its input, such as [C,1,1]."
    return Problem(10**7, f"node {use.node!r}", what, Mend.BY_HAND, remedy)
