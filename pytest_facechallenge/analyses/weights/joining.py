"""Say what was found of one store, once."""

from __future__ import annotations

from msgspec import structs

from pytest_facechallenge.core import dtypes
from pytest_facechallenge.core.facts.weights import SharedStorage, StoredTensor
from pytest_facechallenge.onnx_graph.ir import Tensor


def joined(entries: list[SharedStorage]) -> list[SharedStorage]:
    """Return entries made from the same stored tensors as one: storage that serves many layers counts once."""
    pools: dict[tuple[str, tuple[str, ...]], SharedStorage] = {}
    for entry in entries:
        key = (entry.kind + bool(entry.caveat) * "?", tuple(source.where for source in entry.sources))
        known = pools.get(key)
        if known is None:
            pools[key] = entry
        elif known.made_by != entry.made_by and None not in (known.weights, entry.weights):
            pools[key] = _both(known, entry)
    return list(pools.values())


def _both(one: SharedStorage, other: SharedStorage) -> SharedStorage:
    """Return two uses of one store as one entry."""
    weights = None if one.weights is None or other.weights is None else one.weights + other.weights
    return structs.replace(one, weights=weights, made_by=(*one.made_by, *other.made_by)[:5],
                           used_by=(*one.used_by, *other.used_by)[:5])  # fmt: skip


def described(tensor: Tensor) -> StoredTensor:
    """Return a tensor as a fact."""
    bits = dtypes.bits(tensor.dtype)
    return StoredTensor(where=tensor.where, dtype=tensor.dtype, bits=bits, elements=tensor.size,
                        bytes=(tensor.size * bits + 7) // 8)  # fmt: skip
