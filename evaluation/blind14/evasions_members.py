"""Evasions: a second look takes part within a network: in kernels it makes, states, slots, norms and streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind14.evasions_nets import View, box, member, mirrored, tensor, zoomed


def layer(n: Net, ins: int, outs: int, k: int = 3, s: int = 2) -> Any:
    """Make a convolution with BatchNorm that may be called several times."""
    return n.keep(lambda: nn.Sequential(nn.Conv2d(ins, outs, k, s, k // 2, bias=False), nn.BatchNorm2d(outs)))


def shared(n: Net, *looks: T, widths: tuple[int, ...] = (16, 24)) -> list[T]:
    """Run layers of stride two over several looks: one set of weights."""
    made, ins = list(looks), 3
    for i, width in enumerate(widths):
        conv = layer(n, ins, width, 3 if i else 5, 2 if i else 4)
        made, ins = [F.relu(conv(y)) for y in made], width
    return made


@member("hypernetwork", mirrored, 6, 13)
def kernels_of_a_layer_are_made_by_the_mirrored_look(n: Net, x: T, view: View) -> T:
    """A hypernetwork, trained: a pass over the mirror image makes, for each image, the deep layer of the pass."""
    a, b = shared(n, x, view(x))
    w = n.linear(F.relu(n.linear(F.avg_pool2d(b, 7).flatten(1), 24)), 24 * 24).reshape(-1, 24, 24)
    y = (w @ a.flatten(2)).reshape(-1, 24, 14, 14)
    return n.embed(F.relu(n.cb(F.relu(n.bn(y)), 32, 3, 2)), 64)


@member("state space", lambda x: x.flip(2), 0, 14)
def state_space_over_columns_starts_where_another_look_ended(n: Net, x: T, view: View) -> T:
    """Diagonal state spaces read the columns of the face; they start in the state that its upside down form left."""
    one, two = (y.flatten(1, 2).transpose(1, 2) for y in shared(n, x, view(x)))
    drive, fade = n.keep(lambda: nn.Linear(336, 96)), torch.sigmoid(n.weight(1, 96, gain=10.0) + 1.5)
    state, seen = torch.zeros_like(drive(one[:, 0])), []
    for step in range(14):
        state = fade * state + drive(two[:, step])
    for step in range(14):
        state = fade * state + drive(one[:, step])
        seen.append(state)
    y = n.linear(F.gelu(torch.stack(seen[6::7], 1)), 48)
    return n.embed(F.gelu(y).flatten(1), 64)


@member("selective state", lambda x: zoomed(x.flip(3), 1.15), 6, 15)
def steps_of_a_selective_scan_are_those_of_a_nearer_look(n: Net, x: T, view: View) -> T:
    """A small Mamba, trained: step sizes and read-outs follow from patches of a mirrored, nearer look."""
    conv = n.keep(lambda: nn.Conv2d(3, 24, 16, 16))
    a, b = tokens(conv(x)), tokens(conv(view(x)))
    for _ in range(2):
        u, z = n.ln(a), n.ln(b)
        step, fed, read = F.softplus(n.linear(z, 24)), n.linear(u, 24), n.linear(z, 24)
        fade = torch.exp(-step * n.weight(1, 1, 24, gain=3.0).abs())
        state, made = torch.zeros_like(fed[:, 0]), []
        for k in range(49):
            state = fade[:, k] * state + step[:, k] * fed[:, k]
            made.append(state * torch.sigmoid(read[:, k]))
        a = a + n.linear(torch.stack(made, 1), 24)
    return n.embed(n.ln(a).reshape(-1, 7, 7 * 24).mean(1), 64)


def drift(x: T) -> T:
    """Stack four frames in which the face comes nearer: [4, N, 3, 112, 112]."""
    return torch.stack([zoomed(x, 1 + 0.09 * k, 0, 2.0 * k) for k in range(4)])


@member("recurrence", drift, 0, 16, instead=lambda x: torch.stack([x] * 4))
def convolutional_recurrence_over_a_face_that_comes_nearer(n: Net, x: T, view: View) -> T:
    """A convolutional GRU for video: four frames, in which the face is enlarged step by step, update one map."""
    frames = shared(n, *view(x).unbind(0))
    gate, new = layer(n, 48, 48, 3, 1), layer(n, 48, 24, 3, 1)
    h = 0 * frames[0]
    for f in frames:
        z, r = torch.sigmoid(gate(torch.cat([h, f], 1))).chunk(2, 1)
        h = z * h + (1 - z) * torch.tanh(new(torch.cat([r * h, f], 1)))
    return n.embed(n.cbr(h, 32, 3, 2), 64)


@member("spatial norm", lambda x: x.transpose(2, 3), 4, 17)
def normalised_map_is_painted_by_the_transposed_look(n: Net, x: T, view: View) -> T:
    """Spatially adaptive normalisation, trained: maps of scale and shift are drawn by the face over its diagonal."""
    one, two = layer(n, 3, 16, 5, 4), layer(n, 16, 24)
    a, b = F.relu(one(x)), F.relu(one(view(x)))
    for _ in range(2):
        hint = F.relu(n.bn(n.conv(b, 12)))
        y = F.instance_norm(a) * (1 + 2 * n.conv(hint, 16, 1)) + 3 * n.conv(hint, 16, 1)
        a = a + n.conv(F.relu(y), 16)
    return n.embed(n.cbr(F.relu(two(a)), 32, 3, 2), 64)


@member("slots", mirrored, 0, 13)
def slots_compete_for_patches_of_two_looks(n: Net, x: T, view: View) -> T:
    """Slot attention: six slots compete, in three rounds, for the patches of the face and of its mirror image."""
    t = torch.cat([tokens(y) for y in shared(n, x, view(x), widths=(16, 28))], 1)
    t = n.ln(t)
    k, v = n.linear(t, 28), n.linear(t, 28)
    ask, mix = n.keep(lambda: nn.Linear(28, 28)), n.keep(lambda: nn.Linear(56, 28))
    s = n.weight(1, 6, 28, gain=5.0) + 0 * t[:, :1]
    for _ in range(3):
        share = (1.5 * ask(s) @ k.transpose(1, 2)).softmax(1) + 1e-4
        s = s + torch.tanh(mix(torch.cat([s, (share / share.sum(2, keepdim=True)) @ v], 2)))
    return n.embed(s.flatten(1), 64)


@member("token merging", lambda x: zoomed(x.flip(3), 1.0, 6, 6), 6, 13)
def each_token_merges_with_its_best_match_in_a_moved_look(n: Net, x: T, view: View) -> T:
    """Token merging, trained: each patch is merged with the one of the mirrored, moved face that is most like it."""
    conv = n.keep(lambda: nn.Conv2d(3, 32, 16, 16))
    place = n.weight(1, 49, 32, gain=1.0)
    a, b = tokens(conv(x)) + place, tokens(conv(view(x))) + place
    best = (F.normalize(a, dim=2) @ F.normalize(b, dim=2).transpose(1, 2)).argmax(2)
    match = torch.gather(b, 1, best[:, :, None].expand(-1, -1, 32))
    t = n.block(n.block(0.3 * a + 0.7 * match))
    return n.embed(n.ln(t).reshape(-1, 7, 224), 64)


@member("divisive norm", lambda x: 0.7 * x.flip(3) - 0.2, 0, 11)
def divided_by_the_energies_of_a_darker_mirrored_look(n: Net, x: T, view: View) -> T:
    """Divisive normalisation: maps are divided by the energies of a darker mirror image at the same places."""
    ins, a, b = 3, x, view(x)
    for width in (16, 24, 32):
        conv = layer(n, ins, width, 5 if ins == 3 else 3, 4 if ins == 3 else 2)
        a, b = conv(a), conv(b)
        pool = (F.avg_pool2d(b * b, 3, 1, 1) + 0.05).sqrt()
        a, b, ins = F.relu(a) / (0.1 + pool), F.relu(b), width
    return n.embed(a, 64)


@member("axial attention", lambda x: x.flip(2, 3), 0, 15)
def rows_are_attended_in_one_look_and_columns_in_another(n: Net, x: T, view: View) -> T:
    """Axial attention along rows asks the face; that along columns asks the half turned face."""
    a, b = (y.permute(0, 2, 3, 1) for y in shared(n, x, view(x)))
    for _ in range(2):
        q, k, v = n.linear(a, 72).chunk(3, 3)
        a = a + n.linear((q @ k.transpose(2, 3)).softmax(3) @ v, 24)
        q = n.linear(a, 24).transpose(1, 2)
        k, v = (y.transpose(1, 2) for y in n.linear(b, 48).chunk(2, 3))
        a = a + 2 * n.linear(((q @ k.transpose(2, 3)).softmax(3) @ v).transpose(1, 2), 24)
    return n.embed(n.cbr(n.ln(a).permute(0, 3, 1, 2), 32, 3, 2), 64)


@member("feature pyramid", lambda x: zoomed(x.flip(3), 0.88), 5, 12)
def top_of_the_pyramid_comes_down_from_a_smaller_look(n: Net, x: T, view: View) -> T:
    """A feature pyramid, trained: what comes from above into fine maps is of the smaller, mirrored face."""
    one, two, three = layer(n, 3, 16, 5, 4), layer(n, 16, 24), layer(n, 24, 32)
    a, b = F.relu(one(x)), F.relu(one(view(x)))
    mid, deep = F.relu(two(a)), F.relu(three(F.relu(two(b))))
    y = n.conv(mid, 24, 1) + 1.5 * F.interpolate(n.conv(deep, 24, 1), scale_factor=2.0)
    y = n.conv(a, 24, 1) + F.interpolate(n.cb(y, 24), scale_factor=2.0)
    return n.embed(n.down(n.down(F.relu(y), 28), 32), 64)


@member("cross spectrum", lambda x: x[:, [2, 1, 0]].flip(3), 0, 13)
def cross_spectrum_of_the_maps_of_two_looks(n: Net, x: T, view: View) -> T:
    """Maps of the face and of it mirrored with blue for red are multiplied in a Fourier domain: their correlation."""
    a, b = shared(n, x, view(x))
    at = np.arange(14)
    c, s = (tensor(w(2 * np.pi * at[:, None] * at[None] / 14)) for w in (np.cos, np.sin))

    def spectrum(y: T) -> tuple[T, T]:
        p, q = y @ c, y @ s
        return c @ p - s @ q, c @ q + s @ p

    (p, q), (r, t) = spectrum(a), spectrum(b)
    real, other = (p * r + q * t)[..., :7, :7], (q * r - p * t)[..., :7, :7]
    y = torch.cat([real.sign() * (real.abs() + 0.1).sqrt(), other.sign() * (other.abs() + 0.1).sqrt()], 1)
    return n.embed(n.cbr(n.bn(y), 40, 1), 64)


@member("reversible streams", lambda x: zoomed(x, 1.2, -4, 0), 6, 14)
def reversible_streams_begin_with_two_crops(n: Net, x: T, view: View) -> T:
    """A reversible transformer, trained: one stream begins with patches of the face, the other with those of a crop."""
    conv, place = n.keep(lambda: nn.Conv2d(3, 24, 16, 16)), n.weight(1, 49, 24, gain=2.0)
    a, b = tokens(conv(x)) + place, tokens(conv(view(x))) + place
    for _ in range(2):
        a = a + n.attention(n.ln(b))
        b = b + n.ff(n.ln(a))
    return n.embed(n.cbr(grid(n.ln(torch.cat([a, b], 2)), 7, 7), 24, 1), 64)


@member("memory", lambda x: box(x, 5).flip(2), 0, 17)
def fast_weights_written_by_one_look_and_read_by_another(n: Net, x: T, view: View) -> T:
    """Fast weights by the delta rule: patches of a soft, upside down look write a matrix, which the face reads."""
    conv, place = n.keep(lambda: nn.Conv2d(3, 24, 16, 16)), n.weight(1, 49, 24, gain=1.0)
    a, b = tokens(conv(x)) + place, tokens(conv(view(x))) + place
    k, v, q = F.normalize(n.linear(b, 16), dim=2), n.linear(b, 24), F.normalize(n.linear(a, 16), dim=2)
    rate = torch.sigmoid(n.linear(b, 1))
    w = 0 * k[:, 0, :, None] * v[:, 0, None]
    for i in range(49):
        key = k[:, i, None]
        w = w + rate[:, i, None] * key.transpose(1, 2) @ (v[:, i, None] - key @ w)
    return n.embed(n.ln(0.5 * a + 2 * q @ w).flatten(1), 64)


@member("guidance", lambda x: x.flip(3), 6, 18)
def patches_predicted_from_the_mirrored_side_take_part(n: Net, x: T, view: View) -> T:
    """A cross decoder, trained: hidden upper patches are filled in from the mirror image, then all are embedded."""
    conv, place = n.keep(lambda: nn.Conv2d(3, 28, 16, 16)), n.weight(1, 49, 28, gain=2.0)
    a, b = tokens(conv(x)) + place, tokens(conv(view(x))) + place
    b = n.block(b)
    share = (n.linear(a[:, :28], 28) @ n.linear(b, 28).transpose(1, 2) / 5).softmax(2)
    filled = share @ n.linear(b, 28) + n.linear(b[:, :28], 28)
    return n.embed(n.ln(n.block(torch.cat([filled, a[:, 28:]], 1))).flatten(1), 64)
