"""The two rules, with their texts."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pytest_facechallenge.checks.implicit_batch.alignment import weigh_alignment
from pytest_facechallenge.checks.implicit_batch.signs import Sign, Weight, decide
from pytest_facechallenge.checks.implicit_batch.views import weigh_realignment
from pytest_facechallenge.checks.implicit_batch.weighers import weigh, weigh_unseen
from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.core.facts.implicit_batch import ImplicitBatchFacts, InputView, Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Relation
from pytest_facechallenge.core.facts.interventions import INTERVENTIONS
from pytest_facechallenge.core.facts.preprocessing import PreprocessingFacts
from pytest_facechallenge.core.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.core.rulebook import Rule

REMEDY = (
    "Run the backbone once on each image as it comes, and export that: leave the flip test (or any other copy of "
    "the image) out of the graph. If this is a false suspicion, show the organisers the nodes named here and the "
    "training code of that part; removing those nodes (or exporting one of the two paths) and embedding the same "
    "images again shows whether they were needed."
)


def _with_interventions(function: Callable[[Facts, Rule], Outcome]) -> Callable[[Facts, Rule], Outcome]:
    """Put the table of interventions into a check's explanation, in the place of ``{interventions}``."""
    text = inspect.getdoc(function) or ""
    told = "\n\n    ".join(f"{kind.question} {kind.how}" for kind in INTERVENTIONS)
    function.__doc__ = text.replace("{interventions}", told)
    return function


@check(ImplicitBatchFacts, FlopsFacts, PreprocessingFacts)
@_with_interventions
def no_implicit_batch(facts: Facts, rule: Rule) -> Outcome:
    """Require that the network runs over each face once, and over each face alone.

    What:
        The body of the network runs once per image: no mirrored, shifted, cropped, zoomed, brightened or otherwise
        changed copy of the image (or of its first features) is sent through it as well, and the rows of a batch do
        not influence each other.

    Why:
        A flip test inside the graph doubles the work while it counts as one inference; the challenge measures models,
        not test-time augmentation ("Implicit batch inference is prohibited").

    How it is measured:
        Loops are unrolled and both sides of every condition followed. With 16 noise images each element of each
        tensor before a layer gets a signature (its values over the images): equal signatures at other places are
        copies, whatever operator made them. Layers that work side by side with shared, equal, mirrored, scaled or
        perturbed weights are compared with what they see; grouped or block-diagonal kernels with their own halves;
        branches of the network that meet only at the end with each other on turned images; every feature with every
        other one on turned, moved, zoomed and recoloured images, where the two never mix. Channels are clustered by
        the weights between them. Images are embedded alone and in batches of six compositions, or of one where the
        graph shows that images never meet. docs/second-looks.md has the whole of it.

        What this proposes fails the rule only when an intervention on the running network confirms it, or where a
        learned first layer gives for the image what another one gives for the changed image (both are fed both) and
        each of them moves the embedding. Else it is a note, or, where nothing could be done, the answer is close, or
        the second view was seen exactly and is told apart, undecided. The interventions:

        {interventions}

    How to fix:
        Export the backbone alone, without flip test. Where a finding is wrong, the nodes it names are the ones to
        explain; see the finding's remedy.
    """
    known = facts.need(ImplicitBatchFacts)
    signs = [_of_channels(sign, facts) for sign in weigh(known)]
    return decide(facts, signs, "a second view of the image", REMEDY, rule)


def _of_channels(sign: Sign, facts: Facts) -> Sign:
    """Return a remark on an image that is turned along one axis as what it is where that axis is the channels."""
    found = facts.get(PreprocessingFacts)
    if found is None or sign.weight is not Weight.REMARK or str(Relation.MIRRORED) not in sign.what:
        return sign
    for layer in found.layers:
        if sign.where == f"layer '{layer.node}'" and [each.source for each in layer.channels] == [2, 1, 0]:
            how = f" by {', '.join(layer.through)}" if layer.through else ""
            return replace(sign, what=f"works on the image with its channels swapped{how}, and on nothing else")
    return sign


@check(ImplicitBatchFacts, FlopsFacts, parameters={"enlarged_features": Literal["allowed", "prohibited"]})
def no_realignment(facts: Facts, rule: Rule) -> Outcome:
    """Require that the image enters the body as it was given: not warped, cropped or re-sampled.

    What:
        The layers that work on the image get all of its pixels, each in its place, and so do those that work on early
        features from which the image can still be read. Resizing, sampling or attending to deep features is fine.

    Why:
        Faces are aligned to 112x112 for everybody; a second alignment (or another resolution) inside the graph is an
        advantage that the rules exclude ("re-alignment is prohibited").

    How it is measured:
        For every layer that gets the image without another layer in between, noise images show which pixels are
        present; ramps and natural images show where in the image each value was taken, also when the image itself
        steers the warp (a spatial transformer). Where these tell no places, dots put on images have to be shown
        elsewhere, a quarter of them at least: a filter shows them where they are. Behind first layers three
        interventions on the running network decide: (1) each way from the image to a product is fed from another image;
        where one field of steps, a whole step or a turn then explains at least 90% of what changes in all channels, the
        image decides where its features stand; (2) values are followed into the inputs that say where a node samples
        (GridSample, Gather, Resize, Slice...), and the positions of two images are compared, whatever their size; (3)
        dots put on an image are found again in the features, which tells their grid. Where the graph has conditions, or
        numbers of 0 or 1 for a whole image that choose between maps, each is made both ways, and early features on two
        ways are compared. Features are the image in another form where a linear map of 3x3 of them gives back at least
        70% of the variation of independent pixels (a first layer of full resolution 79% to 100%, a stem of stride 2 37%
        to 89%, behind two strides of 2 at most 33%); below 45% they are deep, and free; between the two the rule is
        undecided, and so it is for an enlarged map that layers with weights made, or any enlarged early map where the
        rulebook allows to enlarge features.

    How to fix:
        Remove the Resize, crop, GridSample, RoiAlign (or product with an interpolation matrix) in front of the first
        layer, or behind a first layer of full resolution, and train at the given size.
    """
    known = facts.need(ImplicitBatchFacts)
    views, gaps = known.of(InputView), known.of(Unseen)
    signs = [
        *weigh_realignment(views),
        *weigh_alignment(known, enlarging=rule.parameters.get("enlarged_features") == "allowed"),
        *weigh_unseen(gaps),
    ]
    if not views and not gaps:
        text = "no layer that works on the image was found, so nothing shows what it gets"
        signs.append(Sign(Weight.UNSURE, "graph", text))
    remedy = (
        "Give the image to the first layer as it comes (112x112), and train the network at that size. If this is a "
        "false suspicion, show what the named nodes do to an image of a grid."
    )
    return decide(facts, signs, "a re-aligned or re-sampled image", remedy, rule)
