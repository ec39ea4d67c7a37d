"""Rules on which views of the image the network works on, and how often: implicit batching and re-alignment."""

from pytest_facechallenge.checks.implicit_batch.rules import no_implicit_batch, no_realignment

__all__ = ["no_implicit_batch", "no_realignment"]
