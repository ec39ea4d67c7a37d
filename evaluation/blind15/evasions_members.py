"""Evasions: a second look takes part within a network: in codes, fields, momenta, contractions, templates and words."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind15.evasions_nets import View, box, member, mirrored, zoomed


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


@member("sparse code", mirrored, 6, 13)
def sparse_code_that_explains_two_measurements(n: Net, x: T, view: View) -> T:
    """Unrolled sparse coding, trained: one code of thresholded numbers explains maps of the face and of its mirror."""
    a, b = shared(n, x, view(x))
    up, down = n.keep(lambda: nn.Conv2d(24, 40, 3, 2, 1)), n.keep(lambda: nn.ConvTranspose2d(40, 24, 2, 2))
    code = 0 * up(a)
    for seen in (a, b, a, b, b):
        step = code + 0.7 * up(seen - 0.3 * down(code))
        code = step.sign() * F.relu(step.abs() - 0.1)
    return n.embed(code, 64)


@member("random field", lambda x: box(x, 5).flip(3), 0, 14)
def fields_of_labels_whose_pairs_come_from_a_soft_mirrored_look(n: Net, x: T, view: View) -> T:
    """A random field in four rounds: places get labels from the face, and pairs of places like in its mirror agree."""
    a, b = shared(n, x, view(x))
    feature = F.normalize(tokens(b), dim=2)
    pair = (12 * feature @ feature.transpose(1, 2)).softmax(2)
    own = 2 * tokens(n.bn(n.conv(a, 12, 1)))
    meet = n.weight(12, 12, gain=4.0)
    label = own.softmax(2)
    for _ in range(4):
        label = (0.6 * own + 3 * (pair @ label) @ meet).softmax(2)
    return n.embed(n.cbr(grid(label, 14, 14), 28, 3, 2), 64)


@member("momenta", lambda x: x.flip(2, 3), 0, 15)
def momenta_of_a_mechanical_system_begin_with_the_half_turn(n: Net, x: T, view: View) -> T:
    """A Hamiltonian network: places begin with the face, momenta with its half turn; four leaps follow."""
    q, p = shared(n, x, view(x))
    force = [n.keep(lambda: nn.Conv2d(24, 24, 3, 1, 1)) for _ in range(2)]
    for k in range(4):
        p = p - 0.6 * torch.tanh(force[k % 2](q))
        q = q + 0.8 * p
    return n.embed(n.cbr(q, 36, 3, 2), 64)


@member("matrix product state", lambda x: zoomed(x.flip(3), 1.15), 0, 16)
def chain_of_matrices_whose_even_links_are_another_look(n: Net, x: T, view: View) -> T:
    """A matrix product state: patches make matrices, which a chain multiplies; odd ones are of a nearer look."""
    conv = n.keep(lambda: nn.Conv2d(3, 64, 16, 16))
    a, b = tokens(conv(x)), tokens(conv(view(x)))
    chain = torch.stack([a, b], 2)
    made = []
    for row in range(7):
        state = 0 * a[:, 0, :24].reshape(-1, 3, 8) + n.weight(1, 3, 8, gain=2.0)
        for col in range(7):
            link = chain[:, 7 * row + col, col % 2]
            state = F.normalize(state + 0.7 * state @ link.reshape(-1, 8, 8), dim=2)
        made.append(state.flatten(1))
    return n.embed(torch.cat(made, 1), 64)


@member("denoiser", lambda x: x[:, [1, 2, 0]].flip(3), 6, 17)
def walk_of_a_denoiser_from_the_code_of_another_look(n: Net, x: T, view: View) -> T:
    """A denoising head without chance, trained: the code of the mirrored, hue-turned look walks to the face's."""
    a, b = (y.flatten(1) for y in shared(n, x, view(x), widths=(16, 24, 28)))
    code = n.keep(lambda: nn.Linear(28 * 49, 64))
    hint, z = code(a), 1.5 * code(b)
    one, two = n.keep(lambda: nn.Linear(128, 80)), n.keep(lambda: nn.Linear(80, 64))
    for share in (0.8, 0.6, 0.4):
        clean = hint + two(F.silu(one(torch.cat([z, hint], 1))))
        z = share * z + (1 - share) * clean
    return n.bn(z)


@member("template", lambda x: zoomed(x.flip(3), 1.5), 0, 12)
def template_from_the_enlarged_inner_face_runs_over_all_of_it(n: Net, x: T, view: View) -> T:
    """As one tracks in videos: maps of the mirrored, enlarged inner face are the kernels that run over the face."""
    a, b = (n.gn(y, 1) for y in shared(n, x, view(x)))
    windows = F.unfold(a, 5).reshape(-1, 24, 25, 100)
    kernel = n.gn(F.avg_pool2d(b[:, :, 2:12, 2:12], 2), 1).flatten(2)
    y = (windows * kernel[:, :, :, None]).sum(2).reshape(-1, 24, 10, 10) / 5
    return n.embed(n.cbr(n.bn(y), 36, 3, 2), 64)


