"""Honest: searched and scaled trunks with a face network's head."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, shuffle, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep
from evaluation.blind16.honest_parts import mbconv, separable


def squeezed(n: Net, x: T, width: int, s: int = 1) -> T:
    """Write ReLU, a 1x1 layer and BatchNorm, the way states enter a cell."""
    return n.cb(F.relu(x), width, 1, s)


@honest_torch("PC-DARTS: an edge works on a quarter of the channels, the others pass, and channels are shuffled.",
              idea="searched trunks", opset=11)  # fmt: skip
def cell_of_partly_connected_channels(n: Net, x: T) -> T:
    y = deep(n, x, 24)
    for _ in range(2):
        states = [y, squeezed(n, y, 24)]
        for i in range(2):
            part, rest = torch.split(states[i], [6, 18], 1)
            edge = shuffle(torch.cat([separable(n, part, 6, 3), rest], 1), 4)
            states.append(edge + separable(n, states[i + 1], 24, 5))
        y = n.cb(torch.cat(states[2:], 1), 24, 1) + y
    return n.gdc(n.down(y, 36), 128)


@honest_torch("GDAS with its fixed reduction cell: a wide-then-tall branch and a maximum, both normalised and joined.",
              idea="searched trunks", opset=12)  # fmt: skip
def cells_with_a_fixed_reduction(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w in (24, 36):
        a, b = squeezed(n, y, w), separable(n, y, w, 3)
        y = n.cb(torch.cat([a + separable(n, b, w, 5), b + F.max_pool2d(a, 3, 1, 1)], 1), w, 1)
        tall = n.cb(n.conv(n.conv(F.relu(y), w, (1, 3), (1, 2)), w, (3, 1), (2, 1)), w, 1)
        y = torch.cat([tall, n.bn(F.max_pool2d(y, 3, 2, 1))], 1)
    return n.gdc(n.cbr(y, 48, 1), 128)


@honest_torch("FairNAS-A: inverted units of uneven kernels and factors, ReLU6, one uniform sampling chose each.",
              idea="searched trunks", opset=11)  # fmt: skip
def fairly_sampled_inverted_units(n: Net, x: T) -> T:
    y = F.relu6(n.cb(x, 12, 3, 2))
    for w, k, e, s in ((16, 3, 1, 1), (20, 7, 3, 2), (20, 3, 3, 1), (28, 7, 2, 2), (28, 5, 3, 1), (40, 5, 3, 2)):
        c = int(y.shape[1])
        z = n.cb(F.relu6(n.cb(F.relu6(n.cb(y, e * c, 1)), e * c, k, s, -1)), w, 1)
        y = y + z if s == 1 and w == c else z
    return n.gdc(F.relu6(n.cb(y, 64, 1)), 128)


@honest_torch("SCARLET-NAS: skipped units became linear 1x1 layers without activation, others have kernels and gates.",
              idea="searched trunks", opset=13)  # fmt: skip
def skips_became_linear_layers(n: Net, x: T) -> T:
    y = F.hardswish(n.cb(x, 16, 3, 2))
    for w in (20, 28, 40):
        y = n.se(mbconv(n, y, w, 5, 2))
        y = n.conv(y, w, 1, bias=False)
        y = mbconv(n, y, w, 3)
    return n.gdc(y, 256)


@honest_torch("Genetic CNN: a stage is a code of bits that says which of its nodes are joined; inputs are summed.",
              idea="searched trunks", trained=3, opset=11)  # fmt: skip
def stages_written_as_bits(n: Net, x: T) -> T:
    y = n.stem(x, 20)
    for w, code in ((28, (("1",), ("0", "1"), ("1", "1", "0"))), (36, (("1",), ("1", "0"), ("0", "1", "1")))):
        y = n.down(y, w)
        nodes = [n.cbr(y, w)]
        for bits in code:
            chosen = [node for node, bit in zip(nodes, bits, strict=True) if bit == "1"]
            total = chosen[0]
            for more in chosen[1:]:
                total = total + more
            nodes.append(n.cbr(total, w))
        y = n.cbr(nodes[-1] + nodes[-2] + y, w)
    return n.embed(y, 128)


@honest_torch("ENAS micro cell: five nodes of separable layers, means and identities, loose ends joined.",
              idea="searched trunks", opset=12)  # fmt: skip
def five_nodes_with_loose_ends(n: Net, x: T) -> T:
    before, y = n.stem(x, 24), n.stem(x, 24)
    for w, s in ((24, 1), (32, 2), (32, 2)):
        if int(before.shape[2]) != int(y.shape[2]):
            before = F.avg_pool2d(before, 2)
        a, b = squeezed(n, before, w), squeezed(n, y, w)
        c = separable(n, b, w, 3) + b
        d = F.avg_pool2d(a, 3, 1, 1) + separable(n, b, w, 5)
        e = F.avg_pool2d(b, 3, 1, 1) + a
        f = separable(n, c, w, 5) + F.avg_pool2d(a, 3, 1, 1)
        out = n.cbr(torch.cat([d, e, f], 1), w, 3 if s == 2 else 1, s)
        before, y = y, out
    return n.gdc(y, 128)


@honest_torch("Block-QNN: the block that a Q-learner found, a 3x3 and a 5x5 pre-activated layer, a sum, a 1x1 layer, "
              "joined.",
              idea="searched trunks", opset=11)  # fmt: skip
def block_found_by_a_learner(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w in (20, 28):
        a = n.conv(F.relu(n.bn(y)), w, 3)
        b = n.conv(F.relu(n.bn(a)), w, 5)
        c = n.conv(F.relu(n.bn(y)), w, 1)
        d = n.conv(F.relu(n.bn(b + c)), w, 1)
        y = F.max_pool2d(torch.cat([a, c, d], 1), 2)
    return n.embed(n.cbr(y, 24, 1), 128)


@honest_torch("FBNetV2: masks over channels and resolutions are gone after the search, odd widths and late gates stay.",
              idea="searched trunks", trained=3, opset=14)  # fmt: skip
def masked_search_left_odd_widths(n: Net, x: T) -> T:
    y = F.hardswish(n.cb(x, 13, 3, 2))
    for i, (w, k) in enumerate(((19, 5), (27, 5), (37, 3))):
        c = int(y.shape[1])
        z = F.hardswish(n.cb(F.hardswish(n.cb(y, 3 * c - 2, 1)), 3 * c - 2, k, 2, -1))
        y = n.cb(n.se(z) if i else z, w, 1)
    return n.gdc(F.hardswish(n.cb(y, 70, 1)), 128)


@honest_torch("NASViT: MBConv stages, then blocks whose heads are joined by a switchable scale and talk before the "
              "sum.",
              idea="searched trunks", trained=3, opset=13)  # fmt: skip
def searched_mobile_then_attention(n: Net, x: T) -> T:
    y = mbconv(n, F.silu(n.cb(x, 12, 3, 2)), 20, 3, 2)
    y = mbconv(n, mbconv(n, y, 28, 5, 2), 32, 3, 2)
    t = tokens(y)
    for _ in range(2):
        q, k, v = n.heads(n.ln(t), 4)
        share = (q @ k.transpose(2, 3) * 8**-0.5).softmax(-1)
        share = (share.permute(0, 2, 3, 1) @ n.weight(4, 4, gain=2.0)).permute(0, 3, 1, 2)
        z = n.linear((share @ v).transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + (0.5 + n.weight(1)) * z
        t = t + (0.5 + n.weight(1)) * n.linear(F.hardswish(n.linear(n.ln(t), 64)), 32)
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("ZenNet: super residual bottlenecks with idle batch norms gone, found without any training.",
              idea="searched trunks", opset=11)  # fmt: skip
def super_bottlenecks_of_zen_score(n: Net, x: T) -> T:
    y = n.cbr(x, 12, 3, 2)
    for w, b, k in ((20, 16, 5), (32, 24, 5), (44, 32, 5)):
        for s in (2, 1):
            z = n.cbr(n.cbr(n.cbr(y, b, 1), b, k, s, -1), w, 1)
            z = n.cb(n.cbr(n.cbr(z, b, 1), b, k, 1, -1), w, 1)
            y = F.relu(z + (y if s == 1 else n.cb(F.avg_pool2d(y, 2), w, 1)))
    return n.gdc(y, 128)
