"""Reports for tests of the page, built in code: what a run on a testset with seven sets would have found."""

from __future__ import annotations

from statistics import NormalDist

import msgspec

from pytest_facechallenge.core.facts.accuracy import (
    AccuracyFacts,
    CurvePoint,
    EqualErrorRate,
    HardPair,
    Histogram,
    Interval,
    PairCounts,
    PointResult,
    SetResult,
)
from pytest_facechallenge.core.facts.base import FailureKind, StepFacts, StepFailure
from pytest_facechallenge.core.facts.flops import FlopsFacts, Layer, Uncounted
from pytest_facechallenge.core.facts.interface import InterfaceFacts, ValueDeclaration
from pytest_facechallenge.core.facts.latency import (
    CalibrationUse,
    LatencyFacts,
    LaunchFacts,
    LaunchGroup,
    Machine,
    ReferencePoint,
    Series,
)
from pytest_facechallenge.core.facts.outline import OutlineFacts, OutlineNode
from pytest_facechallenge.core.outcome import Evidence, Status, VerdictWord
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.core.verdict import OpenRule, Verdict
from pytest_facechallenge.engine.extensions import load_rulebooks
from pytest_facechallenge.engine.report import (
    SCHEMA,
    Environment,
    Report,
    RulebookReference,
    RuleResult,
    SubmissionReport,
    Tool,
    TrackReport,
    digest_of,
)

#: Scores of genuine and impostor pairs.
GENUINE, IMPOSTOR = NormalDist(0.7, 0.13), NormalDist(0.0, 0.12)
SETS = ("mask", "children", "african", "caucasian", "indian", "asian", "mr-all")
LOCAL = {"iresnet18": 59.4, "iresnet34": 96.6, "iresnet50": 132.0, "iresnet100": 242.0, "iresnet200": 470.0}
SENTENCE = "The sentence of the challenge that this rule carries out, as long as such sentences usually are."


def book() -> Rulebook:
    return load_rulebooks()["mfr21"]


def set_result(name: str, *, decided: bool = True) -> SetResult:
    table = book().sets[name]
    threshold = IMPOSTOR.inv_cdf(1 - float(table.far))
    tar = 1 - GENUINE.cdf(threshold)
    edges = [-1 + index / 100 for index in range(201)]
    curve = [
        CurvePoint(threshold=t, far=1 - IMPOSTOR.cdf(t), tar=1 - GENUINE.cdf(t), far_deviate=None, frr_deviate=None)
        for t in (1 - index / 75 for index in range(150))
    ]
    return SetResult(
        testset="testset",
        set=name,
        official=True,
        protocol=table.protocol,
        images=1170,
        identities=390,
        pairs=PairCounts(genuine=1170, impostor=303420, genuine_ordered=2340, impostor_ordered=606840),
        points=(
            PointResult(
                far=table.far,
                comparison=table.comparison,
                tar=tar,
                threshold=threshold,
                allowed_false_accepts=30,
                false_accepts=30,
                boundary_ties=1,
                genuine_pairs=1170,
                genuine_accepted=int(1170 * tar),
                tar_at_plus_eps=tar,
                tar_at_minus_eps=tar,
                interval=Interval(low=tar - 0.03, high=min(1.0, tar + 0.02), confidence=0.95, method="bca", units=390),
                undecided="" if decided else "FAR < 1e-6 needs at least 1,000,000 impostor pairs",
                impostor_pairs_needed=10000,
                impostor_pairs_for_rule_of_30=300000,
                below_rule_of_30=not decided,
            ),
        ),
        eer=EqualErrorRate(rate=0.012, threshold_low=0.4, threshold_high=0.401),
        curve=tuple(curve),
        histogram=Histogram(
            genuine=_counts(GENUINE, edges, 1170), impostor=_counts(IMPOSTOR, edges, 303420), sampled=False
        ),
        hardest_genuine=tuple(
            HardPair(left=f"{name}/{n}_0.jpg", right=f"{name}/{n}_1.jpg", score=0.1) for n in range(20)
        ),
        hardest_impostor=tuple(
            HardPair(left=f"{name}/{n}_0.jpg", right=f"{name}/0_1.jpg", score=0.8) for n in range(20)
        ),
    )


