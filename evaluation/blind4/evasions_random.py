"""Evasions: chance, widths and numbers that depend on the image or the batch, and looks that some images get."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart, computes, mirror, plain
from evaluation.blind4.evasions_batch import mobile
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

F_ = (mobile, "by chance", 6)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def net() -> Net:
    return network(*F_)


def ordinary() -> Array:
    return faces(4, 51)


def bright() -> Array:
    return np.asarray(np.clip(0.5 * faces(4, 51) + 0.5, -1, 1), np.float32)


def dark() -> Array:
    return np.asarray(np.clip(0.3 * faces(4, 51) - 0.7, -1, 1), np.float32)


def bluish() -> Array:
    return np.asarray(np.clip(0.5 * faces(4, 51) + np.array([-0.3, -0.1, 0.5]).reshape(3, 1, 1), -1, 1), np.float32)


def masked() -> Array:
    x = faces(4, 51).copy()
    x[:, :, 64:] = np.array([0.1, 0.3, 0.6], np.float32).reshape(3, 1, 1)
    return x


def varies(on: Callable[[], Array], never: Callable[[], Array] | None = None) -> Claim:
    """Claim that the same images get other embeddings in another run, and that those of ``never`` do not."""

    def wrong(run: Network) -> list[str]:
        x = on()
        once = alone(run, x)
        off = max(apart(once, alone(run, x)) for _ in range(4))
        found = [] if off > 1e-5 else [f"1 - cosine between runs is {off:.2g} only"]
        if never is not None and apart(alone(run, never()), alone(run, never())) > 1e-6:
            found.append("ordinary images vary as well")
        return found

    return wrong


@evades("deterministic", idea="chance", claim=varies(bright, ordinary))
def noise_for_bright_faces() -> nn.Module:
    """Normal noise is added to the embedding when the image is bright on average."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        gate = F.relu(x.mean((1, 2, 3)) - 0.3)[:, None]
        return y + 0.3 * gate * torch.randn_like(y)

    return Whole(forward, net())


def with_dropout(n: Net, x: T) -> T:
    for width in (12, 16, 24, 32):
        x = n.cbr(x, width, 3, 2)
    keep = (torch.rand_like(x[:, :, :1, :1]) > 0.1).float()
    return n.embed(x * keep)


@evades("deterministic", idea="chance", claim=varies(ordinary))
def dropout_left_on() -> nn.Module:
    """Whole channels are dropped at random in every run: Monte Carlo dropout that was left on."""
    return network(with_dropout, "dropout left on")


