"""What the file declares, as figures at the top of the page."""

from __future__ import annotations

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.interface import InterfaceFacts, ValueDeclaration
from pytest_facechallenge.reports.page.wording import count


def figures(facts: Facts) -> list[tuple[str, str]]:
    """Return input, output, nodes, opset and producer as (name, value)."""
    declared = facts.get(InterfaceFacts)
    if declared is None:
        return []
    found = [("input", _declared(value)) for value in declared.inputs[:1]]
    found += [("output", _declared(value)) for value in declared.outputs[:1]]
    opsets = ", ".join(f"{domain} {version}" for domain, version in declared.opsets.items())
    found += [("nodes", count(declared.all_nodes)), ("opset", f"{opsets}, IR {declared.ir_version}")]
    found += [("producer", declared.producer)] if declared.producer else []
    return found


def _declared(value: ValueDeclaration) -> str:
    shape = "?" if value.shape is None else " × ".join(str(extent) for extent in value.shape)
    return f"{value.name}: {value.dtype} {shape}"
