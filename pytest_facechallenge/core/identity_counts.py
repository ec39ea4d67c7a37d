"""What each identity contributed to a TAR at its FAR: the data that resampling identities needs, packed for facts."""

from __future__ import annotations

import msgspec

#: Texts that numbers are packed into (see `core.packed`, which needs numpy; facts do not).
Packed = tuple[str, ...]


class IdentityCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one operating point by identity; packed numbers (see `core.packed`), n identities in ascending order.

    Attributes
    ----------
    identities
        [n] the testset's numbers of the identities: the first, then how much each is above the one before.
    genuine, accepted
        [n] genuine pairs of each, and those above the threshold.
    impostor
        [n] impostor pairs that an image of it is in.
    false_accepts, false_accept_counts
        [m] pairs of identities, and how many of their impostor pairs are above the threshold. A pair is
        place of the one x n + place of the other, the smaller place first; the first pair, then how much each is above
        the one before.
    all_false_accepts
        Impostor pairs above the threshold, whether they were noted or not.
    share
        Of how many pairs of identities false accepts were noted, drawn by a hash of the pair, 0..1; 1 is all.
    stricter_false_accepts, stricter_accepted
        Impostor and genuine pairs above a second threshold, of half as many false accepts.
    """

    identities: Packed
    genuine: Packed
    accepted: Packed
    impostor: Packed
    false_accepts: Packed
    false_accept_counts: Packed
    all_false_accepts: int
    share: float
    stricter_false_accepts: int
    stricter_accepted: int
