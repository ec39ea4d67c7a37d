"""The tables of layers and of the cross-check as plain rows; whoever shows them draws the lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.flops import CrosscheckFacts, FlopsFacts


class Table(NamedTuple):
    """A table: title, headings, rows of texts (numbers are right-aligned by convention), lines below."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    below: tuple[str, ...] = ()


def layers(cost: FlopsFacts, most: int | None = None) -> Table:
    """Return the table of ``--facechallenge-flops-by-layer``: every layer, or the ``most`` dearest, and the sum."""
    shown = cost.layers if most is None else cost.layers[:most]
    total = max(1, cost.low)
    rows = [
        (
            layer.node,
            f"{layer.op} {layer.text}" + (f" ({layer.times} times)" if layer.times > 1 else ""),
            f"{layer.macs:,}",
            f"{layer.low:,}",
            f"{layer.low / total:.1%}",
        )
        for layer in shown
    ]
    rest = cost.layers[len(shown) :]
    if rest:
        macs, low = (sum(getattr(layer, name) for layer in rest) for name in ("macs", "low"))
        rows.append((f"{len(rest)} more", "", f"{macs:,}", f"{low:,}", f"{low / total:.1%}"))
    rows += [(entry.node, f"{entry.op}: {entry.why}", "?", "?", "?") for entry in cost.uncounted]
    rows.append(("sum", "", f"{cost.macs:,}", f"{cost.low:,}", "100.0%" if cost.low else "0.0%"))
    below = [f"{family}: {low:,} FLOPs ({low / total:.1%})" for family, low in cost.families.items()]
    below.append(f"biases that may be folded BatchNorms taken as the network's own: {cost.high:,} FLOPs")
    below.append(f"the organisers' literal arithmetic: {cost.literal:,} FLOPs; parameters: {cost.parameters:,}")
    return Table(
        f"FLOPs of {f'a batch of {cost.batch} images' if cost.batch != 1 else 'one image'} ({cost.image})",
        ("node", "operator and sizes", "MACs", "FLOPs", "share"),
        tuple(rows),
        (*below, *cost.remarks),
    )


def crosscheck(found: CrosscheckFacts) -> Table:
    """Return the table of ``--facechallenge-flops-crosscheck``: multiply-accumulates by kind of work."""
    headings = ["kind of work", "ours", "fvcore on the submission"]
    if found.module_factory:
        headings.append(f"fvcore on {found.module_factory}")
    rows = []
    for group in found.groups:
        row = [group.group, _number(group.ours), _number(group.submission)]
        rows.append(tuple(row + ([_number(group.module)] if found.module_factory else [])))
    trouble = [text for text in (found.problem, found.module_problem) if text]
    title = "MACs of one image" + (f", {found.version}" if found.version else "")
    return Table(title, tuple(headings), tuple(rows), (*trouble, *found.explanations))


def _number(value: int | None) -> str:
    return "not counted" if value is None else f"{value:,}"
