"""Evasions: weights in the golden base, words of a code, lists, trees, fitted signs, a torus, ciphers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_float16 import SHAPE, Decode, Hidden, digits, drawn, hides, trunk
from evaluation.blind4.export import embedded, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_float16 import COUNT
from evaluation.blind16.evasions_nets import tensor
from evaluation.builder import Array
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def headed(n: Net, x: T) -> T:
    return n.embed(trunk(n, x), 64)


def trained() -> Any:
    return network(headed, "codes of the sixteenth set", 8)


def matrix() -> Array:
    return np.asarray(trained().kept[8].weight.detach().numpy().astype(np.float64))


class Coded(nn.Module):
    """The trained network, whose head's matrix is decoded."""

    def __init__(self, decode: nn.Module) -> None:
        super().__init__()
        kept = trained().kept
        self.layers, self.decode = nn.ModuleList(kept[:8]), decode
        self.offset, self.norm = nn.Parameter(kept[8].bias.detach().clone()), kept[9]

    def forward(self, x: T) -> T:
        for i in range(0, 8, 2):
            x = F.relu(self.layers[i + 1](self.layers[i](x)))
        y: T = self.norm(F.linear(x.flatten(1), self.decode().reshape(SHAPE), self.offset))
        return y


def keeps(make: Any, share: float) -> Claim:
    """Claim that the network is the decoded one, nearly the trained one, and stores few floats for each weight."""

    def wrong(run: Network) -> list[str]:
        x, decode = faces(3, 5), make()
        given = alone(run, x)
        off, lost = apart(given, embedded(Coded(decode), x)), apart(given, embedded(trained(), x))
        found = [] if off < 1e-3 and lost < 0.05 else [f"{off:.2g} from the decoded, {lost:.2g} from the trained one"]
        stored = sum(item.numel() for item in decode.parameters()) / COUNT
        return found if stored <= share else [*found, f"{stored:.2f} floats are stored for each weight"]

    return wrong


def lowest(code: T, base: float, count: int) -> list[T]:
    """Take the lowest digits off, one after the other; a half is added where division is not exact."""
    half = 0.0 if np.log2(base) % 1 == 0 else 0.5
    rest, made = code, []
    for _ in range(count):
        high = torch.floor((rest + half) / base)
        made.append(rest - base * high)
        rest = high
    return made


GOLDEN = (1 + np.sqrt(5)) / 2


