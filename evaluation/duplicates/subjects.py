"""Which networks are trained, and how each is related to the others. Trained weights are kept in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from evaluation.duplicates import training
from evaluation.duplicates.networks import ARCHITECTURES

SEEDS = (0, 1, 2, 3)
LONG_SEEDS = (10, 11)


@dataclass(frozen=True)
class Subject:
    """A network: its name, its architecture, the name of what it was made from ("" for independent work)."""

    name: str
    architecture: str
    origin: str
    make: Callable[[dict[str, nn.Module], training.Faces], nn.Module]


def _tuned(architecture: str, about: str, seed: int, epochs: float, rate: float, share: float = 1.0) -> Subject:
    origin = f"{architecture}-0"

    def make(made: dict[str, nn.Module], faces: training.Faces) -> nn.Module:
        return training.further(made[origin], faces, seed, epochs, rate, share)

    return Subject(f"{origin} {about}", architecture, origin, make)


def _distilled(teacher: str, architecture: str) -> Subject:
    def make(made: dict[str, nn.Module], faces: training.Faces) -> nn.Module:
        return training.distilled(made[teacher], architecture, faces, 50)

    return Subject(f"{teacher} distilled to {architecture}", architecture, teacher, make)


def _independent(architecture: str, about: str, seed: int, order: int) -> Subject:
    return Subject(
        f"{architecture}-{about}", architecture, "", lambda _, faces: training.trained(architecture, faces, seed, order)
    )


def _long(architecture: str, seed: int) -> Subject:
    return Subject(
        f"{architecture}-{seed} long",
        architecture,
        "",
        lambda _, faces: training.trained(architecture, faces, seed, seed, training.LONG_EPOCHS),
    )


def _untrained(architecture: str, seed: int) -> Subject:
    return Subject(
        f"{architecture} untrained {seed}",
        architecture,
        "",
        lambda _, faces: training.untrained(architecture, faces, seed),
    )


def subjects() -> tuple[Subject, ...]:
    """Return them, each after what it is made from."""
    found: list[Subject] = []
    for name in ARCHITECTURES:
        found += [_independent(name, str(seed), seed, seed) for seed in SEEDS]
        found += [_independent(name, "0 other order", 0, 90), _untrained(name, 20), _untrained(name, 21)]
        found += [
            *(_long(name, seed) for seed in LONG_SEEDS),
            _tuned(name, "fine-tuned a little", 40, 0.5, 0.01),
            _tuned(name, "fine-tuned on half the people", 41, 2, 0.02, 0.5),
            _tuned(name, "fine-tuned much", 42, 4, 0.05),
        ]
    return (*found, _distilled("separable-0", "separable"), _distilled("separable-0", "residual"))


def made(folder: Path, told: Callable[[str], None], chosen: Sequence[Subject] | None = None) -> dict[str, nn.Module]:
    """Train the chosen networks (None: all), or read what an earlier call has trained."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    faces = training.Faces(folder)
    found: dict[str, nn.Module] = {}
    for subject in subjects() if chosen is None else chosen:
        kept = folder / f"{subject.name.replace(' ', '_')}.pt"
        if kept.exists():
            network = ARCHITECTURES[subject.architecture]()
            network.load_state_dict(torch.load(kept))
            network.eval()
        else:
            told(subject.name)
            network = subject.make(found, faces)
            torch.save(network.state_dict(), kept)
        found[subject.name] = network
    return found
