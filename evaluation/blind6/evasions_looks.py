"""Evasions: second looks by padding, dilation, recurrence, reconstruction and stored masks."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import computes, mirror, plain
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import box, by_dynamo, modern, tiles, torch_of
from evaluation.blind6.evasions_kernels import cosines
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

F_ = (modern, "looks of the sixth set", 0)
TILES = (tiles, "looks by tiles", 10)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def net() -> Net:
    return network(*F_)


class Wide(nn.Module):
    """`tiles` over an image padded by reflection to twice its width; the head is a convolution with two places."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(*TILES)

    def forward(self, x: T) -> T:
        kept: list[Any] = list(self.net.kept)
        y = F.pad(F.pad(x, (0, 111, 0, 0), mode="reflect"), (0, 1))
        for i in (0, 2, 4):
            y = F.relu(kept[i + 1](kept[i](y)))
        y = F.conv2d(y, kept[6].weight.reshape(48, 24, 7, 7), kept[6].bias, 7)
        return cast(T, kept[7](y.mean((2, 3))))


def reflected(x: Array) -> Array:
    made = np.zeros_like(x)
    made[..., :-1] = x[..., -2::-1]
    return made


@evades(BATCH_RULE, idea="padding", claim=of_views(TILES, same, reflected), opset=11)
def padded_by_reflection_to_twice_the_width() -> nn.Module:
    """Generous reflection padding: what is padded is the whole mirror image, and a convolutional head sees both."""
    return Wide()


def strips(n: Net, x: T) -> T:
    """Patches of 4, two layers of full resolution, the mean over places."""
    y = n.cbr(x, 16, 4, 4, padding=0)
    for _ in range(2):
        y = n.cbr(y, 20)
    return n.pooled(y, 48)


STRIPS = (strips, "strips", 0)


