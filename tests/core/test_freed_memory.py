"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
import sys

import pytest

from pytest_facechallenge.core import freed_memory


@pytest.fixture(autouse=True)
def _looked_up_anew() -> None:
    freed_memory._trim.cache_clear()


def test_freed_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Library:
        def __init__(self, _name: None) -> None:
            self.malloc_trim = asked.append

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", Library)
    freed_memory.give_back()
    assert asked == [0]


@pytest.mark.parametrize(("platform", "library"), [("win32", None), ("darwin", None), ("linux", object)])
def test_nothing_happens_where_it_cannot(platform: str, library: object, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def open_library(name: object) -> object:
        opened.append(name)
        return library

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", open_library)
    freed_memory.give_back()
    assert opened == ([None] if platform == "linux" else []), "elsewhere no library is looked for"
