"""Evasions: views of the image that are made in the graph, and run beside it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import patch_chain
from evaluation.blind4.claims import computes, mirror, plain
from evaluation.blind4.evasions_batch import mobile
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

F_ = (mobile, "views of the fifth set", 10)
C_ = (patch_chain, "patches of the fifth set", 10)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def net() -> Net:
    return network(*F_)


def spatial(n: Net, x: T) -> T:
    """A network over maps with a depth axis, whose kernels have no extent along it."""
    for width in (12, 16, 24, 32):
        x = n.same(x, lambda x=x, w=width: nn.Conv3d(x.shape[1], w, (1, 3, 3), (1, 2, 2), (0, 1, 1)))  # type: ignore[misc]
        x = F.relu(n.same(x, lambda x=x: nn.BatchNorm3d(x.shape[1])))  # type: ignore[misc]
    return n.linear(x.permute(0, 2, 1, 3, 4).flatten(2), 48).mean(1)


def one_deep(n: Net, x: T) -> T:
    return spatial(n, x.unsqueeze(2))


DEEP = (one_deep, "depth axis", 6)


class Depth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network(*DEEP)

    def forward(self, x: T) -> T:
        self.net._at = 0
        return spatial(self.net, torch.stack([x, x.flip(3), F.pad(x[:, :, 2:], (0, 0, 0, 2))], 2))


def up_two(x: Array) -> Array:
    made = np.zeros_like(x)
    made[:, :, :-2] = x[:, :, 2:]
    return made


@evades(BATCH_RULE, idea="extra axis", opset=13, claim=of_views(DEEP, same, mirror, up_two))
def three_views_along_a_depth_axis() -> nn.Module:
    """Convolutions of three dimensions whose depth axis holds the image, its mirror image and a moved one."""
    return Depth()


def half_turn(x: Array) -> Array:
    """What the conjugate of a spectrum is the spectrum of: places run backwards, the first one stays."""
    return np.asarray(np.roll(x[:, :, ::-1, ::-1], (1, 1), (2, 3)))


@evades(BATCH_RULE, idea="frequency", claim=of_views(F_, same, half_turn, near=1e-3), fold=False)
def conjugate_of_the_spectrum() -> nn.Module:
    """A Fourier transform by matrices; the conjugate spectrum, transformed back, is the second view."""
    k = torch.arange(112).float()
    angle = 6.283185307 * torch.outer(k, k) / 112
    cos, sin = angle.cos(), angle.sin()

    def forward(f: Part, x: T) -> T:
        a = cos @ x @ cos - sin @ x @ sin
        b = -(cos @ x @ sin + sin @ x @ cos)
        b = -b
        back = (cos @ a @ cos - sin @ a @ sin - (cos @ b @ sin + sin @ b @ cos)) / 112**2
        return (f(x) + f(back)) / 2

    return Whole(forward, net())


def low_pass(x: Array) -> Array:
    k = np.fft.fftfreq(112, 1 / 112)
    keep = (np.abs(k) <= 24).astype(np.float64)
    return np.real(np.fft.ifft2(np.fft.fft2(x) * keep[:, None] * keep)).astype(np.float32)


@evades(BATCH_RULE, idea="frequency", claim=of_views(F_, same, low_pass, near=1e-3))
def image_of_few_frequencies() -> nn.Module:
    """The second view has the lower frequencies alone, by one stored matrix on either side."""
    k = np.fft.fftfreq(112, 1 / 112)
    m = torch.from_numpy(np.real(np.fft.ifft(np.diag((np.abs(k) <= 24).astype(float)) @ np.fft.fft(np.eye(112), axis=0),
                                             axis=0)).astype(np.float32))  # fmt: skip
    return Whole(lambda f, x: (f(x) + f(m @ x @ m.T)) / 2, net())


def small(n: Net, x: T) -> T:
    """A network for images of 56 x 56."""
    for width in (12, 16, 24):
        x = n.cbr(x, width, 3, 2)
    return n.embed(x, 48)


def one_phase(n: Net, x: T) -> T:
    return small(n, x[:, :, ::2, ::2])


def other_phase(n: Net, x: T) -> T:
    return small(n, x[:, :, 1::2, 1::2])


PHASE = (one_phase, "phases", 8)


class Phases(nn.Module):
    """All four phases of space to depth, one network, its groups run by a batch of four times the size."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(*PHASE)

    def forward(self, x: T) -> T:
        y = F.pixel_unshuffle(x, 2).reshape(-1, 3, 4, 56, 56).transpose(1, 2).reshape(-1, 3, 56, 56)
        self.net._at = 0
        return small(self.net, y).reshape(-1, 4, 48).mean(1)


