"""The same sentence is never shown twice for one submission, on the terminal, in Markdown, on the page."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pytest_facechallenge.core.outcome import Evidence, Status
from pytest_facechallenge.engine.report import Report
from pytest_facechallenge.reports import html_report, markdown
from pytest_facechallenge.reports.once import LEAST, once
from pytest_facechallenge.reports.terminal import render
from pytest_facechallenge.reports.view import View
from tests.support import reports
from tests.support.faulty import report_on
from tests.support.models import network, pack, save

#: So many words in the same order are a repetition, wherever sentences end.
WORDS = 9
#: Fewer words in an element of the page are a name, a path or a number.
SENTENCE = 6


def trained() -> onnx.ModelProto:
    """Return the network with two BatchNormalization nodes in training mode."""
    model = network(opset=12, ir_version=7)
    for name, channels in (("r0", 8), ("r2", 16)):
        constants = {f"{name}_{part}": np.ones(channels, np.float32) for part in ("scale", "bias", "mean", "var")}
        for key, values in constants.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(values, key))
        at = next(index for index, node in enumerate(model.graph.node) if name in node.input)
        model.graph.node[at].input[0] = f"{name}_normal"
        outputs = [f"{name}_normal", *(f"{name}_{part}" for part in ("m", "v", "sm", "sv"))]
        node = helper.make_node("BatchNormalization", [name, *constants], outputs, f"norm_{name}")
        model.graph.node.insert(at, node)
    return model


def beside(folder: Path) -> Path:
    """Write a model whose weights lie in a file beside it."""
    path = save(network(), folder / "model.onnx")
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="model.data", size_threshold=0)
    return path


def text_file(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        folder.mkdir()
        (folder / "model.onnx").write_text(text)
        return folder / "model.onnx"

    return write


def declared_badly(folder: Path) -> Path:
    path = save(network(), folder / "model.onnx")
    (folder / "declaration.toml").write_text('purpose = "practice"\n')
    return path


def built(make: Callable[[], onnx.ModelProto]) -> Callable[[Path], Path]:
    return lambda folder: save(make(), folder / "model.onnx")


SECOND = helper.make_tensor_value_info("second", TensorProto.FLOAT, [1])
FAULTY: dict[str, Callable[[Path], Path]] = {
    "no fault": built(network),
    "640 values": built(lambda: network(dim=640)),
    "float16 input": built(lambda: network(dtype=TensorProto.FLOAT16)),
    "96 pixels": built(lambda: network(shape=(3, 96, 96))),
    "two inputs": built(lambda: network(extra_inputs=[SECOND])),
    "new opset": built(lambda: network(opset=20, ir_version=10)),
    "training mode": built(trained),
    "weights beside it": beside,
    "text": text_file("hello"),
    "nothing": text_file(""),
    "git-lfs": text_file("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
    "a zip of text": lambda folder: pack(folder.parent / "model.zip", {"readme.txt": b"hello"}),
    "declaration": declared_badly,
}


def repeated(text: str) -> list[str]:
    """Return what is said more than once: runs of words, and sentences."""
    words = re.sub(r"[^\w\s.:,;'()\[\]-]", " ", text).split()
    runs = Counter(" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))
    return [run for run, number in runs.items() if number > 1 and len(run) >= LEAST]


def page_texts(report: Report) -> str:
    """Return the page's words, element by element, without what is not read: style, script, commands."""
    page = html_report.render(report).decode()
    page = re.sub(r"<(style|script|pre|code)\b.*?</\1>", " ", page, flags=re.DOTALL)
    texts = [" ".join(html.unescape(each).split()) for each in re.findall(r">([^<]+)<", page)]
    return " \n | ".join(each for each in texts if each)


@pytest.mark.parametrize("fault", FAULTY)
def test_nothing_is_said_twice(tmp_path: Path, fault: str) -> None:
    path = FAULTY[fault](tmp_path / "entry")
    report = report_on(path, tmp_path / "work")
    assert repeated(render(report, View(width=100))) == []
    assert repeated(re.sub(r"\s+", " ", render(report, View(width=140, verbosity=1)))) == []
    table = re.compile(r"^\|.*\|$", re.MULTILINE)
    assert repeated(table.sub("", markdown.render(report).decode())) == []
    elements = Counter(each for each in page_texts(report).split(" \n | ") if len(each.split()) >= SENTENCE)
    figures = {result.measured for track in report.submissions[0].tracks for result in track.rules}
    assert [each for each, number in elements.items() if number > 1 and each not in figures] == []


def two_tracks() -> Report:
    seen = (Evidence(where="node 'c'", what="the layer gives 640 values, more than the track allows"),)
    note = "The layer gives 640 values, more than the track allows."
    said = "There are too many values an image, 640 of them."
    broken = reports.result("embedding-dim", Status.FAILED, message=said, evidence=seen, notes=(note,))
    open_ = reports.result("training-set", Status.UNDECIDED, message="There is no declaration of any kind beside it.")
    return reports.report(
        reports.submission("m.onnx", reports.track(broken, open_), reports.track(broken, open_, name="B"))
    )


def test_what_is_the_same_on_two_tracks_is_said_on_the_first() -> None:
    for verbosity in (0, 1):
        shown = " ".join(render(two_tracks(), View(width=100, verbosity=verbosity)).split())
        assert shown.count("There are too many values an image") == 1
        assert "As on mfr21/A." in shown
        assert shown.count("NON-COMPLIANT") == 2
    assert markdown.render(two_tracks()).decode().count("There are too many values an image") == 1


def test_notes_do_not_repeat_evidence() -> None:
    (first, _) = once(two_tracks()).submissions[0].tracks
    assert first.rules[0].notes == ()
    assert len(first.rules[0].evidence) == 1


def test_evidence_that_the_message_quotes_is_left_out_and_a_number_is_not() -> None:
    quoted = Evidence(where="node 'a'", what="Relu uses the definition of opset 14")
    number = Evidence(where="batch of 1", what="640 values")
    said = "Broken: node 'a': Relu uses the definition of opset 14. 640 values."
    result = reports.result("r", Status.FAILED, message=said, evidence=(quoted, number))
    report = reports.report(reports.submission("m.onnx", reports.track(result)))
    assert once(report).submissions[0].tracks[0].rules[0].evidence == (number,)
    assert msgspec.json.encode(once(once(report))) == msgspec.json.encode(once(report))
