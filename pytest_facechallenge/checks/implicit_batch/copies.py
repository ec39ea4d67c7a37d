"""Copies in one tensor: when they are a second view, and when windows, shifted tokens, or the halves of a spectrum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_facechallenge.checks.implicit_batch import wording
from pytest_facechallenge.checks.implicit_batch.confirmation import seen_exactly, weighed
from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.checks.implicit_batch.signs import Sign, Weight
from pytest_facechallenge.core.facts.implicit_batch import StackedCopies
from pytest_facechallenge.core.facts.implicit_batch_kinds import TURNED, Relation

#: Relations of a map to itself that windows and shifted tokens bring about.
MOVED = frozenset({Relation.SHIFTED, Relation.REARRANGED})
#: Axes of a batch of maps; a tensor of more has an axis of another kind behind the first.
MAPS = 4


def weigh_copies(stacks: Sequence[StackedCopies]) -> Iterator[Sign]:
    """Weigh copies in one tensor: a second view when the body works on them and the layer does not mix them."""
    for stack in stacks:
        relation = stack.difference.relation
        axis = "the channels" if stack.on_channels else wording.place(stack.axis)
        via = wording.through(stack.via)
        text = (
            f"{stack.blocks} versions of one {'image' if stack.from_image else 'feature map'} stand side by side "
            f"on {axis} ({stack.coverage:.0%} of the data occurs in both; one is the other "
            f"{wording.difference(stack.difference)}), put together at '{stack.join}'{via}; this layer "
            f"and what follows it do {stack.macs_after:.0%} of the multiply-adds"
        )
        where = f"layer '{stack.layer}'"
        apart = not stack.on_channels or stack.overlap < LIMITS.mixed
        if stack.macs_after < LIMITS.body:
            yield Sign(Weight.REMARK, where, text)
        elif relation is Relation.IDENTICAL:
            if stack.macs_after >= LIMITS.most:
                text += ": the same twice, so something behind it must tell the two apart"
                yield weighed(Sign(Weight.UNSURE, where, text), stack.intervention)
        elif _are_windows(stack):
            continue  # neighbours that overlap
        elif apart or (stack.from_image and relation in TURNED):
            # The spectrum of a real map is its own image about frequency 0, which itself has no other half.
            spectrum = relation in TURNED and not stack.from_image and stack.coverage < LIMITS.spectrum
            # Windows and tokens take a map from a place further on, for each of their channels.
            windows = relation in MOVED and not stack.from_image and stack.axis != 0
            if spectrum:
                text += "; so do the halves of a map's spectrum"
            if windows:
                text += "; so do windows, and tokens that are shifted by a place"
            weight = Weight.UNSURE if spectrum or windows else Weight.PROOF
            counted = weighed(Sign(weight, where, text), stack.intervention)
            known = stack.from_image and relation not in MOVED
            yield seen_exactly(counted, stack.intervention) if known else counted


def _are_windows(stack: StackedCopies) -> bool:
    """Whether copies are windows of one thing that overlap, put together in any order.

    Halves of maps that are moved both ways and laid over each other, on an axis of their own, share what lies between
    them, in the other order on that axis. A map and its mirror image lie turned on an axis of places.
    """
    found = stack.difference
    order = not stack.from_image and found.mirrored == (1,) and found.rank > MAPS and stack.axis > 1
    return (found.relation is Relation.REARRANGED or order) and stack.coverage < LIMITS.windows
