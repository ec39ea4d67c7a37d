"""Would the evaluation server's runtime run the model? Read from the file, and tried in that runtime itself."""

from __future__ import annotations

from pytest_facechallenge.core.analysis import Analysis, Stage, Step
from pytest_facechallenge.core.options import Option, OptionKind

ANALYSIS = Analysis(
    name="server",
    about="what the server's runtime can load and run",
    steps=(
        Step(
            "compatibility",
            Stage.STATIC,
            "core.facts.compatibility:CompatibilityFacts",
            "analyses.server.compatibility:gather",
            ("interface",),
        ),
        Step(
            "server",
            Stage.SERVER,
            "core.facts.server:ServerFacts",
            "analyses.server.trial:gather",
            ("interface",),
            idle="analyses.server.options:idle",
        ),
    ),
    options=(
        Option(
            "server-python",
            OptionKind.TEXT,
            "Python interpreter that has the evaluation server's onnxruntime",
            "PYTHON",
        ),
    ),
    resolve="analyses.server.options:resolve",
    depends="analyses.server.options:depends",
)
