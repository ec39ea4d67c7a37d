"""Whether the normalisation fits a first stage that is not affine: by what the running model makes of two feeds."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_facechallenge.core.facts.preprocessing import FirstStageFacts, StageView
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided

#: 1 - cos up to which two feeds give one embedding: a small constant beside a deviation, in the two scales.
ONE_EMBEDDING = 1e-3

#: Share of the distance of two images' embeddings up to which two feeds give one: more, and the images hardly count.
OF_APART = 0.1

#: A limit of scales that usual networks keep is no proof against a network that was trained beyond it; the mistakes
#: that the rule is about miss it by 30 times (normalised twice) or 16 (not at all, the mean taken away twice).
CLEARLY = 4.0

#: Share of the pixels that may be lost as served beyond those that the other feed loses.
LOST = 0.2


@dataclass(frozen=True)
class StageLimits:
    """How far apart values at the first layers lie at least and at most, and how far their middle is from zero."""

    least: float
    most: float
    offset: float

    def clear(self) -> StageLimits:
        """Return the limits beyond which scales are those of a mistake, not of an unusual network."""
        return StageLimits(self.least / CLEARLY, self.most * CLEARLY, self.offset * CLEARLY)


def judge_stage(
    obstacle: str, stage: FirstStageFacts, limits: StageLimits, feed: str, names: tuple[Evidence, ...]
) -> Outcome:
    """Judge the server's normalisation by what a first stage makes of it, and of the opposite one.

    Parameters
    ----------
    obstacle
        Why the pixels cannot be followed in the graph.
    feed
        What the server feeds, as a sentence.
    names
        Evidence on it.
    """
    other = f"(pixel - {stage.other_mean:g}) / {stage.other_std:g}" if stage.other_mean else "pixels of 0..255"
    layers = ", ".join(repr(label) for label in stage.layers[:3])
    change = f"1 - cos {stage.change:.2g} between the two feeds"
    evidence = (
        Evidence(where=f"layers {layers}", what=f"as the server feeds the model they get {_view(stage.served)}"),
        Evidence(where=f"layers {layers}", what=f"fed {other} they get {_view(stage.other)}"),
        Evidence(where="embeddings", what=f"of {stage.images} images: {change}"),
        *names,
    )
    limit = f"values {limits.least:g} to {limits.most:g} apart"
    measured = f"{stage.served.spread:.4g} apart"
    if stage.change <= min(ONE_EMBEDDING, OF_APART * stage.apart):
        return passed(
            f"The first stage scales each image by itself: fed {other}, the embeddings of {stage.images} images are "
            f"the same ({change}; {stage.apart:.2g} between two images). {feed}",
            measured=change, limit=limit, evidence=evidence,
        )  # fmt: skip
    lost = stage.served.pixels_lost - stage.other.pixels_lost > LOST
    if _fits(stage.served, limits) and not lost:
        return passed(
            f"Run as the server feeds it, the first layers with weights get {_view(stage.served)}: normalised once. "
            f"{feed}",
            measured=measured, limit=limit, evidence=evidence,
        )  # fmt: skip
    gained = stage.other.pixels_lost - stage.served.pixels_lost > LOST
    if _fits(stage.other, limits) and not gained and (lost or not _fits(stage.served, limits.clear())):
        return failed(
            f"The first stage is made for {other}: fed so, its layers get {_view(stage.other)}; as the server feeds it "
            f"they get {_view(stage.served)}. {feed}",
            measured=measured, limit=limit, evidence=evidence,
            remedy="Take the normalisation out of the graph, or name its first nodes so that the server recognises it "
            "(onnx: node.name = 'Sub_0' and 'Mul_1', among the first eight nodes).",
        )  # fmt: skip
    return undecided(
        f"The pixels cannot be followed to the first layer: {obstacle}. Run as the server feeds it, the first layers "
        f"with weights get {_view(stage.served)}, and fed {other} {_view(stage.other)}: neither tells what they were "
        f"made for. {feed}",
        remedy="Accuracy on a testset with and without normalised input would decide it.",
        evidence=evidence,
    )


def _fits(view: StageView, limits: StageLimits) -> bool:
    """Whether values are those of an image that was normalised once."""
    centred = view.middle <= limits.offset * max(view.spread, 1e-30)
    return view.finite and limits.least <= view.spread <= limits.most and centred


def _view(view: StageView) -> str:
    if not view.finite:
        return "values that are not all finite"
    lost = f", and {view.pixels_lost:.0%} of the pixels change nothing" if view.pixels_lost else ""
    return f"values {view.spread:.4g} apart{lost}"
