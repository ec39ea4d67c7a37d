"""How much processor time a verification takes at most, for whoever limits it."""

from __future__ import annotations

#: Seconds a value of a pair: 2.5 thousand million products a second and core, a fifth of what float32 reaches on a
#: processor with AVX2 and a fiftieth of the 8-bit filter with VNNI.
_SECONDS_A_VALUE = 4e-10


def most_processor_seconds(rows: int, width: int) -> float:
    """Bound the processor time, on all cores together, of a verification of all pairs of some rows.

    Parameters
    ----------
    rows : int
        All rows that take part; a cross protocol of as many compares fewer pairs.
    width : int
        Values a row.

    Returns
    -------
    float
        Seconds, for every filter but "float64". For MR-All (1,624,305 rows of 512 values): 75 hours, where 3.8 of
        a 2021 server's are measured with the slower float32 filter.
    """
    return rows * (rows - 1) / 2 * width * _SECONDS_A_VALUE
