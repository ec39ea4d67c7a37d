"""Likeness of independent networks and of copies, as the table of docs/explanation/duplicates.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

import onnx
import torch
from torch import nn

from evaluation.duplicates import copies
from evaluation.duplicates.networks import WIDTH
from evaluation.duplicates.subjects import Subject, made, subjects
from evaluation.product import Fingerprints, fingerprints_of, likeness_of

#: The networks that copies are made of.
ORIGINALS = ("separable-0", "residual-0")


@dataclass(frozen=True)
class Figure:
    """What two networks are to each other, and what the product measures."""

    kind: str
    related: bool
    likeness: float
    same_layers: int
    layers: int
    answer: str


def exported(network: nn.Module, path: Path) -> onnx.ModelProto:
    """Write a network as ONNX, BatchNormalization folded as torch does it, and read it."""
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 112, 112),),
        path,
        dynamo=False,
        opset_version=13,
        input_names=["input"],
        output_names=["embedding"],
        dynamic_axes={"input": {0: "N"}, "embedding": {0: "N"}},
    )
    return onnx.load(path)


def measured(folder: Path, told: Callable[[str], None]) -> list[Figure]:
    """Train, copy and compare everything."""
    networks = made(folder, told)
    prints: dict[str, Fingerprints] = {}
    models = {}
    for name, network in networks.items():
        models[name] = exported(network, folder / "exported.onnx")
        prints[name] = fingerprints_of(models[name], folder)
    listed = {each.name: each for each in subjects()}
    found = [
        _figure(_kind(one, other), _is_related(one, other), prints[one.name], prints[other.name])
        for one, other in combinations(listed.values(), 2)
        if not (one.origin and other.origin)
    ]
    for name in ORIGINALS:
        for kind, change in copies.kinds(WIDTH).items():
            told(f"{name}: {kind}")
            found.append(_figure(kind, True, prints[name], fingerprints_of(change(models[name]), folder)))
    return found


def _is_related(one: Subject, other: Subject) -> bool:
    return one.origin == other.name or other.origin == one.name


def _kind(one: Subject, other: Subject) -> str:
    if _is_related(one, other):
        return other.name.removeprefix(f"{one.name} ")
    untrained = [each for each in (one, other) if "untrained" in each.name]
    if untrained:
        return "two untrained ones" if len(untrained) == 2 else "one trained, one untrained"
    if one.name.endswith("long") and other.name.endswith("long"):
        return "trained four times as long"
    if one.architecture != other.architecture:
        return "trained, of two architectures"
    if {one.name, other.name} == {f"{one.architecture}-0", f"{one.architecture}-0 other order"}:
        return "trained from the same first weights in another order"
    return "trained, of one architecture"


def _figure(kind: str, related: bool, one: Fingerprints, other: Fingerprints) -> Figure:
    likeness, same, layers, answer = likeness_of(one, other)
    return Figure(kind, related, likeness, same, layers, answer)


def table(figures: list[Figure]) -> str:
    """Return the table as Markdown: a line for each kind of pair."""
    heads = ("pairs", "number", "likeness: least", "median", "largest", "layers with the same weights", "answers")
    return "\n".join([_line(heads), _line(["---"] * len(heads)), *_lines(figures)]) + "\n"


def _lines(figures: list[Figure]) -> Iterator[str]:
    for related in (False, True):
        yield _line([f"**{'made from the other' if related else 'independent work'}**", *[""] * 6])
        for kind in dict.fromkeys(each.kind for each in figures if each.related is related):
            chosen = [each for each in figures if each.kind == kind and each.related is related]
            likeness = [each.likeness for each in chosen]
            shares = sorted({f"{each.same_layers} of {each.layers}" for each in chosen})
            shown = shares[0] if len(shares) == 1 else f"{shares[0]} to {shares[-1]}"
            answers = {word: sum(each.answer == word for each in chosen) for word in {each.answer for each in chosen}}
            yield _line(
                [
                    kind,
                    str(len(chosen)),
                    *(f"{each:.3f}" for each in (min(likeness), median(likeness), max(likeness))),
                    shown,
                    ", ".join(f"{number} {word}" for word, number in sorted(answers.items())),
                ]
            )


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