def _counts(scores: NormalDist, edges: list[float], number: int) -> tuple[int, ...]:
    pairs = zip(edges, edges[1:], strict=False)
    return tuple(round(number * (scores.cdf(high) - scores.cdf(low))) for low, high in pairs)


def facts() -> tuple[StepFacts, ...]:
    machine = Machine(processor="EPYC", cores=2, memory_gib=8, provider="CPUExecutionProvider", runtime="onnxruntime 1")
    samples = tuple(12 + index / 100 for index in range(50))
    return (
        OutlineFacts(
            nodes=(
                OutlineNode("input", "input"),
                OutlineNode("stage1/conv_1", "Conv", (0,)),
                OutlineNode("stage1/relu_1", "Relu", (1,)),
                OutlineNode("head", "Gemm", (2,)),
                OutlineNode("row", "output", (3,)),
            )
        ),
        InterfaceFacts(
            ir_version=6,
            opsets={"ai.onnx": 11},
            producer="pytorch",
            inputs=(ValueDeclaration(name="input", dtype="float", shape=("N", 3, 112, 112)),),
            outputs=(ValueDeclaration(name="embedding", dtype="float", shape=("N", 256)),),
            nodes=72,
            all_nodes=72,
            operators={"Conv": 38},
            functions=0,
        ),
        AccuracyFacts(
            sets=tuple(set_result(name, decided=name != "asian") for name in SETS),
            preprocessing_source="the organisers' rule",
            provider="CPUExecutionProvider",
            runtime="onnxruntime 1.31",
        ),
        FlopsFacts(
            image="input 1x3x112x112",
            low=73_000_000,
            high=74_000_000,
            literal=74_000_000,
            macs=37_000_000,
            parameters=266_880,
            layers=tuple(
                msgspec.convert(
                    [
                        f"/layers/{n}/Conv",
                        "Conv",
                        "convolution",
                        "1x64x14x14",
                        2_000_000,
                        2_000_000,
                        1_000_000,
                        1,
                        True,
                    ],
                    Layer,
                )
                for n in range(36)
            ),
            families={"convolution": 72_000_000, "fully connected": 1_000_000},
            uncounted=(Uncounted(node="strange", op="Custom", why="nothing is known about it"),),
            problems=("a problem",),
        ),
        LaunchFacts(
            groups=(
                LaunchGroup(kind="conv", flops=5_000_000, bytes=200_000, count=38),
                LaunchGroup(kind="pointwise", flops=10_000, bytes=90_000, count=25),
            )
        ),
        LatencyFacts(
            mode="auto",
            machine=machine,
            submission=Series(name="submission", samples=samples, work=samples),
            calibration=CalibrationUse(
                source="this run",
                points=tuple(ReferencePoint(name=name, ms=ms, spread=0.01, rounds=20) for name, ms in LOCAL.items()),
            ),
        ),
    )


