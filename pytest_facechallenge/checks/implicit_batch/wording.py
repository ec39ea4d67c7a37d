"""Sentences about what was observed: facts hold data, and these are the words for a reader."""

from __future__ import annotations

from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.core.facts.implicit_batch import (
    BatchComposition,
    CoupledGroups,
    EquivariantFeatures,
    InputView,
    SharedWeights,
    Unseen,
)
from pytest_facechallenge.core.facts.implicit_batch_kinds import (
    Companions,
    Difference,
    FeatureHome,
    Gap,
    Relation,
    SharedInput,
    Transform,
    ViewKind,
)

#: What differs between versions for which no number was measured.
RELATIONS = {
    Relation.IDENTICAL: "unchanged",
    Relation.RESCALED: "changed in brightness or contrast",
    Relation.ROTATED: "rotated or transposed",
    Relation.REARRANGED: "rearranged",
}

#: What layers with related weights work on; see `shared_input` for versions.
SHARED_INPUTS = {
    SharedInput.ONE: "the same input",
    SharedInput.RESAMPLED: "two versions re-sampled or changed from one input",
    SharedInput.POOLED: "one input, pooled differently",
    SharedInput.PARTS: "disjoint parts of one input",
    SharedInput.DIFFERENT: "inputs that nothing explains",
}

#: The batch that an image was in; its size is put in.
COMPANIONS = {
    Companions.NONE: "one image alone",
    Companions.BLACK: "a batch of {size} with a black image",
    Companions.BLACK_AND_WHITE: "a batch of {size} with black and white images",
    Companions.REORDERED: "a batch of {size} in another order",
    Companions.COPIES: "a batch of {size} copies of itself",
    Companions.OTHERS: "a batch of {size}",
}


def axis(number: int, rank: int) -> str:
    """Return what an axis of a tensor is called: of maps, the last two are its height and width."""
    if rank >= 4 and number >= rank - 2:
        return "height" if number == rank - 2 else "width"
    return f"axis {number}"


def through(via: tuple[str, ...]) -> str:
    """Return which nodes moved data, in brackets; "" when none did."""
    return f" (data moved by {', '.join(via)})" if via else ""


def place(number: int) -> str:
    """Return what an axis along which things stand side by side is called."""
    return "the batch axis" if number == 0 else f"axis {number}"


def difference(found: Difference) -> str:
    """Return how one version follows from the other, with numbers."""
    if found.mirrored:
        return "mirrored along the " + " and the ".join(axis(number, found.rank) for number in found.mirrored)
    if found.zoom:
        return "zoomed by " + ", ".join(f"{factor:.2f}" for factor in found.zoom if factor != 1)
    if found.shift:
        moves = [f"{by:+d} along the {axis(number, found.rank)}" for number, by in enumerate(found.shift) if by]
        return "shifted by " + " and ".join(moves)
    return RELATIONS.get(found.relation, str(found.relation))


def view(seen: InputView) -> str:
    """Return what a layer sees of the image."""
    if seen.kind is ViewKind.EXACT:
        return _pixels(seen)
    if seen.kind is ViewKind.CHOSEN:
        if seen.unchanged < 0:
            return "other pixels for some images than for others"
        return f"the image as it is for {seen.unchanged:.0%} of the probe images and a changed one for the others"
    if seen.kind is ViewKind.IN_PLACE:
        return "every pixel in its place"
    if seen.kind is ViewKind.SMOOTHED:
        if seen.own_brightness:
            return "the image at its own brightness, moved or re-sampled"
        return "the image smoothed, " + (
            "and not in its place" if seen.elsewhere >= LIMITS.elsewhere else "or re-sampled"
        )
    if seen.kind is ViewKind.FEATURES:
        return "features, not the image"
    if not any(seen.scale):
        return "the image warped: the places sampled do not lie on its grid of rows and columns"
    (rows, columns), (first_row, first_column) = seen.scale, seen.offset
    return (
        f"the image {'at its own brightness, ' if seen.own_brightness else ''}re-sampled: "
        f"row = {rows:.3g} * i {first_row:+.2f}, column = {columns:.3g} * j {first_column:+.2f}"
    )


def _pixels(seen: InputView) -> str:
    if seen.coverage >= LIMITS.whole:
        return "every pixel"
    if seen.coverage == 0:
        return "nothing of the image"
    if min(seen.box) < 0:
        return f"{seen.coverage:.0%} of the pixels, picked out of the whole image"
    top, bottom, left, right = seen.box
    return f"a crop: rows {top}..{bottom} and columns {left}..{right} of {seen.size[0]}x{seen.size[1]}"


