"""What an intervention on the running network says about a hypothesis: whether it stands, in words and numbers."""

from __future__ import annotations

from dataclasses import replace

from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.checks.implicit_batch.signs import Sign, Weight
from pytest_facechallenge.core.facts.interventions import Decoupled, Exchanged, Intervention


def weighed(sign: Sign, shown: Intervention | None, *, in_turn: bool = False) -> Sign:
    """Return what a sign counts after the intervention: a proof only where this confirms it.

    A hypothesis that was refuted, because the network does something else with the two parts, is a remark; one that
    nearly was confirmed, or could not be tried, keeps the rule undecided.

    Parameters
    ----------
    in_turn
        Whether one recurrence takes both parts in turn: then nothing works for one of them alone.
    """
    if sign.weight is not Weight.PROOF:
        refuted = sign.weight is Weight.UNSURE and shown is not None
        if shown is None or not refuted or _stands(shown, LIMITS.nearly, in_turn=in_turn):
            return sign
        return replace(sign, weight=Weight.REMARK, what=f"{sign.what}; not confirmed: {_words(shown)}")
    if shown is None:
        text = "; nothing could be done to the two to see whether each is a look of its own"
        return replace(sign, weight=Weight.UNSURE, what=sign.what + text)
    if _stands(shown, 1, in_turn=in_turn):
        return replace(sign, what=f"{sign.what}; confirmed: {_words(shown)}")
    weight = Weight.UNSURE if _stands(shown, LIMITS.nearly, in_turn=in_turn) else Weight.REMARK
    return replace(sign, weight=weight, what=f"{sign.what}; not confirmed: {_words(shown)}")


def unsettled(sign: Sign, shown: Intervention | None) -> Sign:
    """Return what a turned view of the image counts that was seen exactly: no remark where both views matter.

    That a layer gets the image turned, or gives what another gives for the turned image, was seen; only how far the two
    go on apart was not confirmed, as where one gives the queries and the other the keys. Where the next layer works for
    one of them alone and each of them moves the embedding, the rule is undecided; so it is where all but that was
    confirmed and one of the two moves it a little. Weights between two networks in one that do nothing are such a case,
    however few layers were seen to go on apart.
    """
    if isinstance(shown, Decoupled) and shown.kept >= LIMITS.kept:
        shown = shown.exchanged
    if sign.weight is not Weight.REMARK or not isinstance(shown, Exchanged):
        return sign
    both = min(median for _, median, _ in shown.moved) >= LIMITS.moved
    open_ = (both and shown.pure >= LIMITS.pure) or _faint(shown)
    return replace(sign, weight=Weight.UNSURE) if open_ else sign


def seen_exactly(sign: Sign, shown: Intervention | None) -> Sign:
    """Return what a second view of the image counts that was seen in pixels, features or kernels: no mere remark.

    The intervention did not confirm that the two go on apart, or that the second matters as a second look does. That it
    stands beside the first was seen all the same, and nothing that is honest needs it: where the next layer works for
    one of them alone, and each moves the embedding by more than rounding, the rule is undecided. Where it does not, the
    two are one layer, as symmetric kernels written as two are.
    """
    if sign.weight is not Weight.REMARK or not isinstance(shown, Exchanged) or shown.pure < LIMITS.pure:
        return sign
    least = min(max(abs(low), abs(high)) for low, _, high in shown.moved)
    return replace(sign, weight=Weight.UNSURE) if least >= LIMITS.influence else sign


def as_tokens(sign: Sign, shown: Intervention | None) -> Sign:
    """Return what two sets of tokens count, one of the image as it is and one of it turned, that are mixed at once.

    Attention mixes them, and so do Fourier layers and gates: that one goes on apart is not asked for, only that each
    matters.
    """
    if not isinstance(shown, Exchanged) or min(median for _, median, _ in shown.moved) < LIMITS.moved:
        return sign
    return replace(
        sign,
        weight=Weight.UNSURE,
        what=f"{sign.what}; the two stand side by side as tokens, or are multiplied with each other",
    )


