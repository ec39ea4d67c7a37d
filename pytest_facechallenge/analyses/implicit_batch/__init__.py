"""Following the image through a network: which views of it the body works on, how often, and which images mix.

The way of a submission: `variants` (no control flow left, one model per way through the conditions; `unroll`,
`force_selection`, and `force_decisions` for those without an If), `opened` (structure and sessions; `layer_index`,
`runner`, `feed`), `trace` (pixels recovered, layers related, values for noise images kept: `pixel_recovery`,
`connected`, `stacked_blocks`), then every row of `observers`, whose hypotheses (`parts`) are tried by the interventions
of `confirm` (`exchange`, `decouple`).
`gather` does all of it; `thresholds` holds every number that decides.

What observers share: `signatures` (which elements are one datum), `tensor_duplicates` and `places` (where it stands and
how that follows), `weight_similarity` and `channel_groups` (weights), `exact_pixels`, `sampled_grid` and `registration`
(what a value shows of the image), `subgraph` and `parallel_branches` (parts run alone), `channel_partition` and
`feature_comparison` (features whatever their layout), `image_transforms` and `probe_images`.
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
            ("load", "flow"),
            runs_model=True,
        ),
    ),
)
