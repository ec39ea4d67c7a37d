"""Evasions: tokens of a second look inside of attention, memories, routing, transport and generated kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind11.evasions_nets import Parts, Rerun, by_hand
from evaluation.case import BATCH_RULE

#: A patch layer and the image to a map as the layer gives it for another look, without any other image.
Second = Callable[[nn.Conv2d, T], T]
Body2 = Callable[[Net, T, "Second | None"], T]


def upside_down(conv: nn.Conv2d, x: T) -> T:
    return F.conv2d(x, conv.weight.flip(2), conv.bias, conv.stride).flip(2)


def other_side(conv: nn.Conv2d, x: T) -> T:
    return F.conv2d(x, conv.weight.flip(3), conv.bias, conv.stride).flip(3)


def lower_right(conv: nn.Conv2d, x: T) -> T:
    """Pad above and to the left, and cut: the image moved by five pixels."""
    return F.conv2d(F.pad(x, (5, 0, 5, 0))[:, :, :112, :112], conv.weight, conv.bias, conv.stride)


def paler(conv: nn.Conv2d, x: T) -> T:
    """Halve what varies and add light, behind the layer: a factor and the kernel's sum."""
    assert conv.bias is not None
    light = 0.4 * conv.weight.sum((1, 2, 3)).reshape(1, -1, 1, 1)
    return 0.5 * conv(x) + 0.5 * conv.bias.reshape(1, -1, 1, 1) + light


def blue_for_red(conv: nn.Conv2d, x: T) -> T:
    return F.conv2d(x, conv.weight.flip(1), conv.bias, conv.stride)


def coarse(conv: nn.Conv2d, x: T) -> T:
    """Make the kernel even in blocks of four: what the layer gives for a coarse image."""
    w = F.avg_pool2d(conv.weight, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return F.conv2d(x, w, conv.bias, conv.stride)


def sets(n: Net, x: T, second: Second | None) -> tuple[T, T]:
    """Return tokens [N, 49, 32] of the image and of the second look, or twice those of the image."""
    conv = cast(nn.Conv2d, n.keep(lambda: nn.Conv2d(3, 32, 16, 16)))
    places = n.weight(1, 49, 32, gain=2.0)
    one = conv(x).flatten(2).transpose(1, 2) + places
    return one, one if second is None else second(conv, x).flatten(2).transpose(1, 2) + places


def case(idea: str, body: Body2, second: Second, trained: int = 0, opset: int = 13) -> None:
    """Register the body with the second look; its docstring is that of the case."""
    parts: Parts = (lambda n, x: body(n, x, None), f"eleventh {body.__name__}", trained)

    def said(n: Net, x: T) -> T:
        return body(n, x, second)

    def make() -> nn.Module:
        return Rerun(parts, said)

    make.__name__, make.__doc__ = body.__name__, body.__doc__
    evades(BATCH_RULE, idea=idea, opset=opset, claim=by_hand(parts, said))(make)


def scores_of_attention_added_from_another_side(n: Net, x: T, second: Second | None) -> T:
    """No value comes of the mirror image: how alike its patches are is added to the scores of a trained attention."""
    t, s = sets(n, x, second)
    like = F.normalize(n.ln(s), dim=2)
    bias = 6 * (like @ like.transpose(1, 2))[:, None]
    for _ in range(2):
        t = n.block(t, 2, bias)
    return n.embed(n.ln(t).mean(1), 64)


case("scores", scores_of_attention_added_from_another_side, other_side, 6)


def fast_weights_written_by_a_coarse_look(n: Net, x: T, second: Second | None) -> T:
    """A matrix of fast weights is written by the delta rule, row by row, from coarse patches; the face's ask it."""
    t, s = sets(n, x, second)
    q, k, v = F.normalize(n.linear(n.ln(t), 16), dim=2), F.normalize(n.linear(n.ln(s), 16), dim=2), n.linear(s, 32)
    memory = torch.zeros_like(k[:, 0, :, None] * v[:, 0, None])
    for i in range(7):
        key, value = k[:, 7 * i : 7 * i + 7], v[:, 7 * i : 7 * i + 7]
        memory = memory + 0.3 * key.transpose(1, 2) @ (value - key @ memory)
    t = t + 8 * q @ memory
    t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 64)


