"""Gathering in this process on tiny networks: what is timed together, what is kept, and when it is timed again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.latency import bench, calibration, measure, server, windows
from pytest_facechallenge.analyses.latency import gather as gathering
from pytest_facechallenge.analyses.latency.contention import Others
from pytest_facechallenge.analyses.latency.measure import Runner, Sample
from pytest_facechallenge.analyses.latency.run_options import LatencyOptions
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.behaviour import LoadFacts
from pytest_facechallenge.core.facts.latency import LatencyFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.refnets.registry import save

#: Milliseconds that the fake clock gives to one run.
SPEEDS = {
    "submission": 30.0,
    "iresnet18": 40.0,
    "iresnet34": 66.0,
    "iresnet50": 92.0,
    "iresnet100": 175.0,
    "iresnet200": 335.0,
}


NAMES = list(SPEEDS)[1:]


class Here:
    """A machine whose clock the test sets; models really run, but their time is that of `SPEEDS`."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.speeds = dict(SPEEDS)
        self.busy = 0.0
        self.disturbed = 1.0
        self.scatter = 0.0
        self.runs = 0
        self.built: list[str] = []
        save("vit-tiny", folder / "model.onnx")
        self.busy_now: list[float] = []
        patch.setattr(bench, "save", self._save)
        patch.setattr(windows, "PAUSE", 0.0)
        patch.setattr(Others, "__exit__", lambda others, *_failure: setattr(others, "share", self._busy()))
        patch.setattr(measure.Runner, "once", lambda runner: self._once(runner))
        patch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)

    def _busy(self) -> float:
        return self.busy_now.pop(0) if self.busy_now else self.busy

    def _save(self, name: str, path: Path, **_chosen: int) -> None:
        self.built.append(name)
        save("vit-tiny", path)

    def _once(self, runner: Runner) -> Sample:
        runner.run()
        # Other programs make every run last longer, but it needs no more of the processor.
        self.runs += 1
        ms = self.speeds[runner.name] * (1 + self.scatter * (self.runs * 7 % 11) / 11)
        return Sample(ms * self.disturbed, ms)

    def gather(self, **plan: object) -> LatencyFacts:
        self.built.clear()
        package = _package(self.folder / "model.onnx")
        load = LoadFacts(error="", asked="cpu", providers=("CPUExecutionProvider",), runtime="onnxruntime")
        latency = msgspec.convert({"folder": str(self.folder / "cache")} | plan, LatencyOptions)
        options = RunOptions(device="cpu", threads=1).with_analyses(latency)
        workdir = self.folder / "work"
        workdir.mkdir(exist_ok=True)
        return gathering.gather(Context(self.folder / "model.onnx", workdir, Facts.of(package, load), options))


def times(facts: LatencyFacts) -> list[float]:
    """Return the references' times, to be compared with those of another run."""
    assert facts.calibration is not None
    return [point.ms for point in facts.calibration.points]


def _package(path: Path) -> PackageFacts:
    """Facts of which only the model's path is read here."""
    empty: dict[object, object] = {str: "", int: 0, bool: True}
    required = (field for field in msgspec.structs.fields(PackageFacts) if field.required)
    values = {field.name: empty.get(field.type, ()) for field in required}
    return msgspec.convert(values | {"model_path": str(path)}, PackageFacts)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(tmp_path, monkeypatch)


def test_modelled_times_nothing(here: Here) -> None:
    facts = here.gather(mode="modelled")
    assert facts.submission is None
    assert here.built == []


def test_images_are_new_in_every_run_and_the_timed_runs_are_compared_with_a_batch(here: Here) -> None:
    one, two = here.gather(mode="measured"), here.gather(mode="measured")
    assert one.seed != two.seed
    assert one.images == 8
    assert 0 <= one.row_difference < 1e-3


