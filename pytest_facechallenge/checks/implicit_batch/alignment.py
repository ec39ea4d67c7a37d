"""Early features that are placed anew: weighed for re-alignment by how much of the image they still hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.checks.implicit_batch.signs import Sign, Weight
from pytest_facechallenge.core.facts.alignment import EarlyGrid, Steered, SteeredPlaces
from pytest_facechallenge.core.facts.implicit_batch import ImplicitBatchFacts


def weigh_steered(places: Sequence[SteeredPlaces]) -> Iterator[Sign]:
    """Weigh features that stand where the image decides."""
    for found in places:
        weight = Weight.PROOF if found.filtered else _weight(found.recovered)
        if found.how is Steered.POSITIONS and not found.agree and weight is Weight.PROOF:
            weight = Weight.UNSURE
        yield Sign(weight, f"node '{found.node}'", f"{_steered(found)}; {_held(found)}{_branch(found)}")


def weigh_grids(grids: Sequence[EarlyGrid], *, enlarging: bool = False) -> Iterator[Sign]:
    """Weigh grids of early features that no layer gives.

    Parameters
    ----------
    enlarging
        Whether features may be enlarged: then it is not clear whether these are features yet.
    """
    for found in grids:
        weight = _weight(found.recovered)
        if weight is Weight.REMARK:
            continue  # pyramids of features stand on many grids
        if weight is Weight.PROOF and (found.learned or (enlarging and max(found.scale) < 1)):
            weight = Weight.UNSURE
        via = f" (through {', '.join(found.via)})" if found.via else ""
        yield Sign(
            weight, f"layer '{found.layer}'",
            f"works on features that show the image {_grid(found)}{via}; {_content(found.recovered)}{_branch(found)}",
        )  # fmt: skip


def _weight(recovered: float) -> Weight:
    """Return how much it counts that features are placed anew which hold so much of the image."""
    if recovered >= LIMITS.nearly_image:
        return Weight.PROOF
    return Weight.UNSURE if recovered >= LIMITS.early else Weight.REMARK


def _held(found: SteeredPlaces) -> str:
    """Say what the features are that are placed."""
    if found.filtered:
        return "these are the image behind filters alone, in this form or another"
    return _content(found.recovered)


def _content(recovered: float) -> str:
    """Say what the features are."""
    share = f"a linear map of these features gives back {recovered:.0%} of the variation of independent pixels"
    if recovered >= LIMITS.nearly_image:
        return f"{share}: they are the image in another form"
    if recovered >= LIMITS.early:
        return f"{share}: between the image in another form ({LIMITS.nearly_image:.0%}) and deep features"
    return f"{share}: deep features, which may be placed"


def _branch(found: SteeredPlaces | EarlyGrid) -> str:
    decided = isinstance(found, SteeredPlaces) and found.how is Steered.DECIDED
    return f" (when {found.branch})" if found.branch and not decided else ""


def _steered(found: SteeredPlaces) -> str:
    """Say by which intervention it was seen."""
    if found.how is Steered.POSITIONS:
        if not found.agree:
            return (
                f"samples features where the image decides (the positions are computed from it at '{found.steering}'), "
                "though at the same places for every image shown; another image that moves them would decide it"
            )
        return (
            f"samples features where the image decides: the positions, computed from it at '{found.steering}', differ "
            f"by up to {found.pixels[0]:.3g} between two images"
        )
    if found.how is Steered.DECIDED:
        turned = f"{found.turn}" if found.turn else f"moved by ({found.pixels[0]:+.3g}, {found.pixels[1]:+.3g}) pixels"
        return (
            f"works on features that a condition on the image places: with {found.steering} they are those with "
            f"{found.branch}, {turned}, which explains {found.explained:.1%} of the difference in all channels, for "
            f"{found.agree} of {found.images} images"
        )
    fed = f"with '{found.steering}' fed from another image and all else from the image, the features behind this node"
    sure = f"explains {found.explained:.1%} of the change in all channels, for {found.agree} of {found.images} images"
    if found.how is Steered.TURNED:
        return f"{fed} are {found.turn}, which {sure}"
    down, right = found.pixels
    if found.how is Steered.STEPPED:
        return f"{fed} move by ({down:+g}, {right:+g}) pixels, which {sure}"
    return f"{fed} are displaced by about ({down:.2g}, {right:.2g}) pixels, which {sure}"


def _grid(found: EarlyGrid) -> str:
    """Say on which grid dots were found again."""
    if not found.straight:
        return f"warped: {found.dots} dots put on an image do not lie on a grid of rows and columns"
    (down, right), (first, second) = found.scale, found.offset
    return (
        f"re-sampled: {found.dots} dots put on an image are found at row = {down:.3g} * i {first:+.2f}, "
        f"column = {right:.3g} * j {second:+.2f} from the middle"
    )


#: The kinds of observations that are weighed here, for the rule on re-alignment alone.
ALIGNMENT_KINDS = (SteeredPlaces, EarlyGrid)


def weigh_alignment(known: ImplicitBatchFacts, *, enlarging: bool = False) -> Iterator[Sign]:
    """Yield what these observations mean for the rule on re-alignment; see `weigh_grids`."""
    yield from weigh_steered(known.of(SteeredPlaces))
    yield from weigh_grids(known.of(EarlyGrid), enlarging=enlarging)
