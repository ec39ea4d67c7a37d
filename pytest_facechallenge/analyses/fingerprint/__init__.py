"""What tells a network from every other one: of its weights and of its behaviour. Audits compare entries by it."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step

ANALYSIS = Analysis(
    name="fingerprint",
    about="what tells the network from others, by its weights and by its embeddings of fixed images",
    steps=(
        Step(
            "weight_fingerprint",
            Stage.STATIC,
            "core.facts.fingerprint:WeightFingerprintFacts",
            "analyses.fingerprint.weights:gather",
            ("interface",),
        ),
        Step(
            "fingerprint",
            Stage.BEHAVIOUR,
            "core.facts.fingerprint:FingerprintFacts",
            "analyses.fingerprint.behaviour:gather",
            ("load",),
            runs_model=True,
        ),
    ),
)