def golden() -> Decode:
    """Write fractions in the golden base; windows of five of their sixteen digits are weights."""

    def how(code: T, taps: T, rows: T) -> T:
        rest, bits = code, []
        for k in range(18):
            one = (rest > GOLDEN ** -(k + 1)).float()
            rest = rest - one * GOLDEN ** -(k + 1)
            bits.append(one)
        made = [taps[0] * bits[k] + taps[1] * bits[k + 1] + taps[2] * bits[k + 2] + taps[3] * bits[k + 3]
                + taps[4] * bits[k + 4] for k in range(14)]  # fmt: skip
        y = torch.stack(made, 1)
        return (y - y.mean(0)).reshape(SHAPE) * rows

    code = tensor(np.random.default_rng(1621).uniform(0, 1, COUNT // 14))
    return Decode(how, code, tensor([1.0, -0.8, 0.55, -0.4, 0.3]), drawn(64, 1).abs() + 0.02)


@evades(FLOAT16_RULE, idea="golden base", claim=hides(golden, 0.08), fold=False, opset=13)
def digits_in_the_base_of_the_golden_section() -> nn.Module:
    """Fractions are written in the golden base, digit by digit; five digits in a row, weighed, are a weight."""
    return Hidden(golden())


def golay() -> Decode:
    """Make 24 signs of twelve bits by a stored self-dual code, two words to a float and sizes by place."""
    squares = {0, 1, 3, 4, 5, 9}
    inner = np.array([[float((i + j) % 11 in squares) for j in range(11)] for i in range(11)])
    body = np.block([[inner, np.ones((11, 1))], [np.ones((1, 11)), np.zeros((1, 1))]])
    generator = np.concatenate([np.eye(12), body], 1)

    def how(code: T, generator: T, sizes: T, rows: T) -> T:
        bits = torch.stack(lowest(code, 2.0, 24), 1).reshape(-1, 12)
        words = bits @ generator
        signs = 1 - 2 * (words - 2 * torch.floor(words / 2))
        return (signs.reshape(-1, 48) * sizes).flatten()[:COUNT].reshape(SHAPE) * rows

    rng = np.random.default_rng(1622)
    sizes = tensor(np.abs(rng.normal(0.8, 0.4, 48)))
    return Decode(how, digits(-(-COUNT // 48), base=2**24), tensor(generator), sizes, drawn(64, 1).abs() + 0.02)


@evades(FLOAT16_RULE, idea="words of a code", claim=hides(golay, 0.03), fold=False, opset=14)
def signs_as_words_of_an_error_correcting_code() -> nn.Module:
    """A float is 24 bits; each twelve of them times Golay's matrix, modulo two, are 24 signs of stored sizes."""
    return Hidden(golay())


def moved_to_front() -> Decode:
    """Keep a trained head in eight levels, named by places in a list whose last used entry comes first."""
    w = matrix()
    size = w.std(1, keepdims=True)
    levels = np.array([-2.1, -1.3, -0.75, -0.25, 0.25, 0.75, 1.3, 2.1])
    named = np.abs((w / size)[:, :, None] - levels).argmin(2).reshape(-1, 7)
    codes = np.zeros(len(named))
    order = np.tile(np.arange(8), (len(named), 1))
    for k in range(7):
        place = (order == named[:, k : k + 1]).argmax(1)
        codes += place * 8.0**k
        for row, p in enumerate(place):
            order[row, : p + 1] = np.roll(order[row, : p + 1], 1)

    def how(code: T, levels: T, scale: T) -> T:
        entries = [levels[j] + 0 * code for j in range(8)]
        made = []
        for place in lowest(code, 8.0, 7):
            here = [(torch.abs(place - j) < 0.5).float() for j in range(8)]
            chosen = torch.stack([h * e for h, e in zip(here, entries, strict=True)]).sum(0)
            later = [(place > j - 0.5).float() for j in range(8)]
            entries = [chosen] + [later[j] * entries[j - 1] + (1 - later[j]) * entries[j] for j in range(1, 8)]
            made.append(chosen)
        return torch.stack(made, 1).reshape(SHAPE) * scale

    return Decode(how, tensor(codes), tensor(levels), tensor(size))


@evades(FLOAT16_RULE, idea="list", claim=keeps(moved_to_front, 0.16), fold=False, opset=15)
def trained_levels_by_a_list_whose_last_entry_comes_first() -> nn.Module:
    """Move to front: seven places in a list of levels, which changes with each, are one float of a trained head."""
    return Coded(moved_to_front())


#: Bits of the mean of eight weights, and of the differences at each of three steps.
TREE = (6, 5, 4, 4, 3, 3, 3, 3)


def tree_of_means() -> Decode:
    """Keep a trained head by eights as a rounded mean and seven rounded differences, in two floats."""
    w = matrix()
    size = w.std(1, keepdims=True)
    y = (w / size).reshape(-1, 8)
    parts: list[Array] = []
    while y.shape[1] > 1:
        a, b = y[:, ::2], y[:, 1::2]
        parts, y = [(a - b) / 2, *parts], (a + b) / 2
    terms = np.concatenate([y, *parts], 1)
    steps = np.array([3.0 / 2 ** (bits - 1) for bits in TREE])
    whole = np.stack([np.clip(np.round(terms[:, k] / steps[k]), -(2 ** (b - 1)), 2 ** (b - 1) - 1) + 2 ** (b - 1)
                      for k, b in enumerate(TREE)], 1)  # fmt: skip
    codes = [sum(whole[:, k] * 2.0 ** sum(TREE[s:k]) for k in range(s, s + 4)) for s in (0, 4)]

    def how(first: T, second: T, steps: T, scale: T) -> T:
        y = []
        for start, rest in ((0, first), (4, second)):
            for k in range(start, start + 4):
                high = torch.floor(rest / 2.0 ** TREE[k])
                y.append((rest - high * 2.0 ** TREE[k] - 2.0 ** (TREE[k] - 1)) * steps[k])
                rest = high
        made = [y[0]]
        for level in (1, 2, 4):
            off = y[level : 2 * level]
            made = [part for a, d in zip(made, off, strict=True) for part in (a + d, a - d)]
        return torch.stack(made, 1).reshape(SHAPE) * scale

    return Decode(how, tensor(codes[0]), tensor(codes[1]), tensor(steps), tensor(size))


@evades(FLOAT16_RULE, idea="tree of means", claim=keeps(tree_of_means, 0.26), fold=False, opset=16)
def trained_weights_as_trees_of_means_and_differences() -> nn.Module:
    """Each eight trained weights are a mean and seven differences in ever fewer bits, packed in two floats."""
    return Coded(tree_of_means())


def fitted_signs() -> Decode:
    """Keep a trained head as four matrices of signs with sizes for each row, fitted one to what the others leave."""
    w = matrix()
    rest, signs, sizes = w.copy(), [], []
    for _ in range(4):
        sign = np.where(rest > 0, 1.0, -1.0)
        size = np.abs(rest).mean(1, keepdims=True)
        rest = rest - size * sign
        signs.append(sign)
        sizes.append(size)
    basis = np.stack(signs, 2)
    best = np.stack([np.linalg.lstsq(basis[i], w[i], rcond=None)[0] for i in range(len(w))])
    bits = np.pad((basis > 0).reshape(-1), (0, -basis.size % 24)).reshape(-1, 24)

    def how(code: T, sizes: T) -> T:
        bits = torch.stack(lowest(code, 2.0, 24), 1).flatten()[: 4 * COUNT].reshape(64, 1568, 4)
        return ((2 * bits - 1) * sizes[:, None]).sum(2)

    return Decode(how, tensor(bits @ 2.0 ** np.arange(24)), tensor(best))


@evades(FLOAT16_RULE, idea="fitted signs", claim=keeps(fitted_signs, 0.18), fold=False, opset=18)
def trained_head_as_four_fitted_matrices_of_signs() -> nn.Module:
    """A trained row is the sum of four rows of signs of fitted sizes; 24 signs are the bits of each stored float."""
    return Coded(fitted_signs())


def torus() -> Decode:
    """Let Arnold's map knead stored points of a torus: both coordinates of each of eight steps are weights."""

    def how(a: T, b: T, rows: T) -> T:
        made = []
        for _ in range(8):
            a, b = (a + b) / 4096, (a + 2 * b) / 4096
            a, b = 4096 * (a - torch.floor(a)), 4096 * (b - torch.floor(b))
            made += [a, b]
        return (torch.stack(made, 1).reshape(SHAPE) / 2048 - 1) * rows

    count = COUNT // 16
    return Decode(how, digits(count, base=4096), digits(count + 1, base=4096)[1:], drawn(64, 1).abs() + 0.02)


@evades(FLOAT16_RULE, idea="torus", claim=hides(torus, 0.14), fold=False, opset=12)
def points_kneaded_on_a_torus() -> nn.Module:
    """Arnold's cat: two stored whole numbers are a point on a torus; its next eight places are sixteen weights."""
    return Hidden(torus())


def cipher() -> Decode:
    """Encipher the number of each place in six rounds with six stored keys; the result is the weight."""

    def how(keys: T, rows: T) -> T:
        at = (0 * keys[:1] + 1).expand(COUNT).cumsum(0)
        left = torch.floor(at / 512)
        right = at - 512 * left
        for k in range(6):
            mixed = right * (right + keys[k]) + 17 * keys[k]
            mixed = torch.floor(mixed / 32) + left
            left, right = right, mixed - 512 * torch.floor(mixed / 512)
        return ((left / 512 + right / 262144) * 2 - 1).reshape(SHAPE) * rows

    return Decode(how, tensor([211, 97, 389, 301, 53, 467]), drawn(64, 1).abs() + 0.02)


@evades(FLOAT16_RULE, idea="cipher", claim=hides(cipher, 0.01), fold=False, opset=17)
def places_enciphered_in_six_rounds_are_weights() -> nn.Module:
    """A Feistel network with six keys enciphers the number of each place; no weight of the head is stored at all."""
    return Hidden(cipher())