@evades(BATCH_RULE, idea="phases", claim=of_views(
    PHASE, same, *(lambda x, r=r, c=c: np.roll(x, (-r, -c), (2, 3)) for r, c in ((0, 1), (1, 0), (1, 1)))
))  # fmt: skip
def four_phases_of_space_to_depth() -> nn.Module:
    """Space to depth gives four images, each moved by a pixel; one network runs over all four, and the mean is kept."""
    return Phases()


def toned(x: Array) -> Array:
    return np.asarray(np.tanh(1.6 * x))


@evades(BATCH_RULE, idea="tone", claim=of_views(F_, same, toned))
def tone_curve_beside_the_image() -> nn.Module:
    """The second view has a steeper tone curve."""
    return Whole(lambda f, x: (f(x) + f(torch.tanh(1.6 * x))) / 2, net())


def relief(x: Array) -> Array:
    y = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    mean = np.mean([y[:, :, r : r + 112, c : c + 112] for r in range(5) for c in range(5)], 0)
    return np.asarray(x - mean)


@evades(BATCH_RULE, idea="filtered", claim=computes(lambda x: f(x) + 0.5 * f(relief(x)), f))
def half_of_the_high_pass() -> nn.Module:
    """Half of the embedding of the image without its local mean is added."""
    return Whole(lambda f, x: f(x) + 0.5 * f(x - F.avg_pool2d(x, 5, 1, 2)), net())


G_ = (patch_chain, "another network", 8)


@evades(BATCH_RULE, idea="ensemble on views", claim=computes(
    lambda x: np.concatenate([f(x), plain(*G_)(x[:, :, ::-1])], 1),
    lambda x: np.concatenate([f(x), plain(*G_)(x)], 1),
))  # fmt: skip
def other_network_on_the_image_upside_down() -> nn.Module:
    """A small MobileFaceNet sees the image, a patch network sees it upside down; both embeddings are kept."""
    return Whole(lambda a, b, x: torch.cat([a(x), b(torch.eye(112).flip(0) @ x)], 1), net(), network(*G_))


@evades(BATCH_RULE, idea="shared weights", claim=computes(lambda x: f(x) + f(mirror(x)) * 1.5, f))
def shared_weights_with_a_scale_for_each_view() -> nn.Module:
    """Both views share every convolution; a scale of its own at the end of each view's pass makes them differ."""
    return Whole(lambda f, x: f(x) + 1.5 * f(x[..., torch.arange(111, -1, -1)]), net())


@evades(BATCH_RULE, idea="mirrored by an operator", claim=of_views(F_, same, mirror), opset=13)
def columns_by_the_order_of_a_ramp() -> nn.Module:
    """TopK sorts a ramp from its largest number down; the columns gathered in that order are the mirror image."""

    def forward(f: Part, x: T) -> T:
        ramp = torch.arange(112).float() + 0 * x.mean()
        return (f(x) + f(x.index_select(3, ramp.topk(112).indices))) / 2

    return Whole(forward, net())


@evades(BATCH_RULE, idea="mirrored by an operator", claim=of_views(F_, same, mirror))
def mirrored_by_a_depthwise_kernel() -> nn.Module:
    """A row as 112 channels, mixed by a 1x1 convolution whose kernel is the reversed identity."""
    kernel = torch.eye(112).flip(0)[:, :, None, None]

    def forward(f: Part, x: T) -> T:
        return (f(x) + f(F.conv2d(x.permute(0, 3, 1, 2), kernel).permute(0, 2, 3, 1))) / 2

    return Whole(forward, net())


@evades(BATCH_RULE, idea="mirrored by an operator", claim=of_views(F_, same, mirror))
def sides_exchanged_block_by_block() -> nn.Module:
    """Columns are split in two by seven splits, and the halves exchanged each time: at the end they stand reversed."""

    def forward(f: Part, x: T) -> T:
        y = x.reshape(-1, 3, 112, 7, 2, 2, 2, 2)
        for axis in (4, 5, 6, 7):
            a, b = y.split(1, axis)
            y = torch.cat([b, a], axis)
        parts = [y[:, :, :, i] for i in range(6, -1, -1)]
        return (f(x) + f(torch.stack(parts, 3).reshape(-1, 3, 112, 112))) / 2

    return Whole(forward, net())


