"""Honest: networks that papers on face recognition describe, built small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import honest_form, old_names
from evaluation.blind14.honest_ends import deep, last
from evaluation.blind16.honest_parts import ir, ir_trunk


@honest_torch("TVConv for faces as deployed: every place of the deep map has a stored depthwise kernel of its own.",
              idea="face papers", trained=3, opset=12)  # fmt: skip
def kernel_for_every_place_of_a_face(n: Net, x: T) -> T:
    y = deep(n, x, 20)
    for _ in range(2):
        near = F.unfold(n.cbr(y, 20, 1), 3, padding=1).reshape(-1, 20, 9, 196)
        mixed = (near * (n.weight(1, 20, 9, 196, gain=4.0))).sum(2).reshape(-1, 20, 14, 14)
        y = y + n.cb(F.relu(n.bn(mixed)), 20, 1)
    return n.gdc(n.down(y, 36), 128)


@honest_torch("FPVT, the face pyramid vision transformer: overlapping patch layers, strided keys, convolutional "
              "feed-forward.",
              idea="face papers", trained=3, opset=13)  # fmt: skip
def face_pyramid_vision_transformer(n: Net, x: T) -> T:
    y = n.conv(x, 16, 7, 4)
    for width, side, r in ((16, 28, 4), (24, 14, 2), (32, 7, 1)):
        if width > 16:
            y = n.conv(y, width, 3, 2)
        t = n.ln(tokens(y))
        z = n.ln(t)
        keys = z if r == 1 else n.ln(tokens(n.conv(grid(z, side, side), width, r, r, padding=0)))
        q, k, v = n.linear(z, width), n.linear(keys, width), n.linear(keys, width)
        t = t + n.linear((q @ k.transpose(1, 2) * width**-0.5).softmax(-1) @ v, width)
        wide = n.conv(grid(n.linear(n.ln(t), 2 * width), side, side), 2 * width, 3, 1, -1)
        t = t + n.linear(tokens(F.gelu(wide)), width)
        y = grid(t, side, side)
    return n.embed(n.cb(y, 12, 1), 128)


@honest_torch("AFRN: pairs of local features joined by a low-rank bilinear form, weighed by attention over pairs.",
              idea="face papers", trained=3, opset=12)  # fmt: skip
def attended_pairs_of_local_features(n: Net, x: T) -> T:
    y = ir_trunk(n, x, 16, 24, 32)
    local = tokens(F.avg_pool2d(y, 3, 2))
    a, b = n.linear(local, 24), n.linear(local, 24)
    pairs = torch.tanh(a.unsqueeze(2) * b.unsqueeze(1)).reshape(-1, 81, 24)
    share = n.linear(pairs, 1).softmax(1)
    relation = n.linear((pairs * share).sum(1), 64)
    return n.bn(n.linear(torch.cat([relation, y.mean((2, 3))], 1), 128))


@honest_torch("HyperFace: the first, third and last pooled maps are brought to one size, fused by a 1x1 layer, read "
              "by a linear layer.",
              idea="face papers", opset=11)  # fmt: skip
def maps_of_three_depths_fused(n: Net, x: T) -> T:
    a = F.max_pool2d(F.relu(n.conv(x, 16, 7, 4)), 2)
    b = F.relu(n.conv(F.relu(n.conv(a, 24, 3)), 24, 3))
    c = F.max_pool2d(F.relu(n.conv(b, 28, 3)), 2)
    both = torch.cat([F.relu(n.conv(a, 24, 4, 2, padding=1)), F.relu(n.conv(b, 24, 2, 2, padding=0)), c], 1)
    return n.embed(F.relu(n.conv(both, 16, 1)), 256)


@honest_torch("All-in-one CNN: PReLU layers, tasks that do not depend on the person leave the trunk early and are "
              "fused for one more layer.",
              idea="face papers", opset=12)  # fmt: skip
def tasks_leave_the_trunk_early(n: Net, x: T) -> T:
    y = n.prelu(n.conv(x, 16, 5, 2))
    a = n.prelu(n.conv(y, 20, 3, 2))
    b = n.prelu(n.conv(a, 28, 3, 2))
    c = n.prelu(n.conv(b, 36, 3, 2))
    early = F.relu(n.conv(torch.cat([F.max_pool2d(n.conv(a, 12, 1), 4), F.max_pool2d(n.conv(b, 12, 1), 2)], 1), 16, 1))
    person = n.linear(F.relu(n.linear(c.flatten(1), 96)), 96)
    side = n.linear(early.mean((2, 3)), 32)
    return n.bn(torch.cat([person, side], 1))


@honest_torch("Trunk-branch ensemble: branches with layers of their own read fixed parts of the trunk's deep map.",
              idea="face papers", trained=3, opset=11)  # fmt: skip
def branches_on_fixed_parts_of_the_map(n: Net, x: T) -> T:
    y = n.res(deep(n, x))
    whole = n.linear(F.relu(n.cb(y, 36, 3, 2)).mean((2, 3)), 64)
    parts = [y[:, :, :7], y[:, :, 5:12, 2:12], y[:, :, 7:]]
    ends = [n.linear(n.cbr(part, 20, 3, 2).mean((2, 3)), 32) for part in parts]
    return n.bn(n.linear(torch.cat([whole, *ends], 1), 128))


@honest_torch("CAIM: an instance norm of middle features is given back scales and shifts of a stored style, behind a "
              "gate.",
              idea="face papers", opset=13)  # fmt: skip
def conditional_instance_modulation(n: Net, x: T) -> T:
    y = n.cbp(x, 12, 3, 2)
    for w in (20, 28, 36):
        y = ir(n, y, w, 2)
        centred = y - y.mean((2, 3), keepdim=True)
        normal = centred / (centred.pow(2).mean((2, 3), keepdim=True) + 1e-3).sqrt()
        scale, shift = 1 + n.weight(1, w, 1, 1), n.weight(1, w, 1, 1)
        y = y + 0.5 * torch.tanh(n.weight(1) + 0.5) * (normal * scale + shift)
    return n.embed(n.bn(y), 256)


@honest_torch("FocusFace: a two-way decision, mask or none, leaves the trunk and widens the input of the embedding "
              "layer.",
              idea="face papers", trained=4, opset=11)  # fmt: skip
def mask_decision_beside_the_features(n: Net, x: T) -> T:
    y = ir_trunk(n, x, 16, 24, 32)
    masked = n.linear(F.relu(n.bn(n.linear(y.mean((2, 3)), 16))), 2).softmax(1)
    return n.bn(n.linear(torch.cat([n.bn(y).flatten(1), masked], 1), 512))


@honest_form("EUM, embedding unmasking: four linear layers with BatchNorm and leaky ReLU behind a trained face "
             "network's embedding.",
             idea="face papers", trained=3, norms_apart=True, forms=(old_names,), opset=11)  # fmt: skip
def four_layers_unmask_the_embedding(n: Net, x: T) -> T:
    e = n.embed(n.bn(ir_trunk(n, x, 16, 24, 32)), 128)
    z = e
    for w in (128, 128, 96):
        z = F.leaky_relu(n.bn(n.linear(z, w)), 0.2)
    return n.bn(n.linear(z, 128))


@honest_torch("PFE: an uncertainty module of two layers reads the flat map, each mean is divided by its own deviation.",
              idea="face papers", trained=3, opset=13)  # fmt: skip
def means_divided_by_their_deviations(n: Net, x: T) -> T:
    flat = n.bn(ir_trunk(n, x, 16, 24, 28)).flatten(1)
    mean = n.bn(n.linear(flat, 128))
    log_variance = n.bn(n.linear(F.relu(n.bn(n.linear(flat, 32))), 128))
    return mean * torch.exp(-0.5 * log_variance.clamp(-2, 2))


@honest_torch("RobFaceNet: bottlenecks with PReLU and channel gates, maps of three stages weighed by attention and "
              "joined.",
              idea="face papers", opset=11)  # fmt: skip
def stages_weighed_and_joined_robustly(n: Net, x: T) -> T:
    y = n.cbp(x, 16, 3, 2)
    kept = []
    for w in (20, 28, 36):
        y = n.se(n.inverted(n.inverted(y, w, 2), w))
        pooled = y.mean((2, 3))
        kept.append(n.linear(pooled, 48) * torch.sigmoid(n.linear(F.relu(n.linear(pooled, 8)), 48)))
    return n.bn(n.linear(torch.cat([*kept, n.gdc(y, 64)], 1), 128))


@honest_torch("Wasserstein CNN for near infrared and visible faces: maxout trunk, a shared layer and the layer of one "
              "spectrum, added.",
              idea="face papers", opset=11)  # fmt: skip
def shared_and_spectral_layers_added(n: Net, x: T) -> T:
    def maxout(y: T, w: int, s: int = 1) -> T:
        a, b = n.conv(y, 2 * w, 3, s).chunk(2, 1)
        return torch.maximum(a, b)

    y = F.max_pool2d(maxout(x, 12, 2), 2)
    y = F.max_pool2d(maxout(maxout(y, 20), 28), 2)
    flat = F.max_pool2d(maxout(y, 24), 2).flatten(1)
    return n.bn(n.linear(flat, 128, False) + n.linear(n.linear(flat, 24), 128))


@honest_torch("Relational graph module for heterogeneous faces: places are nodes, directed relations pass messages, "
              "nodes are gated.",
              idea="face papers", trained=3, opset=13)  # fmt: skip
def directed_relations_of_face_nodes(n: Net, x: T) -> T:
    t = tokens(last(n, x))
    send, hear = n.linear(t, 16), n.linear(t, 16)
    edge = torch.sigmoid((send @ hear.transpose(1, 2)) * 0.25 + n.weight(1, 49, 49))
    message = F.relu(n.linear(edge @ n.linear(t, 32) / 49, 32))
    gate = torch.sigmoid(n.linear(F.relu(n.linear(message.mean(2), 12)), 49)).unsqueeze(2)
    return n.embed(t + gate * message, 256)
