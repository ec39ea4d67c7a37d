"""The page of the Python API: every public name with its signature and its docstring."""

from __future__ import annotations

import enum
import inspect
import re
from typing import Any

import pytest_facechallenge
from docs.escaping import prose

#: Sections of a docstring that list names with an indented text each.
_LISTS = ("Parameters", "Attributes", "Raises")
#: The widest signature on one line.
_WIDTH = 100
_FUNCTION = re.compile(r"<function (\w+) at 0x[0-9a-f]+>")
_GROUPS = {
    "Judging": ("judge", "rejudge", "audit", "repair", "explain", "load_rulebooks"),
    "Declarations": ("declaration_template", "write_declaration"),
    "Checks of your own": ("check", "Facts", "Rule", "Evidence", "passed", "failed", "undecided", "not_applicable"),
    "What comes back": (
        "Report", "Outcome", "Status", "Verdict", "VerdictWord", "RepairReport", "Audit", "Rulebook", "ReportError",
    ),
}  # fmt: skip


def page() -> str:
    """Return the page.

    Raises
    ------
    ValueError
        A public name is in no group, or in two.
    """
    grouped = [name for names in _GROUPS.values() for name in names]
    if sorted(grouped) != sorted(pytest_facechallenge.__all__):
        raise ValueError(f"in one list only: {set(grouped) ^ set(pytest_facechallenge.__all__)}")
    lines = [
        "# Names of the Python API",
        "",
        "All that `from pytest_facechallenge import …` gives; other modules may change between versions.",
        "[The Python API](../python-api.md) has examples.",
        "",
    ]
    for group, names in _GROUPS.items():
        lines += [f"## {group}", ""]
        for name in names:
            lines += [f"### {name}", "", *_of(name, getattr(pytest_facechallenge, name))]
    return "\n".join(lines)


def _of(name: str, thing: Any) -> list[str]:
    lines = ["```text", _signature(name, thing), "```", "", *_docstring(inspect.getdoc(thing) or "")]
    if inspect.isclass(thing) and issubclass(thing, enum.Enum):
        lines += [*(f"- `{each.name}`: `{each.value!s}`" for each in thing), ""]
        return lines
    for method, function in vars(thing).items() if inspect.isclass(thing) else ():
        target = function.__func__ if isinstance(function, classmethod | staticmethod) else function
        if not method.startswith("_") and inspect.isfunction(target) and target.__doc__:
            lines += [f"**{name}.{method}**{_arguments(target)}", "", *_docstring(inspect.getdoc(target) or "")]
    return lines


def _signature(name: str, thing: Any) -> str:
    if inspect.isclass(thing):
        return f"class {name}"
    signature = inspect.signature(thing)
    parts = [_FUNCTION.sub(r"\1", str(each)).replace("'", "") for each in signature.parameters.values()]
    named = [each.kind is inspect.Parameter.KEYWORD_ONLY for each in signature.parameters.values()]
    if any(named):
        parts.insert(named.index(True), "*")
    returned = str(signature.return_annotation).replace("'", "")
    whole = f"{name}({', '.join(parts)}) -> {returned}"
    if len(whole) <= _WIDTH:
        return whole
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f") -> {returned}"])


def _arguments(function: Any) -> str:
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return f"(`{', '.join(names)}`)" if names else "()"


def _docstring(text: str) -> list[str]:
    """Return a docstring in numpy's layout as Markdown."""
    first, *rest = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
    lines = _paragraphs(first)
    for heading, body in zip(rest[::2], rest[1::2], strict=True):
        lines += [f"**{heading}**", ""]
        if heading in _LISTS:
            lines += [*_entries(body), ""]
        elif heading == "Examples":
            lines += ["```text", body.strip(), "```", ""]
        else:
            lines += _paragraphs(re.sub(r"^(\w+)\n(?= {4})", r"`\1`: ", body))
    return lines


def _paragraphs(text: str) -> list[str]:
    return [line for block in text.strip().split("\n\n") if block for line in (prose(block), "")]


def _entries(body: str) -> list[str]:
    found = re.findall(r"^(\S[^\n]*)\n((?:(?: {4}[^\n]*)?\n?)*)", body.strip() + "\n", re.MULTILINE)
    return [f"- `{name}`: {prose(text)}" for name, text in found]
