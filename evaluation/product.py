"""The product as the evaluation uses it; nothing else in this package imports from pytest_facechallenge."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from evaluation.case import ALIGN_RULE, BATCH_RULE, FLOAT16_RULE, MODEL_RULES, Case
from pytest_facechallenge import judge as judge_submission
from pytest_facechallenge.analyses.behaviour.gather import gather_load
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.fingerprint import behaviour, weights
from pytest_facechallenge.analyses.fingerprint.textures import textures
from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.analyses.interface.gather import gather as gather_interface
from pytest_facechallenge.analyses.weights.gather import gather as gather_weights
from pytest_facechallenge.checks.implicit_batch import no_implicit_batch, no_realignment
from pytest_facechallenge.checks.weights import no_float16
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.facts.weights import WeightsFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RuleTable, TrackTable
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.fingerprints.compare import Pair, Subject, likenesses, shared_layers
from pytest_facechallenge.inference.images import natural
from pytest_facechallenge.onnx_graph import batch_axis
from pytest_facechallenge.onnx_graph.ir import GraphError, from_model, inline_functions

RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in Rulebook(
        schema="facechallenge-rulebook/1",
        id="book",
        title="the rules of the evaluation",
        version="1",
        date="2021-11-30",
        source="the evaluation",
        tracks={"A": TrackTable(title="A")},
        rules={
            BATCH_RULE: RuleTable(clause="News 2021-07-16", text="", check="no_implicit_batch"),
            ALIGN_RULE: RuleTable(clause="Rules 2", text="", check="no_realignment"),
            FLOAT16_RULE: RuleTable(clause="Rules 10", text="", check="no_float16", limit=4),
        },
    ).rules_of("A")
}
#: The rules about what a network does with an image.
DETECTOR_RULES = (BATCH_RULE, ALIGN_RULE)


@dataclass(frozen=True)
class Answer:
    """What the checks said about one model."""

    facts: Facts
    outcomes: dict[str, Outcome]

    def _with(self, status: Status) -> set[str]:
        return {name for name, outcome in self.outcomes.items() if outcome.status is status}

    @property
    def failed(self) -> set[str]:
        return self._with(Status.FAILED)

    @property
    def undecided(self) -> set[str]:
        return self._with(Status.UNDECIDED)

    @property
    def passed(self) -> set[str]:
        return self._with(Status.PASSED)

    def notes(self, rule: str) -> tuple[str, ...]:
        """Return the notes on a rule."""
        return tuple(self.outcomes[rule].notes)

    def message(self, rule: str) -> str:
        """Return what was said on a rule."""
        return self.outcomes[rule].message

    def evidence(self, rule: str) -> str:
        """Return the first piece of evidence on a rule; "" where there is none."""
        pieces = self.outcomes[rule].evidence
        return f"{pieces[0].where}: {pieces[0].what}" if pieces else ""


def observe(model: onnx.ModelProto) -> Facts:
    """Return what the detector and the counting of operations observe of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        plain = inline_functions(model) if model.functions else model
        try:
            apart = batch_axis.follow(from_model(plain, Path(folder))).apart
        except GraphError:
            apart = False
        facts = follow(path, threads=1, apart=apart)
        cost = facts_of(from_model(plain, Path(folder)))
    return Facts.of(facts, cost)


