"""What explains what: causes that break several rules at once, each with the rule that owns it.

A rule that a cause explains is not judged to be broken: it is undecided, because of the rule that owns the cause, and
has no remedy of its own. A cause counts only where the rule that owns it is itself broken or undecided. All of this is
computed from facts alone, so that each rule can be judged by itself and in any process. The engine applies the table
(`engine/explanations.py`) and knows none of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pytest_facechallenge.checks.batch import ROW_TOLERANCE
from pytest_facechallenge.checks.organisers_checker import owner_of_refusal
from pytest_facechallenge.checks.registry import CHECKS, Check
from pytest_facechallenge.core.facts.base import Facts, FailureKind
from pytest_facechallenge.core.facts.behaviour import BatchFacts, LoadFacts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.facts.preprocessing import FirstStageFacts
from pytest_facechallenge.core.facts.weights import WeightsFacts
from pytest_facechallenge.core.producer import Producer
from pytest_facechallenge.core.rulebook import Rule

#: Ways in which a worker ends that the steps after it share.
_DEATHS = (FailureKind.CRASHED, FailureKind.TIMEOUT, FailureKind.MEMORY, FailureKind.KILLED)


@dataclass(frozen=True)
class Reads:
    """What a check reads, as far as causes ask.

    Attributes
    ----------
    name
        Of the check.
    steps
        Whose facts it reads.
    needs
        By step all those without which it cannot run, and the step itself.
    running
        Those of ``steps`` that run the model in this project's own runtime.
    """

    name: str
    steps: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]]
    running: frozenset[str]


@dataclass(frozen=True)
class Cause:
    """One thing that breaks several rules.

    Attributes
    ----------
    name
        Short, for tables and tests.
    about
        What it is and why it explains the others.
    explains
        Whether it can explain a check.
    owner
        From facts and a rule to the check that owns the cause; "" when it is not there or does not explain this rule.
    steps
        Steps whose facts it and the check that owns it read, as far as they decide whether it holds.
    owner_may_pass
        Whether it explains although the rule that owns it is kept: what was seen holds for this runtime alone.
    """

    name: str
    about: str
    explains: Callable[[Reads], bool]
    owner: Callable[[Facts, Rule], str]
    steps: tuple[str, ...]
    owner_may_pass: bool = False


#: Steps that are read only where the graph does not answer: a check that reads them needs no model that runs.
_SECOND_OPINIONS = frozenset({FirstStageFacts.step})


def _runs_model(check: Reads) -> bool:
    """Return whether a check reads facts for which the model is loaded or run."""
    steps = set(check.steps) - _SECOND_OPINIONS
    return any(step in check.running or LoadFacts.step in check.needs[step] for step in steps)


def _reads_file(check: Reads) -> bool:
    """Return whether a check reads facts about the model file."""
    return any(step != DeclarationFacts.step and PackageFacts.step in check.needs[step] for step in check.steps)


def _named(*names: str) -> Callable[[Reads], bool]:
    return lambda check: check.name in names


def _no_file(facts: Facts, _rule: Rule) -> str:
    found = facts.get(PackageFacts)
    return "package" if found is not None and not found.model_path else ""


def _no_model(facts: Facts, rule: Rule) -> str:
    if facts.failure(InterfaceFacts) is None:
        return ""
    found = facts.get(PackageFacts)
    if rule.check == "package" and (found is None or found.problems):
        return ""
    return "onnx_valid"


def _side_file(facts: Facts, _rule: Rule) -> str:
    found = facts.get(InterfaceFacts)
    return "package" if found is not None and any(entry.problem for entry in found.external) else ""


def _torch_default(facts: Facts, rule: Rule) -> str:
    """Return the owner of all that one call of torch's older exporter mends at once."""
    found, package = facts.get(InterfaceFacts), facts.get(PackageFacts)
    if found is None or package is None or found.exporter is not Producer.TORCH_DYNAMO:
        return ""
    beside = bool(found.external) and not package.problems and not any(entry.problem for entry in found.external)
    fixed = found.fixed_batch() > 0 and bool(found.baked)
    return "server_runtime" if (beside if rule.check == "package" else fixed) else ""


