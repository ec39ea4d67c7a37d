"""Embedding pictures: batched inference with decoding in parallel, cached, resumable."""

from pytest_facechallenge.embedding.engine import EmbeddingError, Engine
from pytest_facechallenge.embedding.picture import Preprocessing
from pytest_facechallenge.embedding.pipeline import Embedded, PictureProblem, embed

__all__ = ["Embedded", "EmbeddingError", "Engine", "PictureProblem", "Preprocessing", "embed"]
