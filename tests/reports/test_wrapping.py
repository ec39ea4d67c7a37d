"""Text fitted into columns: whole words, whole numbers, cells of wide characters, consoles without UTF-8."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pytest_facechallenge.reports.wrapping import cut, padded, shortened, spelt, wrap

TEXT = "The output 'embedding' has 1,073,741,824 values per image; Sub-Track A allows at most 512."


@pytest.mark.parametrize("width", [20, 33, 60, 80])
def test_words_and_numbers_stay_whole(width: int) -> None:
    lines = wrap("  fix  ", TEXT, width)
    assert max(map(cell_len, lines)) <= width
    assert " ".join(lines).split()[1:] == TEXT.split()
    assert all(line.startswith("       ") for line in lines[1:])


def test_a_longer_word_is_broken_after_its_signs() -> None:
    assert wrap("", "/long/path/of/a/model.onnx", 12) == ["/long/path/", "of/a/model.", "onnx"]
    assert wrap("", "a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_a_number_inside_a_longer_word_stays_whole() -> None:
    word = "weights=1,073,741,824:scale=0.00392156"
    assert wrap("", word, 16) == ["weights=", "1,073,741,824:", "scale=0.00392156"]


def test_lines_are_counted_and_the_rest_is_marked() -> None:
    lines = wrap("", TEXT, 30, most=2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert wrap("", "short", 30, most=2) == ["short"]


def test_wide_characters_take_two_cells() -> None:
    assert max(map(cell_len, wrap("", "人脸识别 挑战赛 模型文件 提交", 10))) <= 10
    assert cell_len(shortened("队伍/人脸识别模型.onnx", 12)) <= 12
    assert cell_len(padded("人脸", 8)) == 8


@given(st.text(max_size=80), st.integers(8, 40))
def test_nothing_is_wider_than_the_screen(text: str, width: int) -> None:
    assert all(cell_len(line) <= width for line in wrap("- ", text, width))
    assert cell_len(cut(" ".join(text.split()), width)) <= width
    assert cell_len(shortened(text, width)) <= width


def test_cut_keeps_the_indentation_and_whole_words() -> None:
    assert cut("  where     batch of 32 images", 24) == "  where     batch of 32…"
    assert cut("short", 24) == "short"


def test_an_ascii_console_gets_the_usual_spelling() -> None:
    assert spelt("“at most” 3 × 5 … 队", "ascii") == '"at most" 3 x 5 ... \\u961f'
    assert spelt("“at most”", "utf-8") == "“at most”"
    assert spelt("ä", "no-such-encoding") == "\\xe4"