def test_a_gpu_that_auto_does_not_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "has_driver", lambda: True)
    monkeypatch.setattr(gathering, "reasons", lambda _provider: ["a library is missing (libcudnn.so.9)"])
    (said,) = gathering.unused_gpu("auto", "CPUExecutionProvider")
    assert "libcudnn.so.9" in said
    assert gathering.unused_gpu("cpu", "CPUExecutionProvider") == []
    assert gathering.unused_gpu("auto", "CUDAExecutionProvider") == []
    monkeypatch.setattr(gathering, "has_driver", lambda: False)
    assert gathering.unused_gpu("auto", "CPUExecutionProvider") == []


def test_measured_and_rulebooks_without_published_times_time_the_submission_alone(here: Here) -> None:
    for plan in ({"mode": "measured"}, {"compare": False}):
        facts = here.gather(**plan)
        assert facts.submission is not None
        assert (len(facts.submission.samples), facts.references, facts.calibration) == (50, (), None)
        assert facts.machine is not None
        assert facts.machine.provider == "CPUExecutionProvider"


def test_auto_times_references_up_to_one_slower_than_the_submission(here: Here) -> None:
    facts = here.gather()
    assert facts.calibration is not None
    assert facts.calibration.source == "this run"
    assert [point.name for point in facts.calibration.points] == NAMES[:4]
    assert [series.name for series in facts.references] == NAMES[:4]
    here.speeds["submission"] = 300.0
    assert len(here.gather(folder=str(here.folder / "other")).references) == 5


def test_a_stored_calibration_is_used_beside_one_reference(here: Here) -> None:
    first = here.gather()
    again = here.gather()
    assert here.built == ["iresnet18"]
    assert again.calibration is not None
    assert first.calibration is not None
    assert again.calibration.points == first.calibration.points
    assert (again.calibration.checked, again.calibration.drift) == ("iresnet18", 0.0)
    assert again.calibration.source.startswith(str(here.folder / "cache"))


def test_a_drift_of_more_than_five_percent_times_all_again(here: Here) -> None:
    here.gather()
    here.speeds |= {name: ms * 1.04 for name, ms in SPEEDS.items()}
    small = here.gather()
    assert small.calibration is not None
    assert small.calibration.drift == pytest.approx(0.04)
    here.speeds |= {name: ms * 1.10 for name, ms in SPEEDS.items()}
    large = here.gather()
    assert large.calibration is not None
    assert large.calibration.source == "this run"
    assert large.calibration.points[0].ms == pytest.approx(44.0)
    assert "no longer holds" in large.remarks[0]
    assert here.gather().calibration.points == large.calibration.points  # type: ignore[union-attr]


def test_other_programs_do_not_make_a_stored_calibration_drift(here: Here) -> None:
    here.gather()
    here.disturbed = 3.0
    facts = here.gather()
    assert facts.calibration is not None
    assert facts.calibration.checked
    assert facts.submission is not None
    assert (facts.submission.samples[0], facts.submission.work[0]) == (90.0, 30.0)


def test_a_larger_model_times_only_what_the_calibration_lacks(here: Here) -> None:
    here.gather()
    here.speeds["submission"] = 300.0
    here.speeds |= {name: ms * 1.03 for name, ms in SPEEDS.items() if name != "submission"}
    facts = here.gather()
    assert here.built == ["iresnet100", "iresnet200"]
    assert facts.calibration is not None
    assert [point.name for point in facts.calibration.points] == NAMES
    assert times(facts) == pytest.approx([1.03 * SPEEDS[name] for name in NAMES])
    assert times(here.gather()) == pytest.approx(times(facts))
    assert here.built == ["iresnet200"]
    here.speeds |= SPEEDS
    kept = here.gather()
    assert here.built == ["iresnet18"]
    assert times(kept) == pytest.approx([SPEEDS[name] for name in NAMES])


def test_a_calibration_holds_on_a_busy_machine_that_was_as_busy_then(here: Here) -> None:
    here.busy = 0.8
    here.scatter = 0.6
    first = here.gather()
    assert first.calibration is not None
    assert 0.03 < max(point.spread for point in first.calibration.points) < 0.10
    here.busy = 0.65
    again = here.gather()
    assert again.calibration is not None
    assert again.calibration.checked, again.remarks
    assert len(here.built) == 1
    assert again.calibration.points[0].spread > first.calibration.points[0].spread


