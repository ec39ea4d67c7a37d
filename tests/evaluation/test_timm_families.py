"""The networks of timm: what is kept of a run, what the page shows of it, and that a stopped or stuck run goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evaluation.timm_families import __main__ as command
from evaluation.timm_families import figures, run
from evaluation.timm_families.record import (
    EXPORTERS,
    FORMS,
    Candidate,
    Family,
    Record,
    Row,
    Versions,
    append,
    ordered,
    read,
    rows_of,
    write,
)
from evaluation.timm_families.run import Task, Worker, tasks, with_model

BIG = Family("big", (Candidate("big1", 900),))
SMALL = Family("small", (Candidate("small1", 10), Candidate("small2", 20)))


def row(family: str = "small", exporter: str = "dynamo", form: str = "plain", said: str = "passed", **more: Any) -> Row:
    return Row(family=family, model=f"{family}1", exporter=exporter, form=form, said=said, **more)


def record(*rows: Row) -> Record:
    return Record(detector="abc", versions=Versions("1", "2", "3"), families=("big", "small"), rows=rows)


def test_the_record_is_in_order_and_the_page_says_what_it_holds() -> None:
    kept = read(figures.RECORD)
    assert kept.rows
    assert tuple(ordered(kept.rows, kept.families)) == kept.rows
    assert len({each.key for each in kept.rows}) == len(kept.rows)
    page = figures.PAGE.read_text(encoding="utf-8")
    assert figures.put(page, kept) == page, "run python -m evaluation.timm_families --state DIR --write"
    for each in kept.rows:
        if each.form == FORMS[0]:
            assert (each.said == "refused") == bool(each.failed)
        if each.said == "caught":
            assert "no-implicit-batch" in each.failed


def test_what_is_written_is_read_and_a_torn_line_is_dropped(tmp_path: Path) -> None:
    rows = [row(), row("big", said="refused", failed=("no-realignment",), message="a\nb")]
    write(tmp_path / "record.json", record(*rows))
    assert read(tmp_path / "record.json") == record(*rows)
    assert rows_of(tmp_path / "rows") == []
    for each in rows:
        append(tmp_path / "rows", each)
    with (tmp_path / "rows").open("ab") as file:
        file.write(b'{"family":"cut')
    assert rows_of(tmp_path / "rows") == rows


def test_the_page_counts_and_names_wrong_answers() -> None:
    text = figures.rendered(
        record(
            row("big", said="refused", failed=("no-realignment",)),
            row("small", said="left out"),
            row("big", form="flip by two runs", said="passed"),
            row("small", "torchscript", said="undecided", undecided=("batch",)),
        )
    )
    assert "| as they are | torch.export | 2 | 0 | 0 | 1 | 0 | 1 | 0 |" in text
    assert "| as they are | TorchScript | 1 | 0 | 1 | 0 | 0 | 0 | 0 |" in text
    assert "- Honest networks that were refused: `big1` (torch.export: no-realignment)." in text
    assert "- Honest networks that were undecided: `small1` (TorchScript: batch)." in text
    assert "- Flip tests that passed: `big1` (torch.export, by two runs)." in text
    assert "- Flip tests that were undecided: none." in text
    assert "2 families of timm 1 (PyTorch 2), 2 were exported and judged by the detector of abc." in text
    some = figures.rendered(record(row()))
    assert "1 were exported and judged by the detector of abc; 1, larger ones for the most part, wait" in some


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="found not both"):
        figures.put("nothing here", record())


def test_the_smallest_come_first_and_every_family_before_the_second_exporter() -> None:
    listed = [(each.family, each.exporter) for each in tasks([BIG, SMALL], EXPORTERS, FORMS[:1])]
    assert listed == [("small", "torchscript"), ("big", "torchscript"), ("small", "dynamo"), ("big", "dynamo")]
    assert [each.form for each in tasks([BIG], EXPORTERS[:1], FORMS)] == list(FORMS)


def test_a_flip_test_is_put_into_the_model_that_could_be_exported() -> None:
    flipped = Task("small", SMALL.candidates, "dynamo", FORMS[1])
    plain = msgspec.structs.replace(row(), model="small2", parameters=20)
    assert with_model(flipped, {plain.key: plain}) == Task("small", (Candidate("small2", 20),), "dynamo", FORMS[1])
    left_out = row(said="not exported")
    assert with_model(flipped, {left_out.key: left_out}) is None
    assert with_model(flipped, {}) is None
    assert with_model(Task("small", SMALL.candidates, "dynamo", FORMS[0]), {}) is not None


def _stuck(pipe: Any, keep: Path) -> None:
    while True:
        task = pipe.recv()
        if task.family == "big":
            time.sleep(60)
        pipe.send(row(task.family))


@pytest.mark.slow  # two new interpreters import the product
def test_a_network_that_takes_too_long_is_a_row_and_the_next_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_serve", _stuck)
    worker = Worker(tmp_path, limit=0.5)
    late = worker(Task("big", BIG.candidates, "dynamo", FORMS[0]))
    assert (late.said, late.message) == ("out of time", "not done in 0 seconds")
    worker.limit = 60
    assert worker(Task("small", SMALL.candidates, "dynamo", FORMS[0])) == row()
    worker.close()


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ([BIG, SMALL], Versions("1", "2", "3"))
    monkeypatch.setattr(command, "families_in_a_process", lambda: found)
    append(tmp_path / "rows.jsonl", row("small", "dynamo", said="not exported"))
    asked: list[tuple[str, str, str]] = []

    def each(todo: list[Task], jobs: int, worker: object) -> Any:
        for task in todo:
            asked.append((task.family, task.exporter, task.form))
            yield row(task.family, task.exporter, task.form, "passed" if task.form == "plain" else "caught")

    monkeypatch.setattr(command, "each", each)
    assert command.main(["--state", str(tmp_path)]) == 0
    assert ("small", "dynamo", "plain") not in asked
    assert not [key for key in asked if key[:2] == ("small", "dynamo")], "what was not exported gets no flip test"
    assert len(asked) == 9
    assert command.main(["--state", str(tmp_path)]) == 0
    assert len(asked) == 9, "everything was judged"


@pytest.mark.parametrize(
    ("form", "said", "wrong"),
    [(FORMS[0], "refused", 1), (FORMS[0], "undecided", 0), (FORMS[0], "passed", 0), (FORMS[0], "not exported", 0),
     (FORMS[1], "passed", 1), (FORMS[1], "undecided", 0), (FORMS[1], "caught", 0)],
)  # fmt: skip
def test_a_refused_honest_network_and_a_flip_test_that_passes_make_the_run_fail(
    form: str, said: str, wrong: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "families.json").write_bytes(msgspec.json.encode(([SMALL], Versions("1", "2", "3"))))
    if form != FORMS[0]:
        append(tmp_path / "rows.jsonl", row())
    monkeypatch.setattr(command, "each", lambda todo, *_: [row(form=each.form, said=said) for each in todo])
    assert command.main(["--state", str(tmp_path), "--form", form, "--exporter", "dynamo"]) == wrong


def test_networks_are_the_same_each_time_and_both_flip_tests_are_flip_tests() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("timm")
    from evaluation.timm_families import networks

    body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
    x = torch.randn(3, 3, 16, 16)
    wanted = body(x) + body(torch.flip(x, [3]))
    for form in FORMS[1:]:
        assert torch.allclose(networks.FORMS[form](body)(x), wanted, atol=1e-5)
    first, second = (networks.built("test_resnet").state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
