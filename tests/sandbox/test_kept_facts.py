"""Facts that outlive a run are used where everything they depend on is the same, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import onnx
import pytest

from pytest_facechallenge.analyses.declaration.options import DeclarationOptions
from pytest_facechallenge.analyses.latency.run_options import LatencyOptions
from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
from pytest_facechallenge.sandbox import code_version, step_keys
from pytest_facechallenge.sandbox.fact_store import FactStore, read_facts
from pytest_facechallenge.sandbox.kept_facts import KeptFacts
from pytest_facechallenge.sandbox.process import Limits
from pytest_facechallenge.sandbox.results import write_failure
from tests.support.in_process import started as started
from tests.support.models import network, save

STATIC = ["interface", "declaration"]
EVERY = ("package", "declaration", "interface")

Run = Callable[..., Facts]


@pytest.fixture
def run(tmp_path: Path, started: list[tuple[str, ...]]) -> Run:
    """Gather facts in a new run; the folder of kept facts is the same in all."""
    runs = iter(range(100))

    def gather(
        path: Path,
        steps: list[str] = STATIC,
        typed: Mapping[str, AnalysisOptions | None] | None = None,
        limits: Limits | None = None,
    ) -> Facts:
        given = typed or {}
        options = RunOptions().with_analyses(*given.values())
        bound = limits or Limits()
        kept = KeptFacts(tmp_path / "kept", options, given, bound)
        started.clear()
        facts = FactStore(tmp_path / f"run {next(runs)}", options, bound, kept=kept).facts(path, steps)
        assert kept.trouble == ""
        return facts

    return gather


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A submission that is good."""
    return save(network(), tmp_path / "entry" / "model.onnx")


def test_an_unchanged_submission_is_not_opened_again(run: Run, model: Path, started: list[tuple[str, ...]]) -> None:
    first = run(model)
    assert started == [EVERY]
    second = run(model)
    assert started == []
    assert second.gathered == first.gathered


def test_a_changed_submission_is_gathered_anew(run: Run, model: Path, started: list[tuple[str, ...]]) -> None:
    run(model)
    save(network(dim=24), model)
    assert run(model).need(InterfaceFacts) is not None
    assert started == [EVERY]


def test_a_name_tells_how_a_file_is_read(run: Run, model: Path, started: list[tuple[str, ...]]) -> None:
    run(model)
    renamed = model.rename(model.with_name("model.zip"))
    assert "is not a zip archive" in run(renamed).need(PackageFacts).problems[0]
    assert started == [EVERY]


def test_only_the_steps_that_an_option_concerns_are_gathered_again(
    run: Run, model: Path, started: list[tuple[str, ...]], tmp_path: Path
) -> None:
    steps = [*STATIC, "launches"]
    run(model, steps)
    stated = tmp_path / "stated.toml"
    stated.write_text('schema = "facechallenge-declaration/2"\npurpose = "practice"\n', encoding="utf-8")
    found = run(model, steps, {"declaration": DeclarationOptions(path=str(stated))})
    assert started == [("declaration",)]
    assert found.need(DeclarationFacts).purpose == "practice"
    run(model, steps, {"latency": LatencyOptions(rounds=100)})
    assert started == [("package",), ("launches",)], "the file is copied again, since this step reads it"


def test_a_changed_declaration_is_read_again(run: Run, model: Path, started: list[tuple[str, ...]]) -> None:
    run(model)
    text = 'schema = "facechallenge-declaration/2"\npurpose = "{}"\n'
    beside = model.with_name("declaration.toml")
    for purpose in ("practice", "entry"):
        beside.write_text(text.format(purpose), encoding="utf-8")
        assert run(model).need(DeclarationFacts).purpose == purpose
        assert started == [("declaration",)]