def latents(n: Net, x: T) -> T:
    return read(n, [x])


def read(n: Net, views: list[T]) -> T:
    """Stored latents that attend to the patch tokens of all views as one set."""
    start = n._at
    parts = []
    for view in views:
        n._at = start
        parts.append(n.ln(n.patches(view, 24)))
    t = torch.cat(parts, 1)
    state = n.weight(1, 6, 24)
    for _ in range(2):
        share = (n.linear(state, 24) @ n.linear(t, 24).transpose(1, 2) / 3).softmax(-1)
        state = state + share @ n.linear(t, 24)
    return n.embed(state.flatten(1), 48)


LATENTS = (latents, "latents", 6)


class Both(nn.Module):
    def __init__(self, by: bool) -> None:
        super().__init__()
        self.net, self.by = network(*LATENTS), by

    def forward(self, x: T) -> T:
        self.net._at = 0
        return read(self.net, [x, x.flip(3) if self.by else x])


def reads_both(run: object) -> list[str]:
    """With the second set of tokens made of another image, the embedding moves."""
    from evaluation.blind4.claims import apart
    from evaluation.blind4.export import embedded
    from evaluation.images import faces
    from evaluation.proof import alone

    x = faces(4, 5)
    given = alone(run, x)  # type: ignore[arg-type]
    found = [] if apart(given, embedded(Both(True), x)) < 1e-4 else ["it does not read both views"]
    return found if apart(given, embedded(Both(False), x)) > 1e-3 else [*found, "the mirrored tokens change nothing"]


@evades(BATCH_RULE, idea="tokens", claim=reads_both)
def latents_read_both_views() -> nn.Module:
    """Stored latents attend to one set of tokens: those of the image and those of its mirror image."""
    return Both(True)


def rows_of(n: Net, x: T, both: bool) -> T:
    """Deep columns of the image as a sequence, then those of the mirrored image, through one LSTM."""
    start = n._at

    def columns(view: T) -> T:
        n._at = start
        return n.cbr(n.stem(view, 12), 12, 3, 2).permute(3, 0, 1, 2).flatten(2)

    sequence = torch.cat([columns(x), columns(x.flip(3))]) if both else columns(x)
    y, _ = n.same(sequence, lambda: nn.LSTM(168, 32))
    return n.embed(y[-1])


def one_sequence(n: Net, x: T) -> T:
    return rows_of(n, x, False)


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network(one_sequence, "sequence", 6)

    def forward(self, x: T) -> T:
        self.net._at = 0
        return rows_of(self.net, x, True)


def sequence_of_both(x: Array) -> Array:
    """The plain layers, called by hand: columns of either image, one after the other."""
    net = network(one_sequence, "sequence", 6)
    kept = list(net.kept)

    def columns(view: Array) -> T:
        y = torch.from_numpy(np.ascontiguousarray(view))
        for i in (0, 2, 4):
            y = F.relu(kept[i + 1](kept[i](y)))
        return y.permute(3, 0, 1, 2).flatten(2)

    with torch.no_grad():
        y, _ = kept[6](torch.cat([columns(x), columns(mirror(x))]))
        return np.asarray(kept[8](kept[7](y[-1])).numpy())


@evades(BATCH_RULE, idea="time", opset=14, claim=computes(
    sequence_of_both, lambda x: plain(one_sequence, "sequence", 6)(x)
))  # fmt: skip
def one_recurrence_over_two_views() -> nn.Module:
    """An LSTM reads the columns of the image's features, then those of the mirrored image's, as one sequence."""
    return Sequence()


def turned(x: Array, k: int) -> Array:
    return np.ascontiguousarray(np.rot90(x, k, (2, 3)))


@evades(BATCH_RULE, idea="group", claim=computes(lambda x: np.max([plain(*C_)(turned(x, k)) for k in range(4)], 0),
                                                 lambda x: plain(*C_)(x)))  # fmt: skip
def image_turned_four_times() -> nn.Module:
    """Called a group-equivariant network, but the image is turned and not the filters; the maximum of four is kept."""

    def forward(f: Part, x: T) -> T:
        views = [x, x.transpose(2, 3).flip(2), x.flip(2, 3), x.transpose(2, 3).flip(3)]
        return torch.stack([f(v) for v in views]).amax(0)

    return Whole(forward, network(*C_))