case("fast weights", fast_weights_written_by_a_coarse_look, coarse, 0, 12)


def patches_carried_by_transport_between_two_looks(n: Net, x: T, second: Second | None) -> T:
    """Five rounds of Sinkhorn carry the patches of the moved image to those of the face; trained; all go on."""
    t, s = sets(n, x, second)
    plan = torch.exp(4 * F.normalize(n.linear(t, 16), dim=2) @ F.normalize(n.linear(s, 16), dim=2).transpose(1, 2))
    for _ in range(5):
        plan = plan / plan.sum(1, keepdim=True)
        plan = plan / plan.sum(2, keepdim=True)
    t = n.ln(t + plan @ n.linear(s, 32))
    t = t + n.ff(t)
    return n.embed(n.ln(t).mean(1), 64)


case("transport", patches_carried_by_transport_between_two_looks, lower_right, 6, 14)


def capsules_that_hear_votes_of_two_looks(n: Net, x: T, second: Second | None) -> T:
    """Capsules are routed by agreement in three rounds; half of the votes come of the face, blue for red; trained."""
    both = torch.cat(sets(n, x, second), 1)
    u = n.linear(both, 128).reshape(-1, 98, 8, 16)
    b = torch.zeros_like(u[..., :1])
    v = u.mean(1, keepdim=True)
    for _ in range(3):
        v = (b.softmax(2) * u).sum(1, keepdim=True)
        size = (v * v).sum(3, keepdim=True)
        v = v * size.sqrt() / (1 + size)
        b = b + (u * v).sum(3, keepdim=True)
    return n.embed(v.flatten(1), 64)


case("capsules", capsules_that_hear_votes_of_two_looks, blue_for_red, 6)


def blocks_conditioned_on_a_paler_look(n: Net, x: T, second: Second | None) -> T:
    """As in a diffusion transformer, scale, shift and gate of each block follow from a mean: that of a paler image."""
    t, s = sets(n, x, second)
    told = F.silu(n.linear(s.mean(1, keepdim=True), 32))
    for _ in range(2):
        scale, shift, gate = n.linear(told, 96).chunk(3, 2)
        y = n.ln(t) * (1 + 3 * scale) + 3 * shift
        t = t + (1 + gate) * n.attention(y)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 64)


case("conditioned blocks", blocks_conditioned_on_a_paler_look, paler, 0, 17)


def one_block_looped_with_the_input_put_in_again(n: Net, x: T, second: Second | None) -> T:
    """A looped transformer: one trained block runs three times, and its input is put in again: at last upside down."""
    t, s = sets(n, x, second)
    norm, ask, up, down = (n.keep(layer) for layer in (
        lambda: nn.LayerNorm(32), lambda: nn.Linear(32, 96), lambda: nn.Linear(32, 64), lambda: nn.Linear(64, 32)
    ))  # fmt: skip
    state = torch.zeros_like(t)
    for put in (t, t, s):
        state = norm(state + put)
        q, k, v = ask(state).chunk(3, 2)
        state = state + (q @ k.transpose(1, 2) / 5.7).softmax(2) @ v
        state = state + down(F.gelu(up(state)))
    return n.embed(n.ln(state).mean(1), 64)


case("looped block", one_block_looped_with_the_input_put_in_again, upside_down, 6)


def patches_related_pair_by_pair(n: Net, x: T, second: Second | None) -> T:
    """A relation network: one layer for every pair of a patch of the face and one of the mirror image, summed."""
    t, s = sets(n, x, second)
    a, b = n.linear(t, 24), n.linear(s, 24)
    pairs = F.relu(a[:, :, None] + b[:, None])
    y = F.relu(n.linear(pairs, 24)).mean((1, 2))
    return n.embed(torch.cat([y, F.relu(n.linear(t, 32)).mean(1)], 1), 64)


case("relations", patches_related_pair_by_pair, other_side, 0, 11)


