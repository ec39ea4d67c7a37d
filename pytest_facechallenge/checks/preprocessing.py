"""Checks of what happens to the pixels before the first layer."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_facechallenge.checks.accuracy import rgb_accuracy
from pytest_facechallenge.checks.first_stage import StageLimits, judge_stage
from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.unusual_scales import unusual, widened
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.preprocessing import (
    LEAST_SPREAD,
    MOST_OFFSET,
    MOST_SPREAD,
    SELF_SCALING,
    WHITE,
    FirstLayer,
    FirstStageFacts,
    PreprocessingFacts,
)
from pytest_facechallenge.core.outcome import Evidence, Outcome, Status, failed, passed, undecided
from pytest_facechallenge.core.rulebook import Rule

#: From here on black and white lie apart as pixels do: a graph that leaves them so does not scale them.
PIXELS = 64.0


@check(
    PreprocessingFacts,
    FirstStageFacts,
    parameters={"feed": Literal["helper", "raw"], "least_spread": float, "most_spread": float, "most_offset": float},
)
def preprocessing(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the server's normalisation and the graph's own fit together.

    What:
        The pixels reach the first layer normalised once: by the server or by the graph, not by both and not by
        neither.
    Why:
        The organisers' server decides by the names of the first eight nodes whether a model normalises by itself. It
        feeds pixels of 0..255 when one name starts with Sub or _minus and another with Mul, _mul or Div; otherwise it
        feeds (pixel - 127.5) / 127.5. Names that newer exporters write (such as "/Sub") are not recognised, and a Mul
        of another purpose can be. The scores of a model that is fed wrongly are near zero.
    How it is measured:
        The data is followed from the input: everything that maps each channel by itself before the first layer (Sub,
        Mul, Div, Add, BatchNormalization, Cast, Transpose, 1x1 convolutions of single channels) is multiplied out,
        together with what the server feeds. At the first layer black and white must lie at least 0.5 and at most 16
        apart ([-1, 1] is 2, ImageNet's normalisation 4.4, normalising twice 0.016, not at all 255), and their middle at
        most 4 times as far from zero as they lie apart (taking 127.5 away twice gives 64 times). A network whose graph
        does nothing to the pixels is taken to expect what the server feeds. Where the server feeds 0..255 and the graph
        changes the pixels and leaves them wide (a mean taken away, luma and chroma), it may have been trained so: that
        is undecided. So is what misses a limit by less than four times: a network may have been trained so, and the
        mistakes miss them by more. Where the graph undoes the server's normalisation (255 apart again), it was made for
        what the server feeds, and passes; it fails where it multiplies by 255 as for pixels of 0 to 1 (510 apart), and
        is undecided where it makes them wide otherwise. Where a first stage is not affine (an image standardised by
        itself, HSV, logarithms, gates, pyramids), and where the pixels seem wrong at a node that has no weights, the
        model is run as the server feeds it, and as it would feed it with the opposite normalisation. It passes where
        both give one embedding (1 - cos at most 0.001: the first stage scales each image by itself), or where, as
        served, the first layers with weights get finite values that lie as far apart as said above and lose no more
        pixels than with the other feed. It fails where only the other feed gives such values, and those as served miss
        a limit by four times or lose pixels.
    How to fix:
        Either take the normalisation out of the exported graph (do it in the data loader) so that the server's
        applies, or keep it as the first nodes and name them so that the server sees it:
        model.graph.node[0].name = "Sub_0" and model.graph.node[1].name = "Mul_1" with onnx, then onnx.save.
    """
    found = facts.need(PreprocessingFacts)
    raw = rule.parameters.get("feed", "helper") == "raw"
    mean, std = (0.0, 1.0) if raw else (found.server_mean, found.server_std)
    feed, limits = _feed_text(found, raw, mean, std), _limits(rule)
    stage = _stage(facts, found, (mean, std))
    if stage is not None and found.not_affine:
        return judge_stage(found.obstacle, stage, limits, feed, _names(found))
    if found.obstacle:
        return undecided(
            f"The pixels cannot be followed to the first layer: {found.obstacle}. {feed}",
            remedy="Accuracy on a testset with and without normalised input would decide it.",
            evidence=_names(found),
        )
    wrong = [(layer, *layer.spread(std)) for layer in found.layers if layer.op not in SELF_SCALING]
    wrong = [(layer, low, high) for layer, low, high in wrong if low < limits.least or high > limits.most]
    limit = f"black and white {limits.least:g} to {limits.most:g} apart"
    low, high = found.layers[0].spread(std)
    measured = f"{high:.4g} apart" if low == high else f"{low:.4g} to {high:.4g} apart"
    evidence = tuple(_layer_evidence(layer, mean, std) for layer in found.layers) + _names(found)
    far_off = [
        (layer, offset)
        for layer in found.layers
        if layer.op not in SELF_SCALING
        for offset in [layer.offset(mean, std)]
    ]
    far_off = [(layer, offset) for layer, offset in far_off if offset > limits.offset]
    if (wrong or far_off) and found.unsure:
        return _by_running(found, stage, limits, feed)
    clear = limits.clear()
    if (wrong or far_off) and not (
        any(low < clear.least or high > clear.most for _, low, high in wrong)
        or any(offset > clear.offset for _, offset in far_off)
    ):
        return unusual(wrong, far_off, limits, feed, evidence)
    if far_off and not wrong:
        layer, offset = far_off[0]
        return failed(
            f"The mean is taken away more than once, or added: at node {layer.node!r} the middle of black and white "
            f"lies {offset:.4g} times as far from zero as they lie apart. {feed}",
            measured=f"{measured}, middle {offset:.4g} times that from 0",
            limit=f"{limit}, middle at most {limits.offset:g} times",
            evidence=evidence,
            remedy="Take the subtraction out of the graph before the export (the server does it already), or put the "
            "whole normalisation in, (x - 127.5) * 0.0078125, with names that the server recognises.",
        )
    served = not raw and (mean, std) != (0.0, 1.0)
    if served and not far_off and wrong and all(low > limits.most for _, low, _ in wrong):
        return widened([layer for layer, _, _ in wrong], (mean, std), limits, feed, evidence)
    if not wrong:
        own = "The graph normalises by itself."
        if not found.normalises:
            own = "The graph leaves the pixels as they are, so the network has to expect them as they are fed."
        return passed(f"{own} {feed}", measured=measured, limit=limit, evidence=evidence)
    layer, low, _ = wrong[0]
    if low < limits.least:
        message = (
            f"The pixels are normalised more than once: black and white lie {low:.4g} apart at node {layer.node!r}."
        )
        remedy = (
            "Name the normalising nodes so that the server recognises them (onnx: node.name = 'Sub_0' and "
            "'Mul_1', among the first eight nodes), or take them out of the graph before the export."
        )
    else:
        message = (
            f"Nothing normalises the pixels: node {layer.node!r} gets values that lie {wrong[0][2]:.4g} apart for "
            "black and white."
        )
        remedy = (
            "Put the normalisation into the graph as its first nodes, (x - 127.5) * 0.0078125, or rename the nodes "
            f"{', '.join(found.server_because) or 'in question'} so that the server normalises."
        )
    kept = all(each.spread(std)[0] >= PIXELS for each in found.layers)
    if kept and found.normalises and not raw and (mean, std) == (0.0, 1.0):
        return undecided(
            f"The graph changes the pixels itself, and leaves black and white {wrong[0][2]:.4g} apart at node "
            f"{layer.node!r}. A network that was trained on such pixels may be handed in. {feed}",
            measured=measured,
            limit=limit,
            evidence=evidence,
            remedy="The accuracy on a testset shows which it is. If the network was trained on these pixels, multiply "
            "them by 0.0078125 in the graph and the weights of the first layer by 128: no embedding changes, and the "
            f"rule passes. If it was trained on normalised pixels: {remedy}",
        )
    if raw:
        remedy = "Put exactly one normalisation of 0..255 pixels into the graph, such as (x - 127.5) * 0.0078125."
    return failed(f"{message} {feed}", measured=measured, limit=limit, evidence=evidence, remedy=remedy)


