"""Evasions: tokens of a second look as another scale, as long filters, as decisions of a tree and of a router."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T
from evaluation.blind11.evasions_tokens import Second, blue_for_red, case, other_side, sets, upside_down


def middle(conv: nn.Conv2d, x: T) -> T:
    """Sum the kernel by fours and halve the stride: what the layer gives for the middle at twice the size."""
    return F.conv2d(x[:, :, 28:84, 28:84], 4 * F.avg_pool2d(conv.weight, 2), conv.bias, 8)


def class_token_that_asks_the_enlarged_middle(n: Net, x: T, second: Second | None) -> T:
    """As in CrossViT, trained, a class token asks another scale: the middle at twice the size, by smaller kernels."""
    t, s = sets(n, x, second)
    token = n.weight(1, 1, 32, gain=2.0).expand(x.shape[0], -1, -1)
    both = n.block(torch.cat([token, t], 1))
    asks, others = both[:, :1], n.block(s)
    score = n.linear(asks, 32) @ n.linear(others, 32).transpose(1, 2) / 5.7
    asks = n.ln(asks + score.softmax(2) @ n.linear(others, 32))
    return n.embed(torch.cat([asks[:, 0], n.ln(both[:, 1:]).mean(1)], 1), 64)


case("two scales", class_token_that_asks_the_enlarged_middle, middle, 6, 14)


def long_filters_made_of_another_side(n: Net, x: T, second: Second | None) -> T:
    """As in Hyena, tokens are convolved with a filter as long as they are; the filter is made of the mirror image."""
    t, s = sets(n, x, second)
    far = torch.arange(49)[:, None] - torch.arange(49)[None]
    filters = torch.tanh(n.linear(n.ln(s), 32)) * torch.exp(-torch.arange(49).float() / 16)[:, None]
    toeplitz = filters.index_select(1, far.clamp(0, 48).flatten()).reshape(-1, 49, 49, 32)
    toeplitz = toeplitz * (far >= 0).float()[..., None]
    value, gate = n.linear(n.ln(t), 64).chunk(2, 2)
    t = t + torch.sigmoid(gate) * (toeplitz * value[:, None]).sum(2)
    t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 64)


case("long filters", long_filters_made_of_another_side, other_side, 0, 13)


def soft_tree_whose_decisions_follow_another_look(n: Net, x: T, second: Second | None) -> T:
    """A trained soft tree of sixteen leaves: decisions are taken on the face upside down, leaves read the face."""
    t, s = (F.relu(n.linear(y.flatten(1), 48)) for y in sets(n, x, second))
    decision = torch.sigmoid(4 * n.bn(n.linear(s, 15)))
    share = torch.ones_like(decision[:, :1])
    for depth in range(4):
        here = decision[:, 2**depth - 1 : 2 ** (depth + 1) - 1]
        share = torch.stack([share * here, share * (1 - here)], 2).flatten(1)
    leaves = n.linear(t, 256).reshape(-1, 16, 16)
    return n.embed((share[:, :, None] * leaves).flatten(1), 64)


case("soft tree", soft_tree_whose_decisions_follow_another_look, upside_down, 6, 12)


def experts_whose_router_sees_other_colours(n: Net, x: T, second: Second | None) -> T:
    """Four trained experts for each patch; the router that shares a patch out to them sees it with blue for red."""
    t, s = sets(n, x, second)
    share = (3 * n.linear(n.ln(s), 4)).softmax(2)
    for _ in range(2):
        y = n.ln(t)
        hidden = F.gelu(n.linear(y, 96)).reshape(-1, 49, 4, 24) * share[..., None]
        t = t + n.linear(hidden.flatten(2), 32)
        t = t + n.attention(n.ln(t))
    return n.embed(n.ln(t).mean(1), 64)


case("router", experts_whose_router_sees_other_colours, blue_for_red, 6, 16)