def _not_loaded(facts: Facts, _rule: Rule) -> str:
    load = facts.get(LoadFacts)
    return "onnx_valid" if facts.failure(LoadFacts) is not None or (load is not None and load.error) else ""


def _half(facts: Facts, _rule: Rule) -> str:
    found, weights = facts.get(InterfaceFacts), facts.get(WeightsFacts)
    if found is None or weights is None or not weights.narrow_float_tensors:
        return ""
    return "no_float16" if any(value.dtype in ("float16", "bfloat16") for value in found.inputs) else ""


def _quantised(facts: Facts, _rule: Rule) -> str:
    found = facts.get(InterfaceFacts)
    return "no_float16" if found is not None and any(n.op == "DynamicQuantizeLinear" for n in found.mixing) else ""


def _input(facts: Facts, rule: Rule) -> str:
    found = facts.get(InterfaceFacts)
    if found is None:
        return ""
    # With one input the pixels can be followed, whatever its type.
    return "" if rule.check in ("preprocessing", "rgb_order") and len(found.inputs) == 1 else "input_shape"


def _input_type(facts: Facts, _rule: Rule) -> str:
    """Return the owner of a model that does not load because its input has another type than its weights."""
    found, load = facts.get(InterfaceFacts), facts.get(LoadFacts)
    if found is None or load is None or "Type" not in load.error:
        return ""
    return "input_shape" if any(value.dtype in ("float16", "bfloat16", "double") for value in found.inputs) else ""


def _own_layout(facts: Facts, _rule: Rule) -> str:
    found = facts.get(InterfaceFacts)
    own = found is not None and any(name.startswith("com.microsoft.nchwc.") for name in found.operators)
    return "server_runtime" if own else ""


def _random(facts: Facts, _rule: Rule) -> str:
    found = facts.get(InterfaceFacts)
    return "deterministic" if found is not None and found.random else ""


def _statistics(facts: Facts, _rule: Rule) -> str:
    found, runs = facts.get(InterfaceFacts), facts.get(BatchFacts)
    # Such a node explains nothing where no row was seen to depend on others: it may lie beside what counts.
    seen = runs is not None and any(run.worst_relative_difference > ROW_TOLERANCE for run in runs.runs)
    return "batch" if found is not None and found.mixing and seen else ""


def _no_rows(facts: Facts, rule: Rule) -> str:
    found, interface = facts.get(BatchFacts), facts.get(InterfaceFacts)
    if found is None or all(run.gives_rows for run in found.runs):
        return ""
    # More outputs than one, or another type, are the output's own fault.
    if rule.check == "output" and (interface is None or len(interface.outputs) != 1):
        return ""
    return "batch"


def _norm(facts: Facts, _rule: Rule) -> str:
    found = facts.get(BatchFacts)
    ran = [run for run in found.runs if run.gives_rows] if found is not None else []
    return "output" if ran and all(run.width == 1 for run in ran) else ""


def _declaration(facts: Facts, rule: Rule) -> str:
    found = facts.get(DeclarationFacts)
    if found is None or not found.problem:
        return ""
    rules = rule.book.rules_of(rule.track)
    return next((each.check for each in rules if _declared(CHECKS[each.check]) and not each.not_applicable), "")


def _declared(check: Check | Reads) -> bool:
    return check.steps == (DeclarationFacts.step,)


def _died(facts: Facts, rule: Rule) -> str:
    died = facts.failure(BatchFacts)
    if died is None or died.kind not in _DEATHS:
        return ""
    own = [facts.failures[step] for step in CHECKS[rule.check].steps if step in facts.failures]
    return "batch" if any(why.kind is died.kind or why.because_of == BatchFacts.step for why in own) else ""


