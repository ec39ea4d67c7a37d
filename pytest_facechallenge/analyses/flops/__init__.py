"""The arithmetic cost of a graph, counted as LFR19 counts it.

`op_cost` holds the arithmetic; `convolution`, `products`, `attention`, `recurrent` and `spectral` say what each
operator multiplies; `zero_cost_ops` names the operators that cost nothing; `elementwise_contractions`, with
`provenance`, finds contractions written as element-wise products and sums; `counter` walks a graph; `gather` turns the
result into facts.
"""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step
from pytest_facechallenge.core.options import Option, OptionKind

ANALYSIS = Analysis(
    name="flops",
    about="arithmetic, by the challenge's own method",
    steps=(Step("flops", Stage.STATIC, "core.facts.flops:FlopsFacts", "analyses.flops.gather:gather", ("interface",)),),
    options=(Option("flops-by-layer", OptionKind.FLAG, "show the FLOPs of every layer after the summary"),),
    resolve="analyses.flops.options:resolve",
    tables="analyses.flops.tables:asked_for",
)
