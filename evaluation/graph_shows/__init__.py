"""Networks whose graph shows, without any image, that rows mix, that chance, width or numbers depend on something.

A collection of its own beside the sets of ``splits.toml``: it is judged by the rules of batches, determinism, width,
cosine and stored weights, not by the detector's. `judge.py` runs it: ``python -m evaluation.graph_shows.judge``.
"""