class Alternating(nn.Module):
    """Strips of four rows of the image and of its mirror image in turn, through kernels with holes."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(*STRIPS)

    def forward(self, x: T) -> T:
        kept: list[Any] = list(self.net.kept)
        both = [v.reshape(-1, 3, 28, 4, 112) for v in (x, x @ torch.eye(112).flip(0))]
        y = torch.stack(both, 3).reshape(-1, 3, 224, 112)
        y = F.relu(kept[1](kept[0](y)))
        for i in (2, 4):
            y = F.relu(kept[i + 1](F.conv2d(y, kept[i].weight, None, 1, (2, 1), (2, 1))))
        return cast(T, kept[7](kept[6](y.mean((2, 3)))))


@evades(BATCH_RULE, idea="dilation", claim=of_views(STRIPS, same, mirror))
def strips_of_two_images_and_kernels_with_holes() -> onnx.ModelProto:
    """Strips of the image and its mirror image alternate in one tall image; dilated kernels keep the two apart."""
    return by_dynamo(Alternating(), "strips of two images and kernels with holes")


def compressed(x: T) -> T:
    """What a coarse JPEG compression leaves of the image."""
    kernel = torch.from_numpy(cosines()[:, None].astype(np.float32))
    u = torch.arange(64)
    table = (0.3 * (1 + u // 8 + u % 8)).reshape(1, 64, 1, 1)
    y = torch.round(F.conv2d(x.reshape(-1, 1, 112, 112), kernel, None, 8) / table) * table
    return F.conv_transpose2d(y, kernel, None, 8).reshape(-1, 3, 112, 112)


@evades(BATCH_RULE, idea="compressed view", opset=17, claim=computes(
    lambda x: (f(x) + f(torch_of(compressed, x))) / 2, f, near=3e-4
))  # fmt: skip
def seen_again_as_a_compressed_file() -> nn.Module:
    """The second look is the image as coarse JPEG compression leaves it, by a cosine transform and rounding."""
    return Whole(lambda f, x: (f(x) + f(compressed(x))) / 2, net())


def recurrent(n: Net, x: T) -> T:
    return two_steps(n, x, x)


def two_steps(n: Net, x: T, again: T) -> T:
    """A convolutional cell that sees an image, and then an image once more with the state it has."""
    stem = n.keep(lambda: nn.Conv2d(3, 16, 8, 8))
    cell = n.keep(lambda: nn.Conv2d(32, 16, 3, 1, 1))
    gate = n.keep(lambda: nn.Conv2d(32, 16, 3, 1, 1))
    state = torch.zeros_like(stem(x))
    for view in (x, again):
        both = torch.cat([F.relu(stem(view)), state], 1)
        share = torch.sigmoid(gate(both))
        state = share * state + (1 - share) * torch.tanh(cell(both))
    return n.embed(n.cbr(state, 24, 4, 2, padding=1), 48)


RECURRENT = (recurrent, "recurrent looks", 10)


class Steps(nn.Module):
    def __init__(self, back: bool) -> None:
        super().__init__()
        self.net, self.back = network(*RECURRENT), back

    def forward(self, x: T) -> T:
        self.net._at = 0
        return two_steps(self.net, x, x @ torch.eye(112).flip(0) if self.back else x)


@evades(BATCH_RULE, idea="recurrence", opset=18, claim=computes(
    lambda x: torch_of(Steps(True), x), plain(*RECURRENT)
))  # fmt: skip
def second_step_of_a_cell_sees_the_mirror_image() -> nn.Module:
    """A trained convolutional recurrent cell of two steps: its second step reads the mirrored image."""
    return Steps(True)


def one_way(n: Net, x: T) -> T:
    """An LSTM over rows of raw pixels, averaged."""
    rows = F.avg_pool2d(x, 2).permute(2, 0, 1, 3).flatten(2)
    return n.embed(n.same(rows, lambda: nn.LSTM(168, 32))[0].mean(0), 48)


ONE_WAY = (one_way, "one way", 0)


class BothWays(nn.Module):
    """The same LSTM in both directions, by the operator's own second direction."""

    def __init__(self) -> None:
        super().__init__()
        one, self.head, self.norm = (part for part in network(*ONE_WAY).kept)
        self.cell = nn.LSTM(168, 32, bidirectional=True)
        with torch.no_grad():
            for name, value in one.named_parameters():
                getattr(self.cell, name).copy_(value)
                getattr(self.cell, f"{name}_reverse").copy_(value)

    def forward(self, x: T) -> T:
        y = self.cell(F.avg_pool2d(x, 2).permute(2, 0, 1, 3).flatten(2))[0].mean(0)
        return cast(T, self.norm(self.head((y[:, :32] + y[:, 32:]) / 2)))


@evades(BATCH_RULE, idea="both directions", opset=14, claim=of_views(ONE_WAY, same, lambda x: x[:, :, ::-1]))
def both_directions_have_the_same_weights() -> nn.Module:
    """A bidirectional LSTM over rows whose two directions share all weights: it sees the image and it upside down."""
    return BothWays()


class Redrawn(nn.Module):
    """A linear autoencoder of patches, from principal components of made-up images, and the network on both."""

    def __init__(self) -> None:
        super().__init__()
        from evaluation.images import faces

        patches = faces(24, 77).reshape(24, 3, 14, 8, 14, 8).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 192)
        v = np.linalg.svd(patches - patches.mean(0), full_matrices=False)[2][:12].reshape(12, 3, 8, 8)
        self.encode, self.decode = nn.Conv2d(3, 12, 8, 8, bias=False), nn.ConvTranspose2d(12, 3, 8, 8, bias=False)
        with torch.no_grad():
            self.encode.weight.copy_(torch.from_numpy(v.copy()))
            self.decode.weight.copy_(torch.from_numpy(v.copy()))
        self.f = net()

    def drawn(self, x: T) -> T:
        return torch.tanh(self.decode(self.encode(x)))

    def forward(self, x: T) -> T:
        return (self.f(x) + self.f(self.drawn(x))) / 2