@check(PreprocessingFacts, FirstStageFacts, AccuracyFacts)
def rgb_order(facts: Facts, rule: Rule) -> Outcome:
    """Judge the order of the channels: by accuracy where a testset is supplied, else by structure.

    What:
        The model takes images in RGB order.
    Why:
        The server feeds RGB. A network trained on BGR images works much worse on it, without any error.
    How it is measured:
        The channels are followed from the input to the first layer (Gather, Slice, Split and Concat, 1x1
        convolutions). A graph that keeps their order, or reverses it itself, is legal; reversing is noted, because it
        shows that the network was trained on BGR. Which order the weights were trained on cannot be seen in the graph:
        a network trained on BGR whose graph does not reverse it passes on structure, and a note says so. With a testset
        the accuracy on RGB is compared with that on BGR, and decides where the difference is significant; where it is
        not (grey, easy or few images), the structure decides as without a testset. Where a first stage mixes colours
        in a way that is not affine, no order can be read; any order is legal, so it passes, with how far the embedding
        moves when red and blue are exchanged.
    How to fix:
        Train on RGB images (cv2.imread gives BGR), or reverse the channels in the network's first line:
        x = x[:, [2, 1, 0]].
    """
    measured = facts.get(AccuracyFacts)
    notes: list[str] = []
    if measured is not None and measured.colour_order is not None:
        by_accuracy = rgb_accuracy(facts, rule)
        if by_accuracy.status is not Status.UNDECIDED:
            return by_accuracy
        notes.append(f"Judged by the structure of the graph. {by_accuracy.message}")
    found = facts.need(PreprocessingFacts)
    stage = facts.get(FirstStageFacts)
    if found.not_affine and stage is not None and stage.layers:
        return _any_order(found, stage, notes)
    if found.obstacle:
        return undecided(
            f"The channels cannot be followed to the first layer: {found.obstacle}.",
            remedy="Supply a larger testset in colour: its accuracy on RGB and on BGR images would decide it."
            if notes
            else "Accuracy on a testset with RGB and with BGR images would decide it.",
            notes=(*notes,),
        )
    orders = {tuple(channel.source for channel in layer.channels): layer for layer in found.layers}
    text = " and ".join("".join("RGB"[source] for source in order) for order in orders)
    evidence = tuple(
        Evidence(where=f"node {layer.node!r}", what=f"sees the channels {_letters(layer)}") for layer in orders.values()
    )
    if any(order == (2, 1, 0) for order in orders):
        through = next(layer.through for order, layer in orders.items() if order == (2, 1, 0))
        notes.append(
            f"The graph turns RGB into BGR itself ({', '.join(through)}). That is legal; make sure that the images "
            "it was trained on were really read as BGR.",
        )
    elif any(set(order) != {0, 1, 2} for order in orders):
        notes.append(f"The first layers do not see all three channels at once: {text}.")
    if not notes or not notes[0].startswith("Judged by"):
        notes.append(
            "Whether the network was trained on RGB images cannot be seen in the graph: give a testset in colour "
            "(--facechallenge-testset), and its accuracy on RGB is compared with that on BGR."
        )
    return passed(
        f"Fed RGB, the first layer sees {text}.", measured=text, limit="RGB", evidence=evidence, notes=(*notes,)
    )


