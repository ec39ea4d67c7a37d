"""What was observed about a submission: plain, serialisable structs with no verdict in them, one module per step."""

from pytest_facechallenge.core.facts.base import Facts, FactsMissingError, StepFacts, StepFailure

__all__ = ["Facts", "FactsMissingError", "StepFacts", "StepFailure"]