_ROWS = ("batch", "no_implicit_batch", "no_realignment")

#: Every cause; where several hold, the first explains.
CAUSES: tuple[Cause, ...] = (
    Cause("no file", "There is no model file to judge.", _reads_file, _no_file, ("package",)),
    Cause("no model", "The file is no model that can be read.", _reads_file, _no_model, ("package", "interface")),
    Cause(
        "weights in a side file",
        "Weights lie in a file that was not handed in, so that the model cannot be loaded or counted.",
        lambda check: check.name in ("onnx_valid", "model_size", "no_float16") or _runs_model(check),
        _side_file,
        ("package", "interface"),
    ),
    Cause(
        "torch's default export",
        "The file is what torch's exporter writes by default today: a new opset, the weights in a file beside it, the "
        "batch of the example; one call gives what the server loads.",
        _named("package", "batch"),
        _torch_default,
        ("package", "interface", "compatibility"),
    ),
    Cause(
        "an input of another type",
        "The input has another type than the weights, so that the model cannot be loaded.",
        lambda check: check.name == "onnx_valid" or _runs_model(check),
        _input_type,
        ("interface", "load"),
    ),
    Cause("not loaded", "The runtime does not load the model.", _runs_model, _not_loaded, ("interface", "load")),
    Cause(
        "float16",
        "The model was converted to float16, its input as well, so that float32 images cannot be fed.",
        lambda check: check.name in ("input_shape", "output") or _runs_model(check),
        _half,
        ("interface", "weights"),
    ),
    Cause(
        "quantised when it runs",
        "Activations are quantised by the range of all rows together, so that rows depend on each other.",
        _named(*_ROWS, "cosine_similarity"),
        _quantised,
        ("interface", "weights"),
    ),
    Cause(
        "another input",
        "The input has another type, layout or number than the server feeds, so that nothing can be run.",
        lambda check: (
            check.name in ("preprocessing", "rgb_order") or (check.name != "onnx_valid" and _runs_model(check))
        ),
        _input,
        ("interface",),
    ),
    Cause(
        "layout of this machine",
        "onnxruntime wrote the file with operators of its own, whose data lie in another order.",
        _named("preprocessing", "rgb_order", "no_implicit_batch", "no_realignment"),
        _own_layout,
        ("interface", "compatibility"),
    ),
    Cause(
        "random numbers",
        "The graph draws random numbers, so that no two runs can be compared.",
        _named(*_ROWS),
        _random,
        ("interface", "flow", "repeat"),
    ),
    Cause(
        "statistics of the batch",
        "Nodes compute with statistics of the whole batch, so that the rows depend on each other.",
        _named("no_implicit_batch", "no_realignment", "cosine_similarity", "preprocessing", "rgb_order"),
        _statistics,
        ("interface", "load", "batch"),
        owner_may_pass=True,
    ),
    Cause(
        "a batch that gives no rows",
        "Batches do not run or do not give a row an image, most often because a Reshape holds the batch.",
        lambda check: check.name not in ("batch", "embedding_dim", "onnx_valid") and _runs_model(check),
        _no_rows,
        ("interface", "load", "batch"),
    ),
    Cause(
        "the norm for an embedding",
        "The output is one number an image.",
        _named("cosine_similarity", "embedding_dim", "accuracy", "no_implicit_batch", "no_realignment"),
        _norm,
        ("interface", "batch"),
    ),
    Cause("unreadable declaration", "The declaration cannot be read.", _declared, _declaration, ("declaration",)),
    Cause("a worker that died", "The process that ran the model ended.", _runs_model, _died, ("load", "batch")),
    Cause(
        "refused for what is a finding already",
        "The organisers' checker stops at what another rule reports.",
        _named("helper_verdict"),
        owner_of_refusal,
        ("package", "interface", "checker", "load", "batch", "weights", "compatibility"),
    ),
)