def test_a_calibration_of_a_quiet_machine_does_not_stand_for_a_busy_one_and_stays(here: Here) -> None:
    quiet = here.gather()
    here.busy = 0.8
    here.speeds |= {name: ms * 1.04 for name, ms in SPEEDS.items()}
    busy = here.gather()
    assert busy.calibration is not None
    assert busy.calibration.source == "this run"
    assert "other programs use 80% of the processors, 0% on" in busy.remarks[0]
    assert times(here.gather()) == pytest.approx(times(busy))
    here.busy = 0.1
    here.speeds |= SPEEDS
    assert times(here.gather()) == pytest.approx(times(quiet))
    here.busy_now = [0.7, *[0.1] * 5]  # it was busy while the submission was warmed up, and is not any more
    late = here.gather()
    assert late.calibration is not None
    assert late.calibration.checked, late.remarks


def test_a_calibration_holds_for_thirty_days(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.gather()
    (file,) = (here.folder / "cache").glob("calibration-*.json")
    for days, holds in ((29, True), (31, False)):
        found = msgspec.json.decode(file.read_bytes())
        found["made"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        file.write_bytes(msgspec.json.encode(found))
        facts = here.gather()
        assert facts.calibration is not None
        assert bool(facts.calibration.checked) is holds
    assert "one holds for 30 days" in facts.remarks[0]
    assert calibration.HOLDS_DAYS == 30


def test_times_that_scatter_beyond_a_second_look_are_used_and_not_kept(here: Here) -> None:
    here.scatter = 9.0
    here.busy = 0.8
    facts = here.gather()
    assert facts.busy == pytest.approx(0.8)
    assert facts.calibration is not None
    assert "looked at again" in facts.remarks[0]
    assert "not stored for later runs: iresnet" in facts.remarks[1]
    assert not list((here.folder / "cache").glob("calibration*"))


def test_a_foreign_calibration_file_is_refused_and_left_alone(here: Here) -> None:
    file = here.folder / "mine.json"
    here.gather(calibration=str(file))
    foreign = msgspec.json.decode(file.read_bytes())
    foreign["machine"]["processor"] = "another processor"
    file.write_bytes(msgspec.json.encode(foreign))
    before = file.read_bytes()
    facts = here.gather(calibration=str(file))
    assert "made elsewhere: processor another processor" in facts.remarks[0]
    assert facts.calibration is not None
    assert facts.calibration.source == "this run"
    assert file.read_bytes() == before
    assert "left as it is" in facts.remarks[0]


def test_a_damaged_cache_is_told_and_written_anew(here: Here) -> None:
    here.gather()
    (file,) = (here.folder / "cache").glob("calibration-*.json")
    file.write_text("{")
    facts = here.gather()
    assert "is no calibration" in facts.remarks[0]
    assert facts.calibration is not None
    assert facts.calibration.source == "this run"
    assert here.gather().calibration.source == str(file)  # type: ignore[union-attr]


def test_the_profile_names_real_nodes(here: Here) -> None:
    facts = here.gather(mode="measured", profile=True)
    assert len(facts.profile) > 20
    assert {layer.provider for layer in facts.profile} == {"CPUExecutionProvider"}
    assert facts.profile[0].ms >= facts.profile[-1].ms
    assert facts.on_cpu == ()
    assert here.gather(mode="modelled", profile=True).profile


def test_a_model_that_does_not_load_is_an_error_and_not_a_time(here: Here) -> None:
    load = LoadFacts(error="bad opset", asked="cpu", providers=(), runtime="onnxruntime")
    with pytest.raises(RuntimeError, match="bad opset"):
        gathering.runnable(Context(here.folder, here.folder, Facts.of(load), RunOptions()))


def test_without_a_server_interpreter_nothing_is_asked(here: Here) -> None:
    assert not server.gather(Context(here.folder, here.folder, Facts(), RunOptions())).asked