def kernels_generated_from_the_face_upside_down(n: Net, x: T, second: Second | None) -> T:
    """A trained depthwise layer takes its kernels from a hypernetwork, which is shown the face upside down."""
    t, s = sets(n, x, second)
    y = t.transpose(1, 2).reshape(-1, 32, 7, 7)
    made = n.linear(F.relu(n.ln(n.linear(s.flatten(1), 32))), 288).reshape(-1, 32, 9, 1, 1)
    parts = [F.pad(y, (1, 1, 1, 1))[:, :, i : i + 7, j : j + 7] for i in range(3) for j in range(3)]
    y = F.relu(n.bn((torch.stack(parts, 2) * made).sum(2))) + 0.3 * y
    return n.embed(n.cbr(y, 48, 1).mean((2, 3)), 64)


case("generated kernels", kernels_generated_from_the_face_upside_down, upside_down, 6, 16)


def differential_equation_driven_from_one_look_to_another(n: Net, x: T, second: Second | None) -> T:
    """Two Runge-Kutta steps of a trained neural equation, whose input goes over from the face to the mirror image."""
    t, s = sets(n, x, second)
    wide, narrow = n.keep(lambda: nn.Linear(64, 48)), n.keep(lambda: nn.Linear(48, 32))

    def slope(time: float, z: T) -> T:
        return cast(T, narrow(torch.tanh(wide(torch.cat([z, 4 * (1 - time) * t + 4 * time * s], 2)))))

    z = t
    for start in (0.0, 0.5):
        a = slope(start, z)
        b = slope(start + 0.25, z + 0.25 * a)
        c = slope(start + 0.25, z + 0.25 * b)
        d = slope(start + 0.5, z + 0.5 * c)
        z = z + (a + 2 * b + 2 * c + d) / 12
    return n.embed(n.ln(z).flatten(1), 64)


case("differential equation", differential_equation_driven_from_one_look_to_another, other_side, 6, 13)


def sparse_code_that_explains_two_looks(n: Net, x: T, second: Second | None) -> T:
    """Five steps of shrinkage find one sparse code for each place that explains both the face and it moved."""
    t, s = sets(n, x, second)
    one, two = n.keep(lambda: nn.Linear(32, 64)), n.keep(lambda: nn.Linear(32, 64))
    drive, again = one(t) + two(s), n.weight(64, 64, gain=0.5)
    z = torch.zeros_like(drive)
    for _ in range(5):
        z = drive + z @ again
        z = torch.sign(z) * F.relu(z.abs() - 0.4)
    return n.embed(z.mean(1), 64)


case("sparse code", sparse_code_that_explains_two_looks, lower_right, 0, 12)


def cross_stitched_columns(n: Net, x: T, second: Second | None) -> T:
    """Two columns with one set of trained weights exchange a tenth of their maps; one of them sees a pale image."""
    t, s = (y.transpose(1, 2).reshape(-1, 32, 7, 7) for y in sets(n, x, second))
    for width in (32, 40):
        t, s = F.relu(n.conv(torch.cat([t, s]), width)).chunk(2)
        t, s = 0.9 * t + 0.1 * s, 0.9 * s + 0.1 * t
    return n.embed((t * (1 + s)).mean((2, 3)), 64)


case("cross-stitch", cross_stitched_columns, paler, 6, 15)


def recurrence_whose_clock_ticks_for_two_looks(n: Net, x: T, second: Second | None) -> T:
    """A clockwork recurrence: quick units read rows of the face, slow ones, in every other step, rows upside down."""
    t, s = (y.reshape(-1, 7, 224) for y in sets(n, x, second))
    quick, slow = n.keep(lambda: nn.Linear(224 + 48, 24)), n.keep(lambda: nn.Linear(224 + 24, 24))
    a = torch.zeros_like(t[:, 0, :24])
    b = a
    for i in range(7):
        a = torch.tanh(quick(torch.cat([t[:, i], a, b], 1)))
        if i % 2 == 0:
            b = torch.tanh(slow(torch.cat([s[:, i], b], 1)))
    return n.embed(torch.cat([a, b], 1), 64)


case("clockwork", recurrence_whose_clock_ticks_for_two_looks, upside_down, 0, 14)