def rules(broken: bool) -> tuple[RuleResult, ...]:
    found = [
        RuleResult(
            rule="embedding-dim",
            clause="Rules 1",
            level="rule",
            status=Status.FAILED if broken else Status.PASSED,
            message="The output 'row' has 640 values per image; Sub-Track A allows at most 512.",
            sentence=SENTENCE,
            measured="640 values",
            limit="<= 512",
            evidence=(Evidence(where="batch of 1", what="640 values per image"),),
            remedy="Set the last fully connected layer to at most 512 outputs." if broken else "",
        ),
        RuleResult(
            rule="latency",
            clause="Rules 1",
            level="rule",
            status=Status.UNDECIDED,
            message="Modelled only.",
            sentence=SENTENCE,
            reading="As the checker takes it.",
            measured="modelled: 1.23 ms (0.1 to 2.5)",
            limit="<= 10 ms",
            remedy="Run with --facechallenge-latency scaled.",
            notes=("Other programs used 87% of the processors.",),
        ),
        RuleResult(
            rule="training-set",
            clause="Rules 2",
            level="rule",
            status=Status.UNDECIDED,
            message="deselected",
            ran=False,
        ),
        RuleResult(
            rule="ranking-score",
            clause="12",
            level="measurement",
            status=Status.PASSED,
            message="82",
            measured="82.022 %",
        ),
        *(
            RuleResult(
                rule="accuracy",
                case=name,
                clause="Evaluation",
                level="measurement",
                status=Status.NOT_APPLICABLE if name == "asian" else Status.PASSED,
                message=f"TAR on {name!r} is 81.368 %. No threshold is set, so this is a measurement.",
                sentence=SENTENCE,
                measured="81.368 % (95 %: 77.949 to 84.444)",
                evidence=tuple(Evidence(where=f"evidence {n}", what=SENTENCE) for n in range(9)),
                counts=False,
            )
            for name in SETS
        ),
        *(
            RuleResult(
                rule=f"rule-{n}",
                clause=f"Rules {n}",
                level="rule",
                status=Status.PASSED,
                message="What was expected is what was found.",
                sentence=SENTENCE,
                reading=SENTENCE * 2 if n % 3 == 0 else "",
                measured="what was found",
                limit="what is allowed",
                evidence=tuple(Evidence(where=f"node {k}", what="what was seen there") for k in range(n % 5)),
            )
            for n in range(24)
        ),
    ]
    return tuple(found)


def track(name: str, *, broken: bool = False) -> TrackReport:
    opened = (
        OpenRule("latency", "Modelled only.", "Run with --facechallenge-latency scaled."),
        OpenRule("training-set", "deselected", "Run it."),
    )
    verdict = Verdict(
        word=VerdictWord.NON_COMPLIANT if broken else VerdictWord.INCOMPLETE,
        broken=("embedding-dim",) if broken else (),
        open=opened,
    )
    return TrackReport(rulebook="mfr21", track=name, title=f"Sub-Track {name}", verdict=verdict, rules=rules(broken))


def submission(name: str = "model.onnx", *, broken: bool = False, size: int = 1_087_955) -> SubmissionReport:
    plain = {each.step: msgspec.to_builtins(each) for each in facts()}
    failures = {"server": StepFailure(step="server", kind=FailureKind.CRASHED, message="The process died of SIGSEGV.")}
    return SubmissionReport(
        path=f"/submissions/{name}",
        name=name,
        sha256="3f" * 32,
        bytes=size,
        facts=plain,
        failures=failures,
        digest=digest_of(plain, failures),
        tracks=(track("A", broken=broken), track("B")),
    )


def report(*submissions: SubmissionReport) -> Report:
    judged = book()
    return Report(
        schema=SCHEMA,
        tool=Tool(name="pytest-facechallenge", version="0.2.0"),
        date="2026-01-01T00:00:00+00:00",
        options={
            "model": ["model.onnx"],
            "track": ["A", "B"],
            "device": "auto",
            "rules": ["my own.toml"],
            "strict": True,
        },
        rulebooks=(
            RulebookReference(
                id=judged.id, title=judged.title, version=judged.version, date=judged.date, digest=judged.digest
            ),
        ),
        environment=Environment(
            versions={"python": "3.11"},
            platform="Linux",
            machine="x86_64",
            processor="EPYC",
            cores=2,
            gpus=("Tesla V100",),
            providers=("CPUExecutionProvider",),
            conftests=("/conftest.py",),
            warnings=("Two runtimes are installed.",),
        ),
        submissions=submissions or (submission(),),
    )
