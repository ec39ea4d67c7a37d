"""What is known of a value that is made of stored numbers, sizes and formulas."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Made:
    """What is known of a value that stored numbers, sizes and formulas alone make.

    Attributes
    ----------
    roots
        The stored tensors in it, by (path of the graph, name).
    level
        See the module.
    weights
        Of level 2: how many values its last curve or product made; None when that is not known.
    node
        Of level 2: the label of the node with the curve.
    coordinates
        Whether what was spread out is a pattern (a grid, a range) and no stored code.
    curves
        Names of the results of curves that are in it, moved and scaled at most; none in what sums, products and copies
        alone made. Two values of one store with other curves in them are no copies of each other.
    network
        Whether stored matrices spread it out and every curve behind is an activation, as in a hypernetwork.
    places
        Whether it is a range, scaled and shifted at most, as whole numbers: places to read a table at. The table is
        used several times then, as a kernel is at every place of a map; any curve before would choose by a code.
    interpolated
        Of level 2: whether interpolation alone made more of the stored numbers.
    statistic
        Whether it is a sum over what was spread out (a mean, a norm), or a curve of one.
    """

    roots: frozenset[tuple[str, str]] = frozenset()
    level: int = 0
    weights: int | None = 0
    node: str = ""
    coordinates: bool = False
    curves: frozenset[str] = frozenset()
    network: bool = False
    places: bool = False
    interpolated: bool = False
    statistic: bool = False
