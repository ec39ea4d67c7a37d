"""Honest: ways of PyTorch's exporters: assignments in place, folds, guards, fixed batches, weights left as trained."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import by_onnxruntime, converted, honest_form, old_names, weights_as_nodes


@honest_torch("A shift of channel groups by assignment in place on features, ScatterND in the file.",
              idea="exports", trained=3, opset=11)  # fmt: skip
def shifted_groups_in_place(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 16, 3, 2), 24, 3, 2)
    for width in (32, 40):
        y = torch.zeros_like(x)
        y[:, :4, 1:] = x[:, :4, :-1]
        y[:, 4:8, :-1] = x[:, 4:8, 1:]
        y[:, 8:] = x[:, 8:]
        x = n.cbr(n.cbr(y, 32, 1), width, 3, 2)
    return n.gdc(x, 128)


@honest_torch("Overlapping patches of features attended and folded back by opset 18's Col2Im.", idea="exports",
              trained=3, opset=18)  # fmt: skip
def folded_back_by_col2im(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 16, 3, 2), 16, 3, 2)
    t = n.linear(F.unfold(x, 4, stride=2, padding=1).transpose(1, 2), 48)
    t = n.block(t)
    y = F.fold(n.linear(t, 256).transpose(1, 2), (14, 14), 4, stride=2, padding=1)
    return n.gdc(n.down(x + 0.3 * y, 32), 128)


@honest_torch("Guards left in: nan_to_num of features, where of a finite test, clamps of a norm; opset 12.",
              idea="exports", opset=12)  # fmt: skip
def guards_against_nan(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cbp(x, width, 3, 2)
        x = torch.where(torch.isnan(x), torch.zeros_like(x), x).clamp(-50, 50)
    y = n.embed(x, 128)
    return y / y.norm(dim=1, keepdim=True).clamp(min=1e-6)


@honest_torch("Weight normalisation with gains as exponentials, left in the graph; no batch norm within.",
              idea="weights in the graph", trained=4, opset=11, fold=False)  # fmt: skip
def exponential_weight_gains(n: Net, x: T) -> T:
    for cin, cout in ((3, 12), (12, 16), (16, 24), (24, 32)):
        v = n.weight(cout, cin * 9)
        w = v / (v.norm(dim=1, keepdim=True) + 1e-6) * (n.weight(cout, 1, gain=0.3) + 0.5).exp()
        x = F.elu(F.conv2d(x, w.reshape(cout, cin, 3, 3), None, 2, 1))
    return n.embed(x, 128)


@honest_torch("Structured layers by rotation of each kernel row (Givens angles kept in file) behind pointwise layers.",
              idea="weights in the graph", opset=13, fold=False)  # fmt: skip
def givens_turned_channels(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2), 32, 3, 2)
    for turn in range(3):
        a = n.weight(1, 16, 1, 1, gain=2.0)
        c, s = torch.cos(a), torch.sin(a)
        p, q = x[:, ::2], x[:, 1::2]
        x = torch.cat([c * p - s * q, s * p + c * q], 1)
        x = F.relu(x + n.cb(x, 32, 3, 1, 4 if turn else 1))
    return n.gdc(n.down(x, 32), 128)


@honest_torch("Exported for a batch of two by the older exporter: GhostNet-like, shuffled, no size is worked out.",
              idea="fixed batch", trained=3, opset=13, batch=2)  # fmt: skip
def ghost_units_for_two(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        a = n.cbp(x, width // 2, 1)
        y = torch.cat([a, n.cbp(a, width // 2, 3, 1, -1)], 1)
        x = n.cb(n.cbp(y, width, 3, 2, -1), width, 1) + n.cb(x, width, 1, 2)
    return n.gdc(x, 256)


@honest_torch("By torch.export: LayerNorms behind 7x7 depthwise layers, channel gates, strides of 2x2; opset 18.",
              idea="torch.export", opset=18, dynamo=True)  # fmt: skip
def dynamo_gates_behind_norms(n: Net, x: T) -> T:
    x = n.conv(x, 24, 4, 4, padding=0)
    for width in (32, 40):
        y = n.ln2d(n.conv(x, int(x.shape[1]), 7, 1, -1))
        x = n.conv(n.se(F.gelu(y)), width, 2, 2, padding=0)
    return n.embed(x, 128)


@honest_torch("By torch.export: RoPE along rows and columns by stored tables, RMS norms, SwiGLU; opset 18.",
              idea="torch.export", trained=3, opset=18, dynamo=True)  # fmt: skip
def dynamo_rotary_tables(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16, places=False)
    at = torch.arange(49)
    rate = torch.tensor([1.0, 0.4, 0.16, 0.06])
    turn = torch.cat([(at // 7)[:, None] * rate, (at % 7)[:, None] * rate], 1)
    c, s = torch.cos(turn), torch.sin(turn)

    def placed(z: T) -> T:
        a, b = z[..., :8], z[..., 8:]
        return torch.cat([a * c - b * s, a * s + b * c], -1)

    for _ in range(2):
        y = t / (t.pow(2).mean(2, keepdim=True) + 1e-6).sqrt() * (1 + n.weight(1, 1, 32))
        q, k, v = n.heads(y, 2)
        y = ((placed(q) @ placed(k).transpose(2, 3)) * 0.25).softmax(3) @ v
        t = t + n.linear(y.transpose(1, 2).reshape(-1, 49, 32), 32)
        t = t + n.linear(F.silu(n.linear(t, 48)) * n.linear(t, 48), 32)
    return n.embed(n.ln(t).mean(1), 256)


@honest_torch("By torch.export: octave-like streams with average pools and nearest up-sampling of features; opset 19.",
              idea="torch.export", opset=19, dynamo=True)  # fmt: skip
def dynamo_two_rate_streams(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 24, 3, 2)
    high, low = x, F.avg_pool2d(x, 2)
    for width in (24, 32):
        a = n.cb(high, width) + F.interpolate(n.cb(low, width, 1), scale_factor=2.0, mode="nearest")
        b = n.cb(low, width) + n.cb(F.avg_pool2d(high, 2), width, 1)
        high, low = F.relu(a), F.relu(b)
    return n.gdc(n.down(torch.cat([n.down(high, 32), low], 1), 40), 128)


@honest_torch("By torch.export: a pooled query reads deep tokens by multi-head attention, opset 20, GELU.",
              idea="torch.export", trained=3, opset=20, dynamo=True)  # fmt: skip
def dynamo_pooled_query(n: Net, x: T) -> T:
    t = tokens(n.cb(F.gelu(n.cb(n.stem(x, 20), 28, 3, 2)), 32, 3, 2))
    t = n.block(t)
    q = n.linear(n.ln(t.mean(1, keepdim=True)), 32).reshape(-1, 1, 4, 8).transpose(1, 2)
    k, v = n.linear(n.ln(t), 64).chunk(2, 2)
    k, v = (z.reshape(-1, 49, 4, 8).transpose(1, 2) for z in (k, v))
    y = ((q @ k.transpose(2, 3)) * 8**-0.5).softmax(3) @ v
    return n.embed(y.transpose(1, 2).reshape(-1, 32), 128)


@honest_form("MobileFaceNet with ECA-like gates, trained, BatchNorm apart, names of PyTorch 1.7.", idea="tools",
             trained=4, norms_apart=True, forms=(old_names,), opset=11)  # fmt: skip
def old_named_gated_mobile(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2)
        g = n.same(x.mean((2, 3)).unsqueeze(1), lambda: torch.nn.Conv1d(1, 1, 3, padding=1, bias=False))
        x = x * torch.sigmoid(g).transpose(1, 2).unsqueeze(3)
    return n.gdc(x, 128)


@honest_form("A patch mixer written at opset 13, saved by onnxruntime's optimiser, weights then put into nodes.",
             idea="tools", trained=3, forms=(by_onnxruntime, weights_as_nodes), opset=13)  # fmt: skip
def optimised_then_constants(n: Net, x: T) -> T:
    t = n.patches(x, 32, 14)
    for _ in range(2):
        t = t + n.linear(F.gelu(n.linear(n.ln(t).transpose(1, 2), 48)), 64).transpose(1, 2)
        t = t + n.ff(n.ln(t))
    return n.embed(n.ln(t).mean(1), 128)


@honest_form("Pixels of 0 to 255: 127.5 off, 128 under, a gated residual face network, converted from opset 12 to 15.",
             idea="raw", trained=4, before=lambda x: (x - 127.5) * 0.0078125, forms=(old_names, converted(15)),
             opset=12)  # fmt: skip
def raw_converted_gated_residual(n: Net, x: T) -> T:
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.se(n.cb(n.cbp(n.bn(x), width), width, 3, 2)) + n.cb(x, width, 1, 2)
    return n.embed(n.bn(x), 256)


@honest_form("Pixels of 0 to 255 turned to BGR after Sub and Mul, a narrow ConvNeXt-like net, old names.", idea="raw",
             trained=3, before=lambda x: ((x - 127.5) * 0.0078125).flip(1), forms=(old_names,), opset=13)  # fmt: skip
def raw_flipped_colours_convnext(n: Net, x: T) -> T:
    x = n.conv(x, 24, 4, 4, padding=0)
    for width in (32, 40):
        c = int(x.shape[1])
        y = n.ln(n.conv(x, c, 7, 1, -1).permute(0, 2, 3, 1))
        y = n.linear(F.gelu(n.linear(y, 64)), c)
        x = n.conv(x + y.permute(0, 3, 1, 2), width, 2, 2, padding=0)
    return n.embed(x, 128)


@honest_torch("DenseNet-style joins with a learned softmax mix of three poolings before each transition.",
              idea="exports", trained=3, opset=14)  # fmt: skip
def mixed_poolings_of_joins(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (24, 32, 40):
        for _ in range(2):
            x = torch.cat([x, n.conv(F.relu(n.bn(x)), 8, bias=False)], 1)
        m = n.weight(3).softmax(0)
        x = F.relu(n.cb(x, width, 1))
        x = m[0] * F.avg_pool2d(x, 2) + m[1] * F.max_pool2d(x, 2) + m[2] * (F.avg_pool2d(x * x, 2) + 1e-5).sqrt()
    return n.embed(x, 128)


@honest_torch("Sizes from the tensors themselves in each step: split heads, reshaped maps, roots of a traced width.",
              idea="exports", opset=11, fold=False)  # fmt: skip
def sizes_from_the_tensors(n: Net, x: T) -> T:
    x = n.cb(n.stem(x, 16), 32, 3, 2)
    for _ in range(2):
        b, c, h, w = x.shape
        t = x.view(b, c, h * w).permute(0, 2, 1)
        q, k, v = n.linear(n.ln(t), 3 * 32).view(b, h * w, 3, 4, 8).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(-1)
        t = t + n.linear((a @ v).transpose(1, 2).reshape(b, h * w, c), 32)
        x = grid(t + n.ff(n.ln(t)), 14, 14)
    return n.gdc(n.down(x, 32), 128)
