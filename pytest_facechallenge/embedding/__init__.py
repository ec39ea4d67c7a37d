"""Embedding images: batched inference with decoding in parallel, cached, resumable."""

from pytest_facechallenge.embedding.embedder import Embedder, EmbeddingError
from pytest_facechallenge.embedding.image import Preprocessing
from pytest_facechallenge.embedding.pipeline import Embedded, ImageProblem, embed

__all__ = ["Embedded", "Embedder", "EmbeddingError", "ImageProblem", "Preprocessing", "embed"]
