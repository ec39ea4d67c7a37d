"""The third blind set: networks written without knowing how implicit batching and re-alignment are detected."""