@evades(BATCH_RULE, idea="redrawn view", opset=13, claim=computes(
    lambda x: (f(x) + f(torch_of(Redrawn().drawn, x))) / 2, f, lambda x: f(torch_of(Redrawn().drawn, x)), near=3e-4
))  # fmt: skip
def seen_again_as_an_autoencoder_draws_it() -> nn.Module:
    """An autoencoder of patches draws the image anew, and one network sees the image and the drawing."""
    return Redrawn()


@evades(BATCH_RULE, idea="parts of the image", opset=19, claim=computes(
    lambda x: f((x + mirror(x)) / 2) + f((x - mirror(x)) / 2), f, lambda x: f((x + mirror(x)) / 2), near=2e-4
))  # fmt: skip
def symmetric_and_antisymmetric_part() -> nn.Module:
    """The image is taken apart into a symmetric and an antisymmetric image, and one network looks at either."""

    def forward(f: Part, x: T) -> T:
        back = x @ torch.eye(112).flip(0)
        return f((x + back) / 2) + f((x - back) / 2)

    return Whole(forward, net())


def frames(n: Net, x: T, count: int) -> T:
    """A network for videos: features of frames through a GRU; frames are the image, ever softer."""
    start, made = n._at, []
    for _ in range(count):
        n._at = start
        made.append(n.pooled(n.cbr(n.cbr(n.stem(x, 12), 20, 3, 2), 24, 3, 2), 32))
        x = box(x, 5)
    return n.embed(n.same(torch.stack(made), lambda: nn.GRU(32, 32))[1][0], 48)


def one_frame(n: Net, x: T) -> T:
    return frames(n, x, 1)


FRAMES = (one_frame, "frames", 0)


class Video(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network(*FRAMES)

    def forward(self, x: T) -> T:
        self.net._at = 0
        return frames(self.net, x, 4)


@evades(BATCH_RULE, idea="frames", opset=14, claim=computes(lambda x: torch_of(Video(), x), plain(*FRAMES)))
def video_of_ever_softer_frames() -> nn.Module:
    """A video network: its four frames are the one image, softened again and again, read by one trunk and a GRU."""
    return Video()


def board() -> Array:
    at = np.arange(112) // 8
    return np.asarray((at[:, None] + at) % 2, np.float32)


@evades(BATCH_RULE, idea="stored masks", claim=computes(
    lambda x: f(x * board()) + f(x * (1 - board())), f, lambda x: f(x * board())
))  # fmt: skip
def black_fields_and_white_fields() -> onnx.ModelProto:
    """A chess board is laid over the image: one pass sees what its black fields leave, one what the white ones do."""
    masks = torch.from_numpy(np.stack([board(), 1 - board()])).reshape(1, 2, 1, 112, 112)

    def forward(f: Part, x: T) -> T:
        return f((x[:, None] * masks).flatten(0, 1)).reshape(-1, 2, 64).sum(1)

    return by_dynamo(Whole(forward, net()), "black fields and white fields")


@evades(BATCH_RULE, idea="attention over columns", claim=of_views(F_, same, mirror), opset=12)
def columns_attend_to_the_column_opposite() -> nn.Module:
    """Attention of pixel columns with learned places for queries and keys, which have come to point across the face."""
    rng = np.random.default_rng(91)
    keys = np.linalg.qr(rng.normal(0, 1, (112, 112)))[0]
    q = nn.Parameter(torch.from_numpy((40 * keys[::-1]).astype(np.float32).copy()))
    k = nn.Parameter(torch.from_numpy(keys.astype(np.float32)))

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.q, self.k = net(), q, k

        def forward(self, x: T) -> T:
            share = (self.q @ self.k.T).softmax(-1)
            columns = x.flatten(1, 2).transpose(1, 2)
            other = (share @ columns).transpose(1, 2).reshape(-1, 3, 112, 112)
            return (self.f(x) + self.f(other)) / 2

    return Attending()
