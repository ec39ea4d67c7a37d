"""Makes the pages of docs/reference that follow from the code: rules, options, commands, schemas, the Python API.

    python -m docs.make_reference          # from the root of the repository

A test compares them with what this makes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from docs import reference_api, reference_schemas
from docs.escaping import cell, escaped
from pytest_facechallenge.commands import COMMANDS
from pytest_facechallenge.commands.parser import Parser
from pytest_facechallenge.core.options import Option, OptionKind
from pytest_facechallenge.core.rulebook import Rule, Rulebook
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.plugin.options import OPTIONS
from tests.situations.catalogue import SITUATIONS

FOLDER = Path(__file__).parent / "reference"
_LEVELS = {"rule": "", "note": "a note only: it fails nothing", "measurement": "measured only: it fails nothing"}
_MADE = "<!-- made by python -m docs.make_reference -->\n\n"


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    books = load_rulebooks(())
    found = {f"{book.id}.md": _rulebook(book) for book in books.values()}
    return found | {
        "rules.md": _index(books),
        "options.md": _options(),
        "commands.md": _commands(),
        "schemas.md": _MADE + reference_schemas.page(),
        "api.md": _MADE + reference_api.page(),
    }


def _index(books: Mapping[str, Rulebook]) -> str:
    lines = [
        "# Rules",
        "",
        "Every sentence of a challenge that limits a submission or defines a score is a rule here.",
        "",
    ]
    for book in books.values():
        lines += [f"## [{escaped(book.title)}]({book.id}.md)", "", "| rule | clause | limit |", "|---|---|---|"]
        for rule_id in book.rules:
            rules = _resolved(book, rule_id)
            lines += [f"| [{rule_id}]({book.id}.md#{rule_id}) | {cell(rules[0].clause)} | {cell(_limits(rules))} |"]
        lines += [""]
    return _MADE + "\n".join(lines)


def _rulebook(book: Rulebook) -> str:
    lines = [
        f"# {escaped(book.title)}",
        "",
        f"Version {book.version} of {book.date}, id `{book.id}`. Source: {escaped(book.source)}.",
        "",
    ]
    lines += ["| track | title | clause |", "|---|---|---|"]
    lines += [
        f"| `{book.id}/{name}` | {cell(track.title)} | {cell(track.clause)} |" for name, track in book.tracks.items()
    ]
    lines += [""]
    if book.ranking is not None:
        lines += [f"Ranking ({escaped(book.ranking.clause)}): {escaped(book.ranking.text)}", ""]
    if book.bonus is not None:
        lines += [
            f"Bonus ({escaped(book.bonus.clause)}): {escaped(book.bonus.text)}",
            f"*Reading:* {escaped(book.bonus.reading)}",
            "",
        ]
    if book.notes:
        lines += [
            "How the documents were read where no rule is concerned:",
            "",
            *(f"- {escaped(note)}" for note in book.notes),
            "",
        ]
    for rule_id in book.rules:
        lines += _rule(_resolved(book, rule_id))
    return _MADE + "\n".join(lines)


def _rule(rules: list[Rule]) -> list[str]:
    first = rules[0]
    lines = [
        f"## {first.id}",
        "",
        f"{escaped(first.clause)}: {'“' + escaped(first.text) + '”' if first.text else 'no sentence of its own.'}",
        "",
    ]
    if first.reading:
        lines += [f"*Reading:* {escaped(first.reading)}", ""]
    lines += ["| track | limit | at the limit | beyond it |", "|---|---|---|---|"]
    lines += [f"| `{rule.full_track}` | {cell(_limit(rule))} | {_at(rule)} | {_beyond(rule)} |" for rule in rules]
    lines += ["", *_examples(first.id), f"Check: `{first.check}`.", ""]
    for heading, text in load_checks()[first.check].sections.items():
        lines += [f"**{heading}.** {' '.join(escaped(text).split())}", ""]
    return lines


def _examples(rule: str) -> list[str]:
    """Return what people handed in that keeps or breaks the rule; the tests judge each."""
    lines = []
    for breaks, heading in ((False, "Kept by"), (True, "Broken by")):
        seen = [each for each in SITUATIONS if each.rule == rule and each.breaks is breaks and each.observe is None]
        if seen:
            lines += [f"{heading}, for example ([situations](../situations.md)):", ""]
            lines += [f"- {escaped(each.name)}: “{escaped(each.finding)}”" for each in seen]
            lines += [""]
    return lines


def _resolved(book: Rulebook, rule_id: str) -> list[Rule]:
    return [next(rule for rule in book.rules_of(track) if rule.id == rule_id) for track in book.tracks]


def _limit(rule: Rule) -> str:
    if rule.not_applicable:
        return f"does not apply: {rule.not_applicable}"
    return "; ".join(filter(None, (rule.limit_text(), _LEVELS[rule.level]))) or "none"


def _limits(rules: list[Rule]) -> str:
    found = {rule.track: rule.limit_text() for rule in rules if not rule.not_applicable}
    if not found:
        return "does not apply"
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return ", ".join(f"{track} {limit or 'none'}" for track, limit in found.items())


def _at(rule: Rule) -> str:
    if not isinstance(rule.limit, (int, float)) or rule.not_applicable:
        return ""
    return f"{rule.limit:,} {'passes' if rule.within(rule.limit) else 'fails'}"


def _beyond(rule: Rule) -> str:
    """Return the nearest value that the rule judges in the other way."""
    if not isinstance(rule.limit, (int, float)) or rule.not_applicable:
        return ""
    step = 1 if isinstance(rule.limit, int) and rule.unit != "ms" else 0.1
    near = next(
        value for value in (rule.limit + step, rule.limit - step) if rule.within(value) is not rule.within(rule.limit)
    )
    return f"{near:,} {'passes' if rule.within(near) else 'fails'}"


#: Variables that are no options of ours: what they do.
_VARIABLES = {
    "NO_COLOR, FORCE_COLOR, PY_COLORS": "colours on the terminal: never, always (https://no-color.org)",
    "FORCE_HYPERLINK": "1: names of broken rules are links on any terminal with colours; 0: on none",
    "COLUMNS": "columns of the terminal where it does not say them itself",
    "TMPDIR": "the folder that the run's private folder is made in",
    "XDG_CACHE_HOME": "the folder in which times of this machine are kept (Linux; elsewhere the system's own)",
    "GITHUB_ACTIONS, GITHUB_STEP_SUMMARY, GITHUB_WORKSPACE": "set by GitHub: annotations and the job's summary",
    "PYTEST_ADDOPTS, PYTEST_PLUGINS": "pytest's own; `facechallenge judge` takes them away",
}


def _options() -> str:
    lines = [
        "# Options",
        "",
        "Each option of pytest is also an ini key and an environment variable. The command line wins over the",
        "environment, and that over the ini file. `facechallenge judge` and `audit` take them without the",
        "prefix: `--testset`.",
        "",
    ]
    for option in OPTIONS:
        lines += [f"## {option.flag}", "", f"{_sentence(option.help)} {_kind(option)}", ""]
        lines += [f"ini key `{option.ini}`, environment `{option.variable}`", ""]
    lines += ["## Other environment variables", "", "| variable | does |", "|---|---|"]
    lines += [f"| `{name}` | {about} |" for name, about in _VARIABLES.items()]
    return _MADE + "\n".join(lines)


def _kind(option: Option) -> str:
    if option.kind is OptionKind.FLAG:
        return "A switch."
    value = f"Its value is `{option.metavar}`"
    if option.kind is OptionKind.LIST:
        return f"{value}; it can be given several times."
    return f"{value}, and may be left out." if option.kind is OptionKind.OPTIONAL else f"{value}."


def _commands() -> str:
    lines = ["# Commands", "", "`python -m pytest_facechallenge` is the same as `facechallenge`.", ""]
    for command in COMMANDS:
        parser = Parser(prog=f"facechallenge {command.name}")
        command.add_arguments(parser)
        lines += [f"## facechallenge {command.name}", "", _sentence(command.about), ""]
        lines += [f"- {_action(action)}" for action in parser._actions if action.dest != "help"]
        if command.passes_on:
            lines += ["- what follows `--` is passed on to pytest"]
        lines += [""]
    return _MADE + "\n".join(lines)


def _action(action: argparse.Action) -> str:
    shown = action.metavar if isinstance(action.metavar, str) else action.dest
    names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{shown}`"
    value = f" `{shown}`" if action.option_strings and action.nargs != 0 else ""
    about = (action.help or "").replace("%%", "%")
    return f"{names}{value}: {escaped(about)}"


def _sentence(text: str) -> str:
    return f"{escaped(text[:1].upper() + text[1:])}."


def write(folder: Path = FOLDER) -> Iterable[Path]:
    """Write the pages and return their paths."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        yield path


if __name__ == "__main__":
    for written in write():
        print(written)