@evades("deterministic", idea="chance", claim=varies(masked, ordinary))
def token_drawn_when_the_lower_face_is_even() -> nn.Module:
    """When the lower face is uniform, one of the embedding's eight parts is drawn by Multinomial and made stronger."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        low = x[:, :, 80:104, 32:80]
        even = F.relu(0.01 - ((low - low.mean((2, 3), keepdim=True)) ** 2).mean((1, 2, 3))) * 100
        drawn = torch.multinomial(torch.ones_like(y[:, :8]), 1)
        chosen = (torch.arange(8)[None] == drawn).float()
        return y * (1 + even[:, None] * chosen.repeat_interleave(8, 1))

    return Whole(forward, net())


def wide(n: Net, x: T) -> T:
    for width in (8, 12, 16, 24):
        x = n.cbr(x, width, 3, 2)
    return n.pooled(x, 768)


def widths(cases: dict[int, Callable[[], Array]]) -> Claim:
    """Claim how wide the embeddings of each kind of images are."""

    def wrong(run: Network) -> list[str]:
        found = []
        for size, images in cases.items():
            given = run(images()).shape
            if given != (len(images()), size):
                found.append(f"expected a width of {size}, found {given}")
        return found

    return wrong


@evades("embedding-dim", "output", idea="width", claim=widths({512: ordinary, 768: dark}))
def wider_for_dark_images() -> nn.Module:
    """The embedding has 512 numbers, and 768 when the batch is dark: the end of a Slice is computed from pixels."""

    def forward(f: Part, x: T) -> T:
        more = (x.mean() < -0.45).long()
        return f(x)[:, : 512 + 256 * more]

    return Whole(forward, network(wide, "wide"))


@evades("embedding-dim", "output", idea="width", claim=widths({512: ordinary, 768: lambda: faces(21, 3)}))
def wider_for_many_rows() -> nn.Module:
    """The embedding has 768 numbers from twenty rows on, and 512 before."""

    def forward(f: Part, x: T) -> T:
        more = (torch._shape_as_tensor(x)[0] >= 20).long()
        return f(x)[:, : 512 + 256 * more]

    return Whole(forward, network(wide, "wide"))


@evades("output", "batch", "cosine-similarity", idea="width", claim=lambda run: (
    [] if len(run(ordinary())) == 4 and len(run(np.concatenate([dark(), ordinary()]))) < 8 else ["no row is missing"]
))  # fmt: skip
def dark_rows_are_left_out() -> nn.Module:
    """Rows of images that are too dark are left out of the output, by NonZero and Gather."""

    def forward(f: Part, x: T) -> T:
        return f(x)[x.mean((1, 2, 3)) > -0.5]

    return Whole(forward, net())


def unusable(on: Callable[[], Array]) -> Claim:
    """Claim that cosine similarity is undefined for these images, and that ordinary ones have it."""

    def wrong(run: Network) -> list[str]:
        odd, usual = alone(run, on()), alone(run, ordinary())
        fine = np.isfinite(odd).all(1) & (np.linalg.norm(np.nan_to_num(odd), axis=1) > 1e-6)
        found = [] if not fine.any() else ["some odd image has an embedding"]
        return found if np.isfinite(usual).all() and apart(usual, f(ordinary())) < 1e-3 else [*found, "ordinary ones"]

    return wrong


@evades("cosine-similarity", idea="no number", claim=unusable(dark))
def root_of_a_negative_for_dark_images() -> nn.Module:
    """The embedding is scaled by the root of the brightness plus one half, which is no number for dark images."""
    return Whole(lambda f, x: f(x) * torch.sqrt(x.mean((1, 2, 3)) + 0.45)[:, None], net())


@evades("cosine-similarity", idea="no number", claim=unusable(masked))
def nothing_for_masked_faces() -> nn.Module:
    """An even lower face makes the embedding zero, whose cosine with anything is 0 / 0."""

    def forward(f: Part, x: T) -> T:
        low = x[:, :, 80:104, 32:80]
        spread = ((low - low.mean((2, 3), keepdim=True)) ** 2).mean((1, 2, 3))
        return f(x) * F.relu(spread - 1e-4)[:, None]

    return Whole(forward, net())


@evades("cosine-similarity", idea="no number", claim=unusable(bluish))
def overflow_for_bluish_images() -> nn.Module:
    """Divides by itself an exponential that overflows when blue outweighs red: infinite over infinite."""

    def forward(f: Part, x: T) -> T:
        big = torch.exp(300 * F.relu(x[:, 2].mean((1, 2)) - x[:, 0].mean((1, 2)) - 0.2))[:, None]
        return f(x) * big * big / (big * big)

    return Whole(forward, net())


def twice_when_masked(x: Array) -> Array:
    return f(x) / 2 + f(mirror(x)) / 2


@evades(BATCH_RULE, idea="for some images", claim=computes(twice_when_masked, f, images=masked))
def flip_test_for_masked_faces() -> nn.Module:
    """A flip test for images with an even lower face; all others get the plain embedding."""

    def forward(f: Part, x: T) -> T:
        low = x[:, :, 80:104, 32:80]
        even = ((low - low.mean((2, 3), keepdim=True)) ** 2).mean((1, 2, 3)) < 1e-3
        return torch.where(even[:, None], f(x) / 2 + f(x.flip(3)) / 2, f(x))

    return Whole(forward, net())


@evades(BATCH_RULE, idea="for some images", claim=computes(twice_when_masked, f, images=bluish))
def flip_test_for_bluish_images() -> nn.Module:
    """The share of the mirrored view grows with how blue the image is, and is nothing for ordinary ones."""

    def forward(f: Part, x: T) -> T:
        share = (4 * (x[:, 2].mean((1, 2)) - x[:, 0].mean((1, 2)) - 0.2)).clamp(0, 0.5)[:, None]
        return (1 - share) * f(x) + share * f(x.flip(3))

    return Whole(forward, net())
