"""Trains the small networks on drawn faces: from random weights, further, or to repeat another's embeddings."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from evaluation.duplicates.networks import ARCHITECTURES, WIDTH

PEOPLE, EACH = 120, 10
EPOCHS = 7
#: Of networks that show whether longer training makes independent ones more alike.
LONG_EPOCHS = 28
_BATCH = 40
_DEMO = Path(__file__).parents[2] / "examples" / "demo"

#: From (embeddings, places of the images) to the loss.
Loss = Callable[[torch.Tensor, npt.NDArray[np.int64]], torch.Tensor]


def draw(people: int, each: int) -> npt.NDArray[np.uint8]:
    """Return drawn faces, ``each`` of one after the other: uint8 [people * each, 3, 112, 112]."""
    sys.path.insert(0, str(_DEMO))
    from train import draw_images

    images: npt.NDArray[np.uint8] = draw_images(people, each)[0]
    return images


class Faces:
    """Drawn faces of `PEOPLE` people, `EACH` images of one; drawn once and kept in a folder."""

    def __init__(self, folder: Path) -> None:
        kept = folder / "images.npy"
        if not kept.exists():
            np.save(kept, draw(PEOPLE, EACH))
        pixels = torch.from_numpy(np.load(kept)).float().sub(127.5).div(127.5)
        self.halved = functional.avg_pool2d(pixels, 2).contiguous(memory_format=torch.channels_last)
        self.people = torch.from_numpy(np.repeat(np.arange(PEOPLE), EACH))


class Margin(nn.Module):
    """Cross entropy of cosines with a margin (CosFace, Wang et al., 2018)."""

    def __init__(self, people: torch.Tensor) -> None:
        super().__init__()
        self.people = people
        self.centres = nn.Parameter(torch.randn(PEOPLE, WIDTH) * 0.01)

    def forward(self, embeddings: torch.Tensor, chosen: npt.NDArray[np.int64]) -> torch.Tensor:
        who = self.people[chosen]
        cosine = functional.linear(functional.normalize(embeddings), functional.normalize(self.centres))
        return functional.cross_entropy(30 * (cosine - 0.25 * functional.one_hot(who, PEOPLE)), who)


class Repeat(nn.Module):
    """How far embeddings are from those of another network: training on it distils that network."""

    def __init__(self, wanted: torch.Tensor) -> None:
        super().__init__()
        self.wanted = functional.normalize(wanted)

    def forward(self, embeddings: torch.Tensor, chosen: npt.NDArray[np.int64]) -> torch.Tensor:
        return (functional.normalize(embeddings) - self.wanted[chosen]).square().sum(1).mean() * 10


def trained(name: str, faces: Faces, seed: int, order: int, epochs: float = EPOCHS) -> nn.Module:
    """Train from the random weights of ``seed``, on images in the order of ``order``."""
    torch.manual_seed(seed)
    network = ARCHITECTURES[name]()
    _fit(network, Margin(faces.people), faces, order, epochs, 0.1)
    return network


def further(network: nn.Module, faces: Faces, seed: int, epochs: float, rate: float, share: float = 1.0) -> nn.Module:
    """Return a copy that was trained further on the first ``share`` of the people."""
    torch.manual_seed(1_000 + seed)
    tuned = copy.deepcopy(network)
    _fit(tuned, Margin(faces.people), faces, seed, epochs, rate, share)
    return tuned


def distilled(network: nn.Module, name: str, faces: Faces, seed: int) -> nn.Module:
    """Return a network with random weights that was trained to give the embeddings of ``network``."""
    with torch.no_grad():
        wanted = torch.cat([network.halved(part) for part in faces.halved.split(200)])
    torch.manual_seed(seed)
    student = ARCHITECTURES[name]()
    _fit(student, Repeat(wanted), faces, seed, EPOCHS, 0.05)
    return student


def untrained(name: str, faces: Faces, seed: int) -> nn.Module:
    """Return a network with random weights, its BatchNormalization settled on the images."""
    torch.manual_seed(seed)
    network = ARCHITECTURES[name]()
    network.train()
    with torch.no_grad():
        for part in faces.halved.split(100):
            network.halved(part)
    network.eval()
    return network


def _fit(
    network: nn.Module, loss_of: nn.Module, faces: Faces, order: int, epochs: float, rate: float, share: float = 1.0
) -> None:
    network.train()
    network.to(memory_format=torch.channels_last)
    rng = np.random.Generator(np.random.PCG64(order))
    places = np.arange(int(share * len(faces.people)))
    steps = max(1, int(epochs * (len(places) // _BATCH)))
    weights = [*network.parameters(), *loss_of.parameters()]
    optimiser = torch.optim.SGD(weights, lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    for _, chosen in zip(range(steps), _batches(rng, places), strict=False):
        images = faces.halved[chosen]
        if isinstance(loss_of, Margin):
            mirrored = torch.from_numpy(rng.random((len(chosen), 1, 1, 1)) < 0.5)
            images = torch.where(mirrored, images.flip(3), images)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss_of(network.halved(images), chosen))
        optimiser.step()
        schedule.step()
    network.eval()
    network.to(memory_format=torch.contiguous_format)


def _batches(rng: np.random.Generator, places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    while True:
        order = rng.permutation(places)
        yield from (order[at : at + _BATCH] for at in range(0, len(order) - _BATCH + 1, _BATCH))
