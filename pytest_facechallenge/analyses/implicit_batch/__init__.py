"""Following the image through a network: which versions of it the body sees, how often, and who mixes with whom.

Layers, each reading only those before it: `runner` (run a model, look inside), `flatten` and `selection` (no control
flow left, every selection taking everything), `structure` (who computes with weights, at which cost, in which order),
`signatures` (which elements are one datum), `copies`, `towers`, `twins`, `warps`, `rows`, `kernels`, `changes` (what
can be seen, and done to an image), `probe` (a model, opened), `views`, `disguise`, `stacked`, `side_by_side`, `parts`,
`echoes`, `directions` (what was seen, as facts), `observe` and `gather` (the step).
"""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="implicit_batch",
    about="how often the network runs over a face, on which views of the image, and whether rows mix",
    steps=(
        Step(
            "implicit_batch",
            Stage.PROBES,
            "core.facts.implicit_batch:ImplicitBatchFacts",
            "analyses.implicit_batch.gather:gather",
            ("load",),
            runs_model=True,
        ),
    ),
)
