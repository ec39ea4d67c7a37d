"""Links to the pages of rules: behind words where a terminal shows links, spelt out where it does not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_facechallenge.core import site
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.site import SITE
from pytest_facechallenge.reports import terminal
from pytest_facechallenge.reports.finding import render as finding
from pytest_facechallenge.reports.hyperlinks import shows_links
from pytest_facechallenge.reports.terminal import render_details
from pytest_facechallenge.reports.view import View
from tests.reports.test_terminal import broken, one
from tests.support.reports import result

PAGE = f"{SITE}reference/mfr21.html"


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7006"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "5000"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "TERM_PROGRAM_VERSION": "3.0.9"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app", "TERM_PROGRAM_VERSION": "3.10"}, True),
        (
            {"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm", "TERM_PROGRAM_VERSION": "20240203-110809-5046f"},
            True,
        ),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "TERM_PROGRAM_VERSION": "1.71.0"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal", "TERM_PROGRAM_VERSION": "455"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"WT_SESSION": "f00"}, True),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, False),
        ({"TERM": "screen-256color", "VTE_VERSION": "7006"}, False),
        ({"TERM": "xterm-kitty", "CI": "true"}, False),
        ({"TERM": "dumb", "WT_SESSION": "f00"}, False),
        ({"TERM": "dumb", "FORCE_HYPERLINK": "1"}, True),
        ({"TERM": "xterm-kitty", "FORCE_HYPERLINK": "0"}, False),
    ],
)
def test_only_terminals_that_are_known_to_show_links_get_them(environment: dict[str, str], shown: bool) -> None:
    assert shows_links(environment) is shown


@pytest.mark.parametrize("verbosity", [0, 1])
def test_the_name_of_a_broken_rule_is_a_link(verbosity: int) -> None:
    report = one(broken("embedding-dim"), name="embedding-dim.onnx")
    view = View(colour=True, links=True, verbosity=verbosity)
    text = render_details(report, view)
    assert re.search(rf"embedding-dim\.onnx: \x1b[^\x07]*?\x1b\]8;[^;]*;{re.escape(PAGE)}#embedding-dim\x1b\\", text), (
        repr(text)
    )
    assert "\x1b]8;" not in render_details(report, replace(view, links=False))


def test_an_address_is_spelt_out_below_the_counts_where_there_are_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_published", lambda: True)
    rules = (broken("embedding-dim"), result("latency", Status.UNDECIDED, remedy="Time it."))
    assert render_details(one(*rules), View()).splitlines()[-1] == f"rules explained at {PAGE}"
    assert render_details(one(rules[1]), View()).splitlines()[-1] == f"rules explained at {PAGE}"
    assert SITE not in render_details(one(result("batch")), View()), "nothing is broken or open"
    narrow = render_details(one(*rules), View(60)).splitlines()[-1]
    assert narrow == "facechallenge explain RULE says what a rule wants"


def test_an_address_that_nobody_can_open_is_not_spelt_out() -> None:
    last = render_details(one(broken("embedding-dim")), View(200)).splitlines()[-1]
    assert last == "facechallenge explain RULE says what a rule wants"


@pytest.mark.parametrize(
    ("address", "published"),
    [
        ("https://pytest-facechallenge.example/", False),
        ("https://example/docs/", False),
        ("https://pytest-facechallenge.readthedocs.io/", True),
        ("https://example.org/", True),
    ],
)
def test_addresses_that_can_be_opened(address: str, published: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "SITE", address)
    assert site.is_published() is published


def test_a_finding_in_full_has_the_whole_address_on_one_line() -> None:
    assert f"page      {PAGE}#embedding-dim" in finding(broken("embedding-dim"), "m.onnx", "mfr21/A").splitlines()
    assert SITE not in finding(broken("embedding-dim"), "m.onnx", "campus/door")
    text = render_details(one(broken("embedding-dim")), View(100, verbosity=1))
    assert f"  page      {PAGE}#embedding-dim" in text.splitlines()
