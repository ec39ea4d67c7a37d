"""The progress display: one line that changes and goes away on a terminal, few plain lines in a log."""

from __future__ import annotations

from pytest_facechallenge.plugin.progress import LOG_PERIOD, TERMINAL_PERIOD, Display, InWork, Pace, duration


class Recorder:
    def __init__(self) -> None:
        self.text = ""

    def write(self, msg: str, *, flush: bool = False) -> None:
        self.text += msg


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_log_gets_few_plain_lines() -> None:
    recorder, clock = Recorder(), Clock()
    shown = Display(recorder, "model.onnx", live=False, clock=clock)
    for _ in range(3):
        clock.time += LOG_PERIOD * 0.6
        shown.say("running a batch of 32 images")
    shown.close()
    assert recorder.text.count("facechallenge: model.onnx: running a batch of 32 images (24 s)") == 1
    assert "\x1b" not in recorder.text


def test_quick_work_shows_nothing() -> None:
    recorder = Recorder()
    shown = Display(recorder, "model.onnx", live=True, clock=Clock())
    shown.say("parsing")
    shown.close()
    assert recorder.text == ""


def test_terminal_line_is_cut_to_the_width_and_taken_away() -> None:
    recorder, clock = Recorder(), Clock()
    shown = Display(recorder, "model.onnx", live=True, width=30, clock=clock)
    clock.time = TERMINAL_PERIOD * 2
    shown.say("a very long line that would wrap around")
    assert "a very long lin" in recorder.text
    assert "wrap around" not in recorder.text
    before = recorder.text
    shown.close()
    assert recorder.text[len(before) :].count("\x1b[2K") == 1


def test_counted_work_is_a_bar_behind_its_line_on_a_terminal_only() -> None:
    line = "embedding faces: 1,000 of 4,000 images, 90.1/s, 33 s left"
    for live in (True, False):
        recorder, clock = Recorder(), Clock()
        shown = Display(recorder, "m", live=live, width=81, clock=clock)
        clock.time = LOG_PERIOD
        shown.say(line)
        if live:
            text = f"m: {line} (20 s)".ljust(80)
            assert f"\x1b[7m{text[:20]}\x1b[27m{text[20:]}" in recorder.text
        else:
            assert recorder.text == f"\nfacechallenge: m: {line} (20 s)\n"


def test_what_workers_have_in_work_is_a_line_that_leaves_nothing_behind() -> None:
    recorder, clock = Recorder(), Clock()
    shown = InWork(recorder, live=True, width=40, clock=clock)
    shown.start("a", "ann/model.onnx A-batch")
    assert "in work: ann/model.onnx A-batch (0 s)" in recorder.text
    shown.start("b", "bob/model.onnx A-latency")
    assert recorder.text.endswith("\x1b8")
    before = len(recorder.text)
    shown.clear()
    shown.clear()
    assert recorder.text[before:].count("\x1b[2K") == 1
    shown.finish("a")
    assert recorder.text.endswith("in work: bob/model.onnx A-latency (0 s)\x1b8")


def test_in_a_log_workers_are_told_of_seldom_and_plainly() -> None:
    recorder, clock = Recorder(), Clock()
    shown = InWork(recorder, live=False, clock=clock)
    for number in range(9):
        clock.time += LOG_PERIOD / 4
        shown.start(str(number), f"team{number}/model.onnx A-batch")
        shown.finish(str(number))
    assert recorder.text.count("facechallenge: in work: ") == 2
    assert "\x1b" not in recorder.text


def test_a_run_over_several_submissions_says_where_it_is_and_how_long_the_rest_may_take() -> None:
    clock = Clock()
    pace = Pace(["a", "b", "c", "d"], clock)
    assert (pace.place("a"), pace.left("a")) == ("[1/4] a", "")
    clock.time = 60.0
    assert pace.place("b") == "[2/4] b"
    clock.time = 70.0
    assert pace.left("b") == ", 3 min left for all"
    clock.time = 400.0
    assert pace.left("b") == ""
    assert Pace(["a"], clock).place("a") == "a"


def test_times_for_people() -> None:
    assert [duration(seconds) for seconds in (40, 720, 12_600)] == ["40 s", "12 min", "3.5 h"]
