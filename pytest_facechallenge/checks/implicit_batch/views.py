"""What the first layers see of the image: weighed for a second view of it, and for re-alignment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_facechallenge.checks.implicit_batch import wording
from pytest_facechallenge.checks.implicit_batch.confirmation import unsettled, weighed
from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.checks.implicit_batch.signs import Sign, Weight
from pytest_facechallenge.core.facts.implicit_batch import InputView
from pytest_facechallenge.core.facts.implicit_batch_kinds import TURNED, Relation, ViewKind

#: Views that hold the image moved about.
MOVED = frozenset({ViewKind.RESAMPLED, ViewKind.PREDICTED, ViewKind.CHOSEN})

#: Relations in which the image lies as it was given.
STRAIGHT = frozenset({Relation.NOT_COMPARABLE, Relation.IDENTICAL, Relation.RESCALED})

#: Relations that make a view another one.
OTHER = TURNED | {Relation.SHIFTED}


def sees_all(view: InputView) -> bool:
    """Whether the layer gets every pixel in its place (or all of them moved as one)."""
    if view.kind is ViewKind.EXACT:
        return view.coverage >= LIMITS.whole
    return view.kind in (ViewKind.IN_PLACE, ViewKind.SMOOTHED)


def on_pooled_grid(view: InputView) -> bool:
    """Whether a pooling operator shrank the image by a whole number: a layer like others, not a new alignment."""
    if view.plain:
        return True
    return view.pooled and all(
        scale >= LIMITS.pool_scale
        and abs(scale - round(scale)) < LIMITS.pool_whole
        and abs(offset) <= LIMITS.pool_offset * scale
        for scale, offset in zip(view.scale, view.offset, strict=True)
    )


def weigh_views(views: Sequence[InputView]) -> Iterator[Sign]:
    """Weigh what the layers see of the image: in different versions, they see it twice."""
    for branch in dict.fromkeys(view.branch for view in views):
        yield from _on_one_branch([view for view in views if view.branch == branch])


def _on_one_branch(views: list[InputView]) -> Iterator[Sign]:
    straight = [view for view in views if sees_all(view) and view.relation in STRAIGHT]
    turned = [view for view in views if view.relation in OTHER and view.coverage >= LIMITS.turned]
    for view in turned:
        via = f" by {', '.join(view.via)}" if view.via else ""
        other = next((other for other in [*straight, *turned] if other.relation != view.relation), None)
        if other is None:
            text = f"works on the image {view.relation}{via}, and on nothing else"
            yield Sign(Weight.REMARK, f"layer '{view.layer}'", text)
            continue
        lies = other.relation if other.relation in OTHER else "as it is"
        sign = Sign(
            Weight.PROOF, f"layers '{other.layer}' and '{view.layer}'",
            f"the first sees the image {lies}, the second sees it {view.relation}{via}",
        )  # fmt: skip
        yield unsettled(weighed(sign, view.intervention), view.intervention)
    for view in views:
        # A soft image that lies turned has no grid of its own; dots tell that it is elsewhere.
        elsewhere = view.kind is ViewKind.SMOOTHED and view.elsewhere >= LIMITS.elsewhere
        moved = (view.kind in MOVED and not on_pooled_grid(view)) or elsewhere
        cropped = view.kind is ViewKind.EXACT and view.common >= LIMITS.common and view.coverage < LIMITS.whole
        if straight and (moved or cropped):
            sign = Sign(
                Weight.PROOF, f"layers '{straight[0].layer}' and '{view.layer}'",
                f"the first sees the whole image, the second {wording.view(view)}"
                + (f"; of dots put on an image it shows {view.elsewhere:.0%} elsewhere" if elsewhere else ""),
            )  # fmt: skip
            counted = weighed(sign, view.intervention)
            yield unsettled(counted, view.intervention) if elsewhere else counted
        elif cropped:
            via = f" (data moved by {', '.join(view.via)})" if view.via else ""
            sign = Sign(
                Weight.PROOF, f"layer '{view.layer}'",
                f"sees {wording.view(view)}; {view.common:.0%} of the image is in another part too{via}",
            )  # fmt: skip
            yield weighed(sign, view.intervention)


def weigh_realignment(views: Sequence[InputView]) -> Iterator[Sign]:
    """Weigh what the layers get: an image warped, cropped or re-sampled is a re-aligned one."""
    whole = {view.branch for view in views if sees_all(view)}
    for view in views:
        found = _realigned(view, view.branch in whole)
        if found is not None:
            through = f" (through {', '.join(view.via)})" if view.via else ""
            branch = f" when {view.branch}" if view.branch else ""
            text = f"gets {wording.view(view)}{found}{through}{branch}"
            told, moved = _places_told(view), view.elsewhere >= LIMITS.elsewhere
            if moved:
                text += f"; of dots put on an image it shows {view.elsewhere:.0%} elsewhere"
            elif not told:
                text += "; that it shows anything elsewhere than it was, dots put on images do not show"
            sure = (told or moved) and not _may_be_a_layer(view)
            yield Sign(Weight.PROOF if sure else Weight.UNSURE, f"layer '{view.layer}'", text)


def _places_told(view: InputView) -> bool:
    """Whether what was fed told by itself which places of the image a layer gets, and the graph that it samples them.

    Exact pixels tell it, a grid of each image's own, and a straight one; so does an image in its place that was
    interpolated on the way.
    """
    straight = view.kind is ViewKind.RESAMPLED and any(view.scale)
    sampled = view.kind is ViewKind.SMOOTHED and view.interpolated and not view.own_brightness
    return view.kind in (ViewKind.EXACT, ViewKind.PREDICTED) or straight or sampled


def _may_be_a_layer(view: InputView) -> bool:
    """Whether a layer like others may give such a view: features were added, or pixels are left out all over.

    A residual of the image and of features of it lies on no grid of pixels, a kernel smaller than its stride leaves
    pixels out, and so does every second row (a lifting scheme). None is a proof of a re-alignment.
    """
    residual = view.kind is ViewKind.RESAMPLED and (view.residual or not view.via)
    scattered = view.kind is ViewKind.EXACT and min(view.box) < 0 and view.coverage >= LIMITS.scattered
    return residual or scattered


def _realigned(view: InputView, whole: bool) -> str | None:
    """Return what makes a view a re-alignment ("" when its own words say it), None when it is none.

    Parameters
    ----------
    whole
        Whether some layer gets every pixel on the same way: then one that gets a part is no crop.
    """
    match view.kind:
        case ViewKind.EXACT:
            cropped = 0 < view.coverage < LIMITS.whole and not whole and view.together < LIMITS.whole
            return "" if cropped and not view.masked else None
        case ViewKind.CHOSEN:
            return ": a condition on the image decides"
        case ViewKind.SMOOTHED:
            return None if view.pooled else " (each value is a sum over neighbours)"
        case ViewKind.PREDICTED:
            return ", and each image is warped its own way"
        case ViewKind.RESAMPLED:
            return None if on_pooled_grid(view) else ""
        case _:
            return None
