"""The outcome of the rule from recorded facts: three grades, each named, and nothing passes unmeasured."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from pytest_facechallenge.checks.latency import latency
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFacts, StepFailure
from pytest_facechallenge.core.facts.latency import LatencyFacts, LaunchFacts, LayerTime, Machine, ServerLatencyFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook_file import builtin_folder, load
from pytest_facechallenge.engine.judge import judge_rule as judge
from pytest_facechallenge.latency_estimate import evidence_grades
from pytest_facechallenge.latency_estimate.estimate import Estimate
from pytest_facechallenge.latency_estimate.evidence_grades import same_gpu
from tests.analyses.latency.nets import CPU, LOCAL, SERVER, latency_facts, launch_facts, rule, series, server_facts


def outcome(*facts: StepFacts | StepFailure, track: str = "A", net: str = "iresnet100") -> Outcome:
    return judge(Facts.of(launch_facts(net), *facts), rule(track))


def test_measured_on_the_server_passes_and_fails_at_the_limit() -> None:
    kept = outcome(server_facts(9.8), latency_facts(500.0))
    assert kept.status is Status.PASSED
    assert kept.measured.startswith("measured: 9.8")
    assert "grade 1 of 3" in kept.message
    broken = outcome(server_facts(10.2))
    assert (broken.status, broken.measured[:8]) == (Status.FAILED, "measured")
    assert outcome(server_facts(10.2), track="B").status is Status.PASSED


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"runtime": "onnxruntime-gpu 1.31.0"}, "runtime"),
        ({"runtime": "onnxruntime-gpu 1.16.0"}, "runtime"),
        ({"gpu": "NVIDIA A100"}, "GPU"),
        ({"cuda": "11.8"}, "CUDA"),
        ({"cudnn": ""}, "cuDNN"),
        ({"provider": "CPUExecutionProvider"}, "provider"),
    ],
)
def test_another_stack_is_not_grade_1(change: dict[str, str], word: str) -> None:
    other = msgspec.structs.replace(SERVER, **change)
    found = outcome(server_facts(1.0, other), latency_facts(1.0, "measured"))
    assert found.status is Status.UNDECIDED
    assert word.lower() in found.message.lower()
    assert "Tesla V100" in found.remedy


def test_scaled_says_all_three_words() -> None:
    passing = outcome(latency_facts(LOCAL["iresnet100"]))
    assert passing.status is Status.PASSED
    assert passing.measured.startswith("scaled: 7.")
    assert "grade 2 of 3" in passing.message
    failing = outcome(latency_facts(LOCAL["iresnet200"] * 1.5), net="iresnet200")
    assert failing.status is Status.FAILED
    between = outcome(latency_facts(LOCAL["iresnet100"] * 1.4))
    assert between.status is Status.UNDECIDED
    assert "lies inside" in between.message
    reaching = outcome(latency_facts(LOCAL["iresnet100"] * 1.25))
    assert reaching.status is Status.UNDECIDED
    assert float(reaching.measured.split()[1]) < 10
    where = [row.where for row in passing.evidence]
    assert set(LOCAL) <= set(where)
    assert {"reference times", "interval", "model of the graph"} <= set(where)


def test_the_references_own_kernels_give_a_tenth_on_a_busy_machine_too() -> None:
    busy = latency_facts(LOCAL["iresnet100"], submission=series(LOCAL["iresnet100"], noise=0.15))
    graph, book = launch_facts("iresnet100"), rule().book
    found = evidence_grades.scaled(busy, graph, book)
    assert isinstance(found, Estimate)
    assert found.from_here is not None
    assert found.from_here.high / found.from_here.low > 1.6
    assert found.high <= 1.1 * found.ms
    assert found.ms <= 1.1 * found.low
    assert found.low < 7.03 < found.high
    said = outcome(busy)
    assert said.status is Status.PASSED
    assert "the time here alone says" in said.message
    assert "reference kernels" in [row.where for row in said.evidence]


def test_a_time_here_that_says_otherwise_or_says_nothing_vouches_for_no_kernels() -> None:
    graph, book = launch_facts("iresnet100"), rule().book
    slower = evidence_grades.scaled(latency_facts(1.5 * LOCAL["iresnet100"]), graph, book)
    two_speeds = msgspec.structs.replace(series(1.0), samples=(LOCAL["iresnet100"], 2 * LOCAL["iresnet100"]) * 25)
    scattered = latency_facts(LOCAL["iresnet100"], submission=two_speeds)
    for found in (slower, evidence_grades.scaled(scattered, graph, book)):
        assert isinstance(found, Estimate)
        assert not found.of_kernels
        assert found.high > 1.2 * found.ms
    varying = msgspec.structs.replace(graph, varying=("gate (If)",))
    found = evidence_grades.scaled(latency_facts(LOCAL["iresnet100"]), varying, book)
    assert isinstance(found, Estimate)
    assert not found.of_kernels


def test_scaled_and_modelled_that_disagree_decide_nothing() -> None:
    found = outcome(latency_facts(LOCAL["iresnet18"]), net="iresnet200")
    assert found.status is Status.UNDECIDED
    assert "nothing in common" in found.message


def test_a_network_unlike_the_references_gets_a_wider_interval() -> None:
    plain = outcome(latency_facts(60.0), net="iresnet34")
    strange = outcome(latency_facts(60.0), net="vit-small")
    assert _width(strange) > 1.5 * _width(plain)


def _width(found: Outcome) -> float:
    low, high = found.measured.partition("(")[2].rstrip(")").split(" to ")
    return float(high) / float(low)


def test_modelled_alone_never_passes() -> None:
    found = outcome(LatencyFacts(mode="modelled"), net="iresnet18")
    assert found.status is Status.UNDECIDED
    assert found.measured.startswith("modelled: ")
    assert "grade 3 of 3" in found.message


def test_a_graph_that_cannot_be_modelled_is_told_with_the_reason() -> None:
    partial = LaunchFacts(groups=launch_facts("iresnet18").groups, problems=("node 'Loop_1' (Loop) has a body",))
    found = judge(Facts.of(partial, LatencyFacts(mode="modelled")), rule())
    assert found.status is Status.UNDECIDED
    assert "node 'Loop_1' (Loop)" in found.message
    assert "--facechallenge-latency scaled" in found.remedy


def test_nothing_timed_is_undecided() -> None:
    failure = StepFailure(step="latency", kind=FailureKind.CRASHED, message="the runtime was killed by SIGSEGV")
    found = outcome(failure)
    assert found.status is Status.UNDECIDED
    assert "SIGSEGV" in found.message
    assert outcome(ServerLatencyFacts(asked=False)).status is Status.UNDECIDED


def test_two_references_do_not_make_a_scale() -> None:
    found = outcome(latency_facts(40.0, references=2))
    assert found.status is Status.UNDECIDED
    assert "only 2 reference networks" in found.message


def test_a_server_that_is_not_the_rulebooks_falls_back_to_scaling() -> None:
    problem = ServerLatencyFacts(asked=True, problem="onnxruntime 1.6.0 has no CUDAExecutionProvider")
    assert outcome(problem, latency_facts(LOCAL["iresnet34"]), net="iresnet34").measured.startswith("scaled")


def test_throttling_widens_the_interval_and_is_told() -> None:
    steady = outcome(latency_facts(100.0), net="iresnet50")
    slope = np.asarray(series(100.0).samples) * np.linspace(1, 1.5, 50)
    throttled = msgspec.structs.replace(series(100.0), samples=tuple(slope.tolist()))
    found = outcome(latency_facts(100.0, submission=throttled), net="iresnet50")
    assert _width(found) > 1.5 * _width(steady)
    assert any("slower" in note for note in found.notes)


def test_what_disturbs_a_measurement_is_told() -> None:
    facts = latency_facts(
        100.0,
        busy=0.8,
        parallel=4,
        on_cpu=("NonZero_1 (NonZero)",),
        remarks=("Not used: foreign.",),
        submission=msgspec.structs.replace(series(100.0), first=3500.0),
    )
    notes = " ".join(outcome(facts, net="iresnet50").notes)
    for words in (
        "used 80% of the processors",
        "4 tests ran at once",
        "NonZero_1 (NonZero)",
        "Not used: foreign.",
        "3.5 s",
    ):
        assert words in notes


@pytest.mark.parametrize(("clock", "told"), [(1380, False), (900, True), (0, False)])
def test_a_gpu_that_runs_slower_than_it_could_is_told(clock: int, told: bool) -> None:
    there = msgspec.structs.replace(SERVER, clock=clock, clock_max=1530)
    found = outcome(server_facts(5.0, there))
    assert any("throttled" in note for note in found.notes) is told
    assert found.status is Status.PASSED


def test_nodes_that_the_servers_gpu_did_not_run_are_told() -> None:
    found = outcome(msgspec.structs.replace(server_facts(5.0), on_cpu=("a (NonZero)", "b (Hardmax)")))
    assert "2 nodes have no kernel for the GPU and ran on the CPU: a (NonZero), b (Hardmax)." in found.notes


def test_a_rulebook_without_published_times_shows_local_figures_only() -> None:
    book = load(builtin_folder() / "mfr-ongoing.toml")
    assert book.rules["latency"].check == "latency"
    found = latency(
        Facts.of(launch_facts("iresnet18"), latency_facts(40.0, references=0)), rule(next(iter(book.tracks)), book)
    )
    assert "Local figures only" in found.message
    assert book.rules["latency"].level == "measurement"
    assert found.measured.endswith(f"ms on this CPU ({CPU.processor}, 2 cores)")
    assert found.remedy == ""  # there is no limit, so nothing is to be decided


def test_on_such_a_rulebook_no_interpreter_is_asked_for_and_the_reason_is_told() -> None:
    book = load(builtin_folder() / "mfr-ongoing.toml")
    judged = rule(next(iter(book.tracks)), book)
    there = msgspec.structs.replace(SERVER, gpu="NVIDIA GeForce RTX 3090", runtime="onnxruntime-gpu 1.8.0", cuda="11.1")
    found = latency(Facts.of(server_facts(1.0, there), latency_facts(40.0, "measured", references=0)), judged)
    assert "no times of reference networks on a RTX 3090 were published" in found.message
    limited = msgspec.structs.replace(judged, limit=5.0)
    found = latency(Facts.of(latency_facts(40.0, references=0)), limited)
    assert found.status is Status.UNDECIDED
    assert "infer_ms" in found.remedy


def test_launches_that_are_not_known_widen_leave_no_model_and_let_nothing_pass() -> None:
    partial = LaunchFacts(groups=launch_facts("iresnet18").groups, problems=("node 'Loop_1' (Loop) has a body",))
    found = judge(Facts.of(partial, latency_facts(LOCAL["iresnet18"])), rule())
    assert _width(found) > 2 * _width(outcome(latency_facts(LOCAL["iresnet18"]), net="iresnet18"))
    assert all(row.where != "model of the graph" for row in found.evidence)
    assert found.status is Status.UNDECIDED
    assert "node 'Loop_1' (Loop)" in found.message
    assert judge(Facts.of(partial, latency_facts(LOCAL["iresnet200"] * 10)), rule()).status is Status.FAILED


VARYING = LaunchFacts(groups=launch_facts("iresnet100").groups, varying=("gate (If)",))


@pytest.mark.parametrize(
    ("graph", "difference", "words"),
    [
        (VARYING, 0.0, "depend on what is in the image (gate (If))"),
        (launch_facts("iresnet100"), 0.5, "other embeddings than a batch"),
        (launch_facts("iresnet100"), -1.0, "could not be embedded as one batch"),
        (None, 0.0, "could not be analysed"),
    ],
)
def test_a_short_cut_for_the_timed_images_passes_on_no_grade(
    graph: LaunchFacts | None, difference: float, words: str
) -> None:
    known = [graph] if graph is not None else []
    on_server = msgspec.structs.replace(server_facts(1.0), row_difference=difference)
    measured = judge(Facts.of(*known, on_server), rule())
    assert measured.status is Status.UNDECIDED
    assert words in measured.message
    assert measured.remedy
    too_slow = msgspec.structs.replace(server_facts(30.0), row_difference=difference)
    assert judge(Facts.of(*known, too_slow), rule()).status is Status.FAILED
    scaled = judge(Facts.of(*known, latency_facts(LOCAL["iresnet100"], row_difference=difference)), rule("B"))
    assert scaled.status is Status.UNDECIDED
    assert "analysed" in scaled.message if graph is None else words in scaled.message


def test_nothing_passes_on_a_scaled_time_of_a_machine_that_others_used() -> None:
    quiet = outcome(latency_facts(LOCAL["iresnet18"], busy=0.3), net="iresnet18")
    assert quiet.status is Status.PASSED
    assert any("30% of the processors" in note for note in quiet.notes)
    loaded = outcome(latency_facts(LOCAL["iresnet18"], busy=0.6), net="iresnet18")
    assert loaded.status is Status.UNDECIDED
    assert "60% of the processors" in loaded.message
    assert "quiet machine" in loaded.remedy
    calm = series(LOCAL["iresnet18"])
    work = msgspec.structs.replace(calm, work=calm.samples)
    assert outcome(latency_facts(1.0, submission=work, busy=0.6), net="iresnet18").status is Status.PASSED


@pytest.mark.parametrize(
    ("name", "same"),
    [("Tesla V100-SXM2-16GB", True), ("Tesla V100S-PCIE-32GB", False), ("Tesla T4", False), ("", False)],
)
def test_gpu_names(name: str, same: bool) -> None:  # a parameter of the test
    assert same_gpu("Tesla V100", name) is same
    assert same_gpu("RTX 3090", "NVIDIA GeForce RTX 3090")
    assert not same_gpu("RTX 3090", "NVIDIA GeForce RTX 3090 Ti")


def test_facts_survive_json() -> None:
    facts = latency_facts(100.0, profile=(LayerTime(node="c", op="Conv", provider="CPU", ms=1.0, shape="1x2"),))
    assert msgspec.json.decode(msgspec.json.encode(facts), type=LatencyFacts) == facts
    assert isinstance(facts.machine, Machine)