def shared_input(found: SharedWeights) -> str:
    """Return what layers with related weights work on."""
    if found.inputs is SharedInput.VERSIONS:
        return f"one input and the same {difference(found.difference) if found.difference else 'changed'}"
    return SHARED_INPUTS[found.inputs]


def change(found: EquivariantFeatures | CoupledGroups) -> str:
    """Return what the image was changed by."""
    if found.transform is Transform.COLOURS_MIXED:
        return f"with its colours mixed as {[list(row) for row in found.colours]}"
    if found.transform is Transform.FILTERED:
        return ", ".join(filter(None, [str(found.turn), _filtered(found)]))
    if found.transform is Transform.COARSE:
        return ", ".join(filter(None, [str(found.turn), str(found.transform)]))
    return str(found.transform)


def _filtered(found: EquivariantFeatures | CoupledGroups) -> str:
    """Return what a filter does to an image: it moves it, or sums up neighbours."""
    if found.colours:
        return f"with its colours mixed as {[list(row) for row in found.colours]}"
    used = [
        (row, column, tap) for row, taps in enumerate(found.taps) for column, tap in enumerate(taps) if abs(tap) > 0
    ]
    centre = len(found.taps) // 2
    if len(used) == 1:
        ((row, column, _),) = used
        return f"moved by {centre - row} rows and {centre - column} columns"
    rows, columns = ({place[axis] for place in used} for axis in (0, 1))
    kind = "blurred" if all(tap > 0 for _, _, tap in used) else "filtered"
    return f"{kind} over {max(rows) - min(rows) + 1}x{max(columns) - min(columns) + 1} pixels"


def home(found: EquivariantFeatures) -> str:
    """Return where the features of the image and those of the changed one lie."""
    if found.home is FeatureHome.PARTS:
        in_turn = " (in turn)" if found.interleaved else ""
        return f"parts {found.parts[0]} and {found.parts[1]} of {place(found.axis)}{in_turn}"
    if found.home is FeatureHome.LAYERS:
        return f"{found.pairs} pairs of layers"
    if found.home is FeatureHome.IN_TURN:
        names = " and ".join(f"'{name}'" for name in found.fed_by)
        return f"{names} feed the same weights"
    if found.home is FeatureHome.DIRECTIONS:
        return "both directions of a recurrence have the same weights"
    return "channels that no kernel connects"


def batch(found: BatchComposition) -> str:
    """Return in which batch an image was embedded."""
    if found.companions is Companions.BLACK_AND_WHITE and found.size == 3:
        words = "a batch of 3 with a black and a white image"
    else:
        words = COMPANIONS[found.companions].format(size=found.size)
    return f"{words}, with {found.branch}" if found.branch else words


def unseen(found: Unseen) -> str:
    """Return what could not be looked into, and why."""
    names = ", ".join(repr(name) for name in found.names)
    match found.gap:
        case Gap.BRANCH_NOT_RUN:
            return f"with {found.branch} {found.error}"
        case Gap.BATCH_NOT_RUN:
            return f"with {found.branch} no batch could be run: {found.error}"
        case Gap.SELECTION_NOT_RUN:
            return (
                "what the image selects was seen as the probe images have it only: "
                f"with everything selected {found.error}"
            )
        case Gap.CONTROL_FLOW:
            return f"with {found.branch}: {found.error}" if found.branch else found.error
        case Gap.MORE_WAYS:
            return f"{found.count} ways through its conditions exist; {found.followed} were followed"
        case Gap.SIZE_DEPENDS:
            return f"the size of {names} depends on the image; it was not looked into"
        case Gap.IDLE:
            return (
                f"layer {names} (with what follows it {found.share:.0%} of the multiply-adds) depends on the image, "
                "but got the same from every probe image: what makes it work was not found"
            )
        case Gap.BRANCHES_NOT_COMPARED:
            return f"branches of the network could not be run alone and compared: {found.error}"
        case Gap.WAY_NOT_FED:
            return f"what {names} decides could not be fed from another image: {found.error}"
        case Gap.OVERFLOW:
            return (
                f"{found.count} values are not finite or beyond {found.limit:.0e} for probe images ({names}): "
                "what they hold was not seen"
            )
