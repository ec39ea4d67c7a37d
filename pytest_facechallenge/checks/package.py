"""Checks of what was handed in: the package, whether the model is valid, and its size."""

from __future__ import annotations

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.remedies import CHECKPOINT, ONE_FILE, PACK, PULL
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFacts
from pytest_facechallenge.core.facts.behaviour import LoadFacts
from pytest_facechallenge.core.facts.interface import CheckerFacts, ExternalData, InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.text import listed

#: What would decide a rule whose step ended for a reason that is not the model's.
_MACHINE = "Free memory and disk space, or use another machine, and judge it again."
_LIMIT = "Judge it again with a higher --facechallenge-timeout or --facechallenge-memory."
_REMEDIES = {
    FailureKind.TIMEOUT: _LIMIT,
    FailureKind.MEMORY: _LIMIT,
    FailureKind.DEVICE: "Name a device that this machine has: --facechallenge-device cpu.",
}


@check(PackageFacts, InterfaceFacts)
def package(facts: Facts, rule: Rule) -> Outcome:
    """Judge the packaging.

    What:
        A submission is one ONNX file: a bare .onnx, or a zip that holds exactly one entry, model.onnx.

    Why:
        The evaluation server unpacks the archive by itself and loads model.onnx; anything else is lost or refused.

    How it is measured:
        What was handed in is copied once, and only the copy is read. Its form follows from its name and its first
        bytes together; a file that is a model and an archive at once, and an archive whose two lists of entries
        disagree or that has bytes before or after it, break the rule. The entries are read one by one with limits on
        number, depth, size and compression, and going over a limit breaks the rule; links, absolute paths, paths with
        '..', encrypted and repeated entries are never unpacked. A folder is judged like an archive: one model, and at
        most declaration.toml beside it. System junk (__MACOSX, .DS_Store) is a note. References of the model to weights
        in side files are read from the parsed model.

    How to fix:
        Save the model as one file (onnx.save without external data) and run: zip submission.zip model.onnx
    """
    found = facts.need(PackageFacts)
    evidence = [Evidence(where=found.model_name or "submission", what=problem) for problem in found.problems]
    if found.content not in ("binary", ""):
        evidence.append(Evidence(where=found.model_name, what=f"the file's content is {found.content}, not a model"))
    interface = facts.get(InterfaceFacts)
    if interface is not None:
        evidence += _side_files(interface)
    notes = (f"harmless system files are in it: {listed(found.junk)}",) if found.junk else ()
    files = max(found.entries_found, len(found.entries))
    measured = f"{found.form or 'unreadable'}, {files} file{'s' if files != 1 else ''}"
    if evidence:
        first = evidence[0]
        return failed(
            _said(found, first),
            remedy=_remedy(found, interface),
            measured=f"{measured}, {len(evidence)} problem{'s' if len(evidence) != 1 else ''}",
            limit="one model.onnx",
            evidence=tuple(evidence),
            notes=notes,
        )
    return passed("The submission is exactly one model file.", measured=measured, limit="one model.onnx", notes=notes)


def _side_files(interface: InterfaceFacts) -> list[Evidence]:
    """Return what refers to each side file: one tensor by its name, and how many more there are."""
    files: dict[tuple[str, str], list[ExternalData]] = {}
    for entry in interface.external:
        files.setdefault((entry.location, entry.problem), []).append(entry)
    found = []
    for (location, problem), entries in files.items():
        more = f" and {len(entries) - 1} more tensors" if len(entries) > 1 else ""
        refer = "refer" if more else "refers"
        what = f"{refer} to {sum(entry.bytes for entry in entries)} bytes in the side file {location!r}"
        found.append(
            Evidence(
                where=f"{entries[0].tensor}{more}",
                what=f"{refer} to the side file {location!r}, but {problem}" if problem else what,
            )
        )
    return found


def _said(found: PackageFacts, first: Evidence) -> str:
    if _is_checkpoint(found):
        return f"{found.model_name or 'The submission'} is a PyTorch checkpoint, not an ONNX model."
    models = [entry.name for entry in found.entries if entry.kind == "model"]
    if found.form == "zip" and len(models) == 1 and "/" in models[0] and len(found.problems) == 1:
        folder = models[0].rpartition("/")[0]
        return f"The model lies in a folder of the archive, {folder!r}; it has to lie in the archive itself."
    return f"The submission is not exactly one model: {first.where}: {first.what}."


def _is_checkpoint(found: PackageFacts) -> bool:
    """Return whether a zip is what torch.save writes."""
    names = [entry.name.rpartition("/")[2] for entry in found.entries]
    return not found.model_path and "data.pkl" in names


def _remedy(found: PackageFacts, interface: InterfaceFacts | None) -> str:
    if _is_checkpoint(found) or found.content.startswith("pickle"):
        return CHECKPOINT
    if found.content == "git-lfs pointer":
        return PULL
    if interface is not None and interface.external:
        return f"{ONE_FILE} {PACK}"
    return PACK


