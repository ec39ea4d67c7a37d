"""Groups of things that are connected by pairs. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Groups(Generic[T]):
    """Which things pairs connect, also over others.

    Parameters
    ----------
    pairs
        That connect from the beginning.
    """

    def __init__(self, pairs: Iterable[tuple[T, T]] = ()) -> None:
        self._above: dict[T, T] = {}
        for one, other in pairs:
            self.join(one, other)

    def join(self, one: T, other: T) -> bool:
        """Connect two things; return whether they were not connected before."""
        first, second = self._root(one), self._root(other)
        self._above[second] = first
        return first != second

    def connected(self, one: T, other: T) -> bool:
        """Return whether two things are connected."""
        return self._root(one) == self._root(other)

    def _root(self, each: T) -> T:
        above = self._above
        while (higher := above.get(each, each)) != each:
            above[each] = above.get(higher, higher)
            each = higher
        return each