@member("code words", lambda x: x.transpose(2, 3), 6, 18, dynamo=True)
def code_words_of_the_transposed_look_are_handed_on(n: Net, x: T, view: View) -> T:
    """Product quantisation, trained: patches of the face go on with code words that those over the diagonal choose."""
    a, b = (tokens(y) for y in shared(n, x, view(x), widths=(16, 24, 32)))
    made = []
    for part in range(4):
        book = n.weight(16, 8, gain=3.0)
        share = (4 * b[:, :, 8 * part : 8 * part + 8] @ book.t()).softmax(2)
        made.append(share @ book)
    t = 0.4 * a + n.linear(torch.cat(made, 2), 32)
    return n.embed(n.ln(n.block(t)).flatten(1), 64)


def spread(x: T) -> T:
    """Stack the face, it nearer and mirrored, and it lower: [3, N, 3, 112, 112]."""
    return torch.stack([x, zoomed(x.flip(3), 1.2), zoomed(x, 0.9, 8, 0)])


@member("generalised mean", spread, 0, 11)
def generalised_means_over_the_places_of_three_looks(n: Net, x: T, view: View) -> T:
    """A generalised mean with learned powers runs over the places of three looks' maps, as if they were one map."""
    maps = shared(n, *view(x).unbind(0), widths=(16, 24, 40))
    power = 2 + n.weight(1, 40, 1, gain=3.0).abs()
    every = torch.cat([y.reshape(-1, 40, 7, 7) for y in maps], 3)
    bands = [(every[:, :, k : k + 3].flatten(2) + 0.02).pow(power).mean(2).pow(1 / power[:, :, 0]) for k in (0, 2, 4)]
    return n.embed(torch.cat(bands, 1), 64)


@member("cross class tokens", lambda x: zoomed(x, 1.35, -5, 0).flip(3), 6, 14)
def class_tokens_change_places_between_a_face_and_a_crop(n: Net, x: T, view: View) -> T:
    """As CrossViT, trained: patches of the face, and of a mirrored crop; each class token asks the other set."""
    conv, place = n.keep(lambda: nn.Conv2d(3, 28, 16, 16)), n.weight(1, 49, 28, gain=2.0)
    a, b = tokens(conv(x)) + place, tokens(conv(view(x))) + place
    own = [n.weight(1, 1, 28, gain=2.0) + 0 * a[:, :1] for _ in range(2)]
    a, b = n.block(torch.cat([own[0], a], 1)), n.block(torch.cat([own[1], b], 1))
    asked = []
    for first, others in ((a, b), (b, a)):
        q, k, v = n.linear(first[:, :1], 28), n.linear(others[:, 1:], 28), n.linear(others[:, 1:], 28)
        asked.append(first[:, 0] + 2 * ((q @ k.transpose(1, 2) / 5).softmax(2) @ v)[:, 0])
    return n.embed(torch.cat([*asked, a[:, 1:].mean(1)], 1), 64)


@member("causal decoder", lambda x: (1.4 * x.flip(2) - 0.2).clamp(-1, 1), 0, 20)
def patches_that_follow_a_prompt_of_another_look(n: Net, x: T, view: View) -> T:
    """A causal decoder of patches: its prompt is the face upside down in hard light, then come the face's patches."""
    conv, place = n.keep(lambda: nn.Conv2d(3, 28, 16, 16)), n.weight(1, 98, 28, gain=1.0)
    t = torch.cat([tokens(conv(view(x))), tokens(conv(x))], 1) + place
    hidden = torch.full((98, 98), -1e4).triu(1)
    for _ in range(2):
        t = t + 2 * n.attention(n.ln(t), 2, hidden)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t[:, 49:]).reshape(-1, 7, 196).mean(1), 64)


@member("bands of maps", lambda x: zoomed(x, 1.1, 3, -4).flip(3), 0, 18)
def slow_waves_of_one_looks_maps_under_fast_ones_of_another(n: Net, x: T, view: View) -> T:
    """Two sets of maps: slow waves are those of the mirrored, moved look, fast ones those of the face."""
    a, b = shared(n, x, view(x))
    y = a - box(a, 5) + 1.5 * box(b, 5)
    y = F.relu(n.cb(y, 32, 3))
    z = torch.cat([y, box(n.conv(b, 12, 1), 3)], 1)
    return n.embed(n.cbr(z, 36, 3, 2), 64)