@check(PackageFacts, InterfaceFacts, CheckerFacts, LoadFacts, parameters={"min_nodes": int})
def onnx_valid(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the file is a model that can be used.

    What:
        The file parses as ONNX, the ONNX checker accepts it, the runtime loads it, and it is not trivially small.

    Why:
        The organisers' checker and server load it the same way; a file that they cannot load scores nothing.

    How it is measured:
        The file is parsed, checked with onnx.checker and loaded with onnxruntime, each in a sandboxed process. A
        complaint of the checker alone fails nothing when the runtime loads and runs the model, since the checker
        is known to refuse some old opsets that servers run; it is then a note. The number of nodes is that of the
        main graph, as the organisers' checker counts.

    How to fix:
        Export again, and try onnx.checker.check_model('model.onnx') and onnxruntime.InferenceSession('model.onnx')
        before you submit. A git-lfs pointer is fetched with: git lfs pull
    """
    facts.need(PackageFacts)
    interface = facts.get(InterfaceFacts)
    if interface is None:
        return _broken("The file cannot be read as a model", facts, InterfaceFacts)
    load = facts.get(LoadFacts)
    if load is None:
        return _broken("The runtime does not survive loading the model", facts, LoadFacts)
    checker = facts.get(CheckerFacts)
    if load.error:
        evidence = [Evidence(where="onnxruntime", what=load.error)]
        if checker is not None and checker.complaint:
            evidence.append(Evidence(where="onnx.checker", what=checker.complaint))
        return failed(
            f"The runtime cannot load the model: {load.error}",
            remedy="Export the model again; onnxruntime.InferenceSession('model.onnx') must succeed.",
            measured="does not load",
            evidence=tuple(evidence),
        )
    if checker is None:
        return _broken("The ONNX checker does not survive this model", facts, CheckerFacts)
    least = rule.parameters.get("min_nodes")
    if least is not None and interface.nodes < int(least):
        return failed(
            f"The main graph has {interface.nodes} nodes; the organisers' checker refuses fewer than {least}.",
            remedy="Submit the network itself as a plain graph, not wrapped into one function or operator.",
            measured=f"{interface.nodes} nodes",
            limit=f">= {least} nodes",
        )
    notes: tuple[str, ...] = ()
    if checker.complaint:
        notes = (f"onnx.checker complains, but the runtime loads the model, which is what counts: {checker.complaint}",)
    limit = f">= {least} nodes" if least is not None else ""
    return passed(
        "The model parses, and the runtime loads it.", measured=f"{interface.nodes} nodes", limit=limit, notes=notes
    )


def _broken(what: str, facts: Facts, kind: type[StepFacts]) -> Outcome:
    """Return the outcome for a step that gave no facts: failed only when the model itself is the reason.

    Raises
    ------
    FactsMissingError
        The step was not run.
    """
    cause = facts.cause(kind)
    if cause is None:
        facts.need(kind)
        raise AssertionError("unreachable: need() raises")
    evidence = (Evidence(where="sandbox", what=cause.message),)
    if not FailureKind(cause.kind).shows_submission:
        return undecided(
            f"Whether the model can be used was not found out: {cause.message}",
            remedy=_REMEDIES.get(cause.kind, _MACHINE),
            evidence=evidence,
        )
    return failed(
        f"{what}: {cause.message}",
        remedy=_no_model_remedy(facts),
        measured=cause.kind if cause.kind != FailureKind.ERROR else "unusable",
        evidence=evidence,
    )


def _no_model_remedy(facts: Facts) -> str:
    content = facts.need(PackageFacts).content
    if content == "git-lfs pointer":
        return PULL
    if content.startswith("pickle"):
        return CHECKPOINT
    return "Export the model again and load it with onnx.load and onnxruntime.InferenceSession before you submit."


@check(PackageFacts, InterfaceFacts, limit="number")
def model_size(facts: Facts, rule: Rule) -> Outcome:
    """Judge the size of the model.

    What:
        The bytes of the model file together with every side file that it refers to.

    Why:
        The size is a limit of the challenge, and a small file that refers to big side files is a big model.

    How it is measured:
        The unpacked .onnx file's bytes plus the bytes of every external data file, each counted once. A reference
        to a file that is missing leaves the size unknown: then the rule fails, since the model is incomplete.

    How to fix:
        Use a narrower or shallower network. Make sure that no weight is stored twice (tied weights exported as
        copies) and that no training-only tensors are left in the file. float16 is no way out: it is prohibited.
    """
    found = facts.need(PackageFacts)
    interface = facts.need(InterfaceFacts)
    lost = [entry for entry in interface.external if entry.problem]
    total = found.bytes + interface.external_bytes
    mib = f"{total / 2**20:.3f} MB ({total:,} bytes)"
    if lost:
        return failed(
            f"The model refers to weights that cannot be counted: {lost[0].location!r}, but {lost[0].problem}.",
            remedy=ONE_FILE,
            measured=f"more than {mib}",
            limit=_bytes_limit(rule),
            evidence=tuple(Evidence(where=entry.tensor, what=f"{entry.location!r}: {entry.problem}") for entry in lost),
        )
    if rule.limit is None:
        return not_applicable("This track has no limit of size.", measured=mib)
    if rule.within(total):
        return passed(f"The model has {mib}.", measured=mib, limit=_bytes_limit(rule))
    excess = total - int(rule.limit)
    return failed(
        f"The model has {mib}, {excess:,} bytes more than {_bytes_limit(rule)} allows.",
        remedy="Make the network narrower or shallower; look for weights that are stored twice.",
        measured=mib,
        limit=_bytes_limit(rule),
    )


def _bytes_limit(rule: Rule) -> str:
    if rule.limit is None:
        return ""
    limit = int(rule.limit)
    return f"{rule.comparison} {limit / 2**20:g} MB ({limit:,} bytes)"