def _stage(facts: Facts, found: PreprocessingFacts, feed: tuple[float, float]) -> FirstStageFacts | None:
    """Return what running a first stage that is not affine showed, "served" being what this rulebook's server feeds."""
    stage = facts.get(FirstStageFacts)
    if not found.by_running or stage is None or not stage.layers:
        return None
    if feed == (found.server_mean, found.server_std):
        return stage
    return msgspec.structs.replace(
        stage, served=stage.other, other=stage.served, other_mean=found.server_mean, other_std=found.server_std
    )


def _by_running(found: PreprocessingFacts, stage: FirstStageFacts | None, limits: StageLimits, feed: str) -> Outcome:
    """Judge by the running model what the graph alone would refuse where the pixels reach no layer with weights."""
    if stage is not None:
        return judge_stage(found.unsure, stage, limits, feed, _names(found))
    return undecided(
        f"The pixels cannot be followed to the first layer: {found.unsure}. {feed}",
        remedy="Accuracy on a testset with and without normalised input would decide it.",
        evidence=_names(found),
    )


def _any_order(found: PreprocessingFacts, stage: FirstStageFacts, notes: list[str]) -> Outcome:
    """Pass a first stage whose colours cannot be told apart: the graph may order them as it likes."""
    changed = f"1 - cos {stage.colours_change:.2g} when red and blue are exchanged"
    text = (
        "Whether the network was trained on RGB images cannot be seen in the graph: give a testset in colour "
        "(--facechallenge-testset), and its accuracy on RGB is compared with that on BGR."
    )
    return passed(
        f"{found.obstacle[:1].upper()}{found.obstacle[1:]}, so that no order of the colours can be read off; any order "
        f"that a graph gives them is legal. The embeddings of {stage.images} images move by {changed}.",
        measured=changed,
        limit="RGB",
        notes=(*notes, text),
    )


def _limits(rule: Rule) -> StageLimits:
    return StageLimits(
        float(rule.parameters.get("least_spread") or LEAST_SPREAD),
        float(rule.parameters.get("most_spread") or MOST_SPREAD),
        float(rule.parameters.get("most_offset") or MOST_OFFSET),
    )


def _letters(layer: FirstLayer) -> str:
    return "".join("RGB"[channel.source] for channel in layer.channels)


def _feed_text(found: PreprocessingFacts, raw: bool, mean: float, std: float) -> str:
    if raw:
        return "The evaluation feeds pixels of 0..255."
    if found.server_because:
        names = " and ".join(repr(name) for name in found.server_because)
        return f"The server will feed pixels of 0..255, because nodes are named {names}."
    return f"The server will feed (pixel - {mean:g}) / {std:g}, because no names of the first nodes tell it otherwise."


def _layer_evidence(layer: FirstLayer, mean: float, std: float) -> Evidence:
    ranges = []
    for channel in layer.channels[:3]:
        ends = [channel.gain * (pixel - mean) / std + channel.offset for pixel in (0, WHITE)]
        ranges.append(f"{'RGB'[channel.source]} {min(ends):.4g}..{max(ends):.4g}")
    through = f" after {', '.join(layer.through)}" if layer.through else ""
    return Evidence(where=f"node {layer.node!r} ({layer.op})", what=f"sees {', '.join(ranges)}{through}")


def _names(found: PreprocessingFacts) -> tuple[Evidence, ...]:
    return (Evidence(where="names of the first nodes", what=", ".join(repr(name) for name in found.first_names)),)