def test_a_side_file_belongs_to_the_submission(run: Run, tmp_path: Path, started: list[tuple[str, ...]]) -> None:
    path = tmp_path / "external" / "model.onnx"
    path.parent.mkdir()
    onnx.save_model(
        network(),
        str(path),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=False,
    )
    first = run(path).need(PackageFacts)
    assert [each.name for each in first.side_files] == ["weights.bin"]
    run(path)
    assert started == []
    side = path.with_name("weights.bin")
    side.write_bytes(bytes(len(side.read_bytes())))
    assert run(path).need(PackageFacts).side_files != first.side_files
    assert started == [EVERY]
    side.unlink()
    assert run(path).need(PackageFacts).side_files[0].sha256 == ""
    assert started == [EVERY]


def test_what_a_folder_holds_beside_its_files_counts(run: Run, model: Path, started: list[tuple[str, ...]]) -> None:
    run(model.parent)
    model.with_name("also").symlink_to(model)
    assert run(model.parent).need(PackageFacts).problems
    assert started == [EVERY]


def test_new_code_of_one_analysis_gathers_that_analysis_alone(
    run: Run, model: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(model)
    code = code_version.code_digest
    monkeypatch.setattr(step_keys, "code_digest", lambda step: "new" if step.name == "interface" else code(step))
    run(model)
    assert started == [("package",), ("interface",)]


def test_code_that_a_step_reaches_counts_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def digests() -> dict[str, str]:
        code_version.code_digest.cache_clear()
        return {name: code_version.code_digest(STEPS[name]) for name in ("interface", "weights", "declaration")}

    before, digest = digests(), code_version._digest
    for module, changed in (
        ("pytest_facechallenge.analyses.weights.storage_pools", {"weights"}),
        ("pytest_facechallenge.onnx_graph.ir", {"weights", "interface", "declaration"}),
        ("pytest_facechallenge.analyses.flops.gather", set()),
        ("pytest_facechallenge.checks.weights", set()),
    ):
        monkeypatch.setattr(code_version, "_digest", lambda name, one=module: "new" if name == one else digest(name))
        after = digests()
        assert {name for name in before if before[name] != after[name]} == changed, module
    code_version.code_digest.cache_clear()


def test_limits_decide_whether_a_failure_is_used_again(run: Run, model: Path, tmp_path: Path) -> None:
    def gathered(kind: FailureKind, limits: Limits, name: str) -> FailureKind | None:
        """Keep a failure of a run, and return the failure that the next run finds."""
        options = RunOptions(seed=len(name))
        kept = KeptFacts(tmp_path / "kept", options, {}, Limits())
        facts_dir = tmp_path / name
        facts_dir.mkdir()
        kept.restore(model, facts_dir, STATIC)
        shutil.copy(next((tmp_path / "run 0").glob("*/package.json")), facts_dir)
        write_failure(facts_dir, StepFailure(step="load", kind=kind, message="no"))
        kept.keep(model, facts_dir, ["load"])
        KeptFacts(tmp_path / "kept", options, {}, limits).restore(model, tmp_path / "other", ["load"])
        failure = read_facts(tmp_path / "other").failures.get("load")
        (tmp_path / "other" / "load.json").unlink(missing_ok=True)
        return failure.kind if failure is not None else None

    run(model)
    (tmp_path / "other").mkdir()
    longer = Limits(idle_seconds=500)
    assert gathered(FailureKind.TIMEOUT, Limits(), "a") is FailureKind.TIMEOUT
    assert gathered(FailureKind.TIMEOUT, longer, "bb") is None
    for name, kind in (("ccc", FailureKind.MACHINE), ("dddd", FailureKind.KILLED), ("eeeee", FailureKind.DEVICE)):
        assert gathered(kind, Limits(), name) is None


def test_a_damaged_file_is_gathered_anew(run: Run, model: Path, started: list[tuple[str, ...]], tmp_path: Path) -> None:
    first = run(model)
    for path in sorted((tmp_path / "kept").rglob("*.facts")):
        data = bytearray(path.read_bytes())
        data[-20] ^= 1
        path.write_bytes(data)
    assert run(model).gathered == first.gathered
    assert started == [EVERY]


def test_a_file_in_anothers_place_is_not_used(
    run: Run, model: Path, started: list[tuple[str, ...]], tmp_path: Path
) -> None:
    run(model)
    one, other = sorted((tmp_path / "kept").rglob("*.facts"))[:2]
    shutil.copy(one, other)
    run(model)
    assert started, "the step whose file was replaced is gathered"


def test_a_submission_changed_while_it_is_judged_is_not_kept(
    run: Run, model: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    look = step_keys.identity_of

    def then_changed(source: Path, beside: tuple[str, ...]) -> str:
        found = look(source, beside)
        save(network(dim=24), model)
        return found

    monkeypatch.setattr("pytest_facechallenge.sandbox.kept_facts.identity_of", then_changed)
    run(model)
    assert not list((tmp_path / "kept").rglob("*.facts"))


def test_a_submission_changed_between_two_runs_of_steps_is_undecided(
    model: Path, started: list[tuple[str, ...]], tmp_path: Path
) -> None:
    def store() -> FactStore:
        kept = KeptFacts(tmp_path / "kept", RunOptions(), {}, Limits())
        return FactStore(tmp_path / f"run {len(started)}", RunOptions(), Limits(), kept=kept)

    store().facts(model, STATIC)
    second = store()
    before = second.facts(model, STATIC)
    save(network(dim=24), model)
    facts = second.facts(model, ["launches"])
    assert facts.gathered["package"] == before.gathered["package"]
    assert facts.failures["launches"].kind is FailureKind.MACHINE
    assert "is no longer what was judged at first" in facts.failures["launches"].message


def test_a_folder_that_cannot_be_written_costs_only_the_next_run(
    model: Path, started: list[tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file is in the way", encoding="utf-8")
    kept = KeptFacts(tmp_path / "kept", RunOptions(), {}, Limits())
    facts = FactStore(tmp_path / "run", RunOptions(), Limits(), kept=kept).facts(model, STATIC)
    assert set(facts.gathered) == set(EVERY)
    assert f"facts cannot be kept in {tmp_path / 'kept'}" in kept.trouble


def test_keys_of_two_runs_are_the_same(model: Path) -> None:
    identity = step_keys.identity_of(model, ())
    first, second = (step_keys.step_keys(model, identity, RunOptions(), {}) for _ in range(2))
    assert first == second
    assert len(set(first.values())) == len(STEPS)
    other = step_keys.step_keys(model, identity, msgspec.structs.replace(RunOptions(), threads=2), {})
    assert {name for name in first if first[name] != other[name]} >= {"load", "batch", "implicit_batch"}
    assert other["interface"] == first["interface"]


def test_facts_that_need_a_file_of_their_run_are_not_kept(
    run: Run, model: Path, started: list[tuple[str, ...]], tmp_path: Path
) -> None:
    run(model, ["repair"])
    run(model, ["repair"])
    assert "repair" in {name for names in started for name in names}
    kept = KeptFacts(tmp_path / "kept", RunOptions(), {}, Limits())
    store = FactStore(tmp_path / "planned", RunOptions(), Limits(), kept=kept)
    store.plan(model, ["repair"])
    store.facts(model, ["repair"])
    assert (store.facts_dir(model) / "work").is_dir(), "the file is asked for when the run is over"


def test_nothing_is_kept_of_a_link_that_was_found(model: Path, started: list[tuple[str, ...]], tmp_path: Path) -> None:
    link = tmp_path / "entries" / "link.onnx"
    link.parent.mkdir()
    link.symlink_to(model)
    for _ in range(2):
        started.clear()
        found = frozenset({link})
        kept = KeptFacts(tmp_path / "kept", RunOptions(), {}, Limits(), found)
        FactStore(tmp_path / "run", RunOptions(), Limits(), found, kept).facts(link, ["package"])
        shutil.rmtree(tmp_path / "run")
        assert started == [("package",)]
    assert not list((tmp_path / "kept").rglob("*.facts"))