def at_the_images_places(sign: Sign, channels: int, shown: Intervention | None) -> Sign:
    """Return what features of the turned image count that are turned back and put together with the image's at once.

    Kernels that are each other turned give turned maps, and one layer of them needs no more. Its maps turned back stand
    where those of the image do: as in a flip test, they are a second look at the same places.
    """
    if not isinstance(shown, Exchanged) or min(median for _, median, _ in shown.moved) < LIMITS.moved:
        return sign
    text = f"before the next layer {channels} of their channels are turned back to the places of the image's"
    return replace(sign, weight=Weight.UNSURE, what=f"{sign.what}; {text}")


def learned_twice(sign: Sign, counted: Sign, channels: int, back: int, shown: Intervention | None) -> Sign:
    """Return what two first layers count of which one gives for the image what the other gives for the changed image.

    That was seen by feeding them both images. So many channels that do so are a bank of learned kernels, stored a
    second time for the changed image: where each of the two layers moves the embedding, they are two looks, whatever
    puts them together.

    Parameters
    ----------
    sign, counted
        Before the intervention, and after it.
    channels, back
        How many do so; how many of these are turned back to the places of the image's.
    """
    if counted.weight is not Weight.UNSURE or not isinstance(shown, Exchanged):
        return counted
    if min(median for _, median, _ in shown.moved) < LIMITS.moved:
        return counted
    text = (
        f"shown by feeding both: {channels} channels of one give for the image what the other gives for the changed one"
    )
    text += f", {back} of them turned back to the image's places before the next layer" if back else ""
    return replace(sign, weight=Weight.PROOF, what=f"{sign.what}; {text}; {_words(shown)}")


def one_function(shown: Intervention | None) -> bool:
    """Whether what follows gives the same of two parts that are fed the same."""
    return isinstance(shown, Exchanged) and 0 <= shown.apart <= LIMITS.apart


def one_network_on_parts(shown: Intervention | None) -> bool:
    """Whether two parts go through all of the network apart, through the same layers, and both matter."""
    return (
        isinstance(shown, Exchanged)
        and _stands(shown, 1, in_turn=False)
        and 0 <= shown.apart <= LIMITS.apart
        and sum(shown.alone) >= LIMITS.all_alone
        and shown.pure >= LIMITS.all_alone
    )


def _faint(shown: Intervention) -> bool:
    """Whether two parts go on apart as two looks do, and one of them moves the embedding so little that chance may.

    Weights that are not trained may hardly use one of two looks (a recurrence forgets the first one).
    """
    return (
        isinstance(shown, Exchanged)
        and shown.stages >= LIMITS.stages
        and shown.pure >= LIMITS.pure
        and min(shown.alone) >= LIMITS.alone
        and min(max(abs(low), abs(high)) for low, _, high in shown.moved) >= LIMITS.influence
    )


def _stands(shown: Intervention, share: float, *, in_turn: bool) -> bool:
    """Whether an intervention confirms what was proposed; ``share`` of each limit is asked for."""
    if isinstance(shown, Decoupled):
        return shown.kept >= share * LIMITS.kept and _stands(shown.exchanged, share, in_turn=in_turn)
    both = min(median for _, median, _ in shown.moved) >= share * LIMITS.moved
    if in_turn:
        return both
    return (
        shown.stages >= LIMITS.stages
        and shown.pure >= share * LIMITS.pure
        and min(shown.alone) >= share * LIMITS.alone
        and (both or 0 <= shown.apart <= LIMITS.apart)
    )


def _words(shown: Intervention) -> str:
    if isinstance(shown, Decoupled):
        return (
            f"zeroing the weights between the groups in {shown.layers} layers leaves the embeddings as they lie to "
            f"each other: cosine {shown.kept:.3f}; without these weights, {_words(shown.exchanged)}"
        )
    same = f"; fed the same, the two give the same at their ends: 1 - cos {shown.apart:.0e}" if shown.apart >= 0 else ""
    (low, first, high), (least, second, most) = shown.moved
    return (
        f"with the second part fed another image the embedding moves {second:.2f} of the way to that image's "
        f"({least:.2f} to {most:.2f} over {shown.pairs} pairs), with the first part fed another image {first:.2f} "
        f"({low:.2f} to {high:.2f}); {shown.alone[0]:.0%} and {shown.alone[1]:.0%} of the multiply-adds behind them "
        f"follow the one part alone and the other alone, {shown.stages} layers with an activation between each two "
        f"among them{same}"
    )
