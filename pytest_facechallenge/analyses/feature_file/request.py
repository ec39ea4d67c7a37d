"""What the run asks of the step ``features``: travels to the sandbox as one JSON text."""

from __future__ import annotations

import msgspec

from pytest_facechallenge.analyses.accuracy.request import Point

#: The key of `RunOptions.extra` that carries a `FeatureRequest` as JSON.
KNOB = "features"


class FeatureRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A feature file to judge, its labels (or ""), and the operating points to score it at."""

    path: str = ""
    labels: str = ""
    points: tuple[Point, ...] = ()

    def to_json(self) -> str:
        """Return it as the text for `KNOB`."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> FeatureRequest:
        """Read `to_json`'s text; an empty text asks for nothing."""
        return msgspec.json.decode(text, type=cls) if text else cls()