def observe_weights(model: onnx.ModelProto) -> WeightsFacts:
    """Return what is observed of the stored numbers of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        size = path.stat().st_size
        package = PackageFacts(
            form="onnx", entries=(), model_path=str(path), model_name=path.name, sha256="", bytes=size
        )
        return gather_weights(Context(path, Path(folder), Facts.of(package), RunOptions()))


def judge(model: onnx.ModelProto, rules: Collection[str] = DETECTOR_RULES) -> Answer:
    """Run the product on a model: the detector, or, where that rule is asked for, the check of stored weights."""
    if FLOAT16_RULE in rules:
        weights = Facts.of(observe_weights(model))
        return Answer(weights, {FLOAT16_RULE: no_float16(weights, RULES[FLOAT16_RULE])})
    known = observe(model)
    return Answer(
        known,
        {
            BATCH_RULE: no_implicit_batch(known, RULES[BATCH_RULE]),
            ALIGN_RULE: no_realignment(known, RULES[ALIGN_RULE]),
        },
    )


def judge_whole(model: onnx.ModelProto, rules: Collection[str] = MODEL_RULES) -> Answer:
    """Judge a model as a submission to MFR21's track A, in the sandbox, and return what these rules say."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        report = judge_submission(path, "mfr21/A", device="cpu", threads=1, latency="modelled")
    (track,) = report.submissions[0].tracks
    return Answer(
        Facts(),
        {
            each.rule: Outcome(
                status=each.status, message=each.message, evidence=each.evidence, because_of=each.because_of
            )
            for each in track.rules
            if each.rule in rules
        },
    )


def judge_case(case: Case) -> Answer:
    """Run the product on a case."""
    return judge_whole(case.build()) if case.whole else judge(case.build(), case.rules)


def problem(case: Case, answer: Answer) -> str:
    """Say what is wrong with the answer to a case; "" when it is right."""
    if case.expected == "passed":
        accused = sorted((answer.failed | answer.undecided) & set(case.rules))
        if accused:
            return f"false alarm: {', '.join(accused)}"
        return "note missing" if case.note and not answer.notes(case.rules[0]) else ""
    wanted = answer.failed if case.expected == "failed" else answer.undecided
    if set(case.rules) & wanted:
        return ""
    if case.whole and answer.failed:
        return f"another rule: {', '.join(sorted(answer.failed))}"
    open_rules = answer.undecided if case.whole else answer.undecided & set(case.rules)
    return "undecided" if open_rules or set(case.rules) & answer.failed else "missed"


#: What tells a network from others.
Fingerprints = Subject


def fingerprints_of(model: onnx.ModelProto, folder: Path) -> Fingerprints:
    """Return the fingerprints of a model that is fed as the server feeds one that does not normalise."""
    path = folder / "fingerprinted.onnx"
    onnx.save(model, path)
    facts = Facts.of(
        PackageFacts(form="onnx", entries=(), model_path=path.name, model_name="", sha256="", bytes=1, content="binary")
    )
    context = Context(path, folder, facts, RunOptions(device="cpu", threads=1))
    facts.gathered["interface"] = gather_interface(context)
    facts.gathered["load"] = gather_load(context)
    return Subject(weights.gather(context), behaviour.gather(context))


def noise_images() -> npt.NDArray[np.uint8]:
    """Return the images that fingerprints are made from: uint8 [96, 3, 112, 112]."""
    return textures().transpose(0, 3, 1, 2).copy()


def photograph_like_images(count: int) -> npt.NDArray[np.uint8]:
    """Return images with the statistics of photographs: uint8 [count, 3, 112, 112]."""
    return natural(count, 0).transpose(0, 3, 1, 2).copy()


def likenesses_on(embeddings: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float32]:
    """Return the likeness of every two networks, measured on other images: float32 [N, N].

    Parameters
    ----------
    embeddings : N of float64 [96, D]
        Of the same images.
    """
    return likenesses([behaviour.described(rows) for rows in embeddings])


def likeness_of(one: Fingerprints, other: Fingerprints) -> tuple[float, int, int, str]:
    """Return likeness of behaviour, layers with the same weights, layers of the smaller network, and the answer."""
    likeness = float(likenesses([one.telling, other.telling])[0, 1])
    same = shared_layers([one.weights, other.weights])
    pair = Pair(0, 1, likeness, int(same[0, 1]), int(min(same[0, 0], same[1, 1])))
    return pair.likeness or 0.0, pair.same_layers, pair.layers, str(pair.relation)
