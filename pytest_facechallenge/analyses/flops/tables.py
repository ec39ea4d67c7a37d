"""The table of layers, as data."""

from __future__ import annotations

from pytest_facechallenge.analyses.flops.options import FlopsOptions
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.core.tables import NamedTable


def asked_for(facts: Facts, options: FlopsOptions) -> list[NamedTable]:
    """Return the table of layers where the user asked for it."""
    cost = facts.get(FlopsFacts)
    return [layers(cost)] if options.by_layer and cost is not None else []


def layers(cost: FlopsFacts, most: int | None = None) -> NamedTable:
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
    counted = f"a batch of {cost.batch} images" if cost.batch != 1 else "one image"
    return NamedTable(
        title=f"FLOPs of {counted} ({cost.image})",
        headings=("node", "operator and sizes", "MACs", "FLOPs", "share"),
        rows=tuple(rows),
        numbers_from=2,
        below=(*below, *cost.remarks),
    )
