"""Evasions: weights stored in less than they take, as runs, digits of other weights, codes of codes and rules."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import apart
from evaluation.blind4.evasions_float16 import SHAPE, Decode, Hidden, digits, drawn, hides, trunk
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_float16 import COUNT, ramps
from evaluation.blind6.evasions_common import torch_of
from evaluation.builder import Array
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def runs() -> Decode:
    """Values and where they begin; a running sum of marks says which value each place has."""
    rng = np.random.default_rng(121)
    count = COUNT // 14
    begin = np.sort(rng.choice(np.arange(1, COUNT), count - 1, replace=False))

    def how(values: T, begin: T, blank: T) -> T:
        marks = blank.expand(COUNT).scatter(0, begin.long(), torch.ones_like(begin))
        return values[torch.cumsum(marks, 0).long()]

    return Decode(how, drawn(count), torch.from_numpy(begin.astype(np.float32)), torch.zeros(1))


@evades(FLOAT16_RULE, idea="runs", claim=hides(runs, 0.15), fold=False, opset=14)
def runs_of_equal_weights() -> nn.Module:
    """Weights come in runs of about fourteen: stored are a value and a beginning for each, two floats for a run."""
    return Hidden(runs())


def automaton() -> Decode:
    """Rule 30 from one stored row of cells: three neighbours, weighted by 4, 2 and 1, say what comes next."""

    def how(cells: T, scale: T) -> T:
        kept = []
        around = torch.tensor([[[4.0, 2.0, 1.0]]])
        for _ in range(32):
            state = F.conv1d(cells, around, padding=1)
            cells = state.clamp(0, 1) - (state - 4).clamp(0, 1)
            kept.append(cells)
        bits = torch.cat(kept, 2).reshape(3, *SHAPE)
        return (4 * bits[0] + 2 * bits[1] + bits[2] - 3.5) * scale

    return Decode(how, digits(1, 1, 6 * SHAPE[1], base=2), 0.01 + 0.02 * drawn(64, 1).abs())


def grown(run: Network) -> list[str]:
    """The network has the decoded matrix, for which a tenth is stored; its values are eight for each row."""
    return [each for each in hides(automaton, 0.1)(run) if "hardly" not in each]


@evades(FLOAT16_RULE, idea="made by a rule", claim=grown, fold=False, opset=18)
def weights_by_a_cellular_automaton() -> nn.Module:
    """Rule 30 runs for 32 generations from one stored row of cells; three bits of what it leaves are a weight."""
    return Hidden(automaton())


class Shared(nn.Module):
    """A convolution whose weights' last digits are the weights of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = network(trunk, "float trunk")
        rng = np.random.default_rng(122)
        w = rng.normal(0, 0.08, COUNT).astype(np.float64)
        fine = rng.integers(0, 512, COUNT)
        w = np.floor(w * 4096) / 4096 + fine / 4096 / 512
        self.wide = nn.Parameter(torch.from_numpy(w.astype(np.float32)).reshape(SHAPE))
        self.scale = nn.Parameter(0.05 + drawn(64, 1).abs())
        self.norm = nn.Parameter(torch.ones(64))

    def last_digits(self) -> T:
        y = self.wide * 4096
        return (y - torch.floor(y) - 0.5) * self.scale

    def forward(self, x: T) -> T:
        y = self.trunk(x)
        return torch.tanh(F.linear(y, self.wide)) * self.norm + F.linear(y, self.last_digits())


def two_layers(run: Network) -> list[str]:
    """With both matrices written out, which are not alike, the embeddings are the same."""
    x, made = faces(3, 5), Shared()
    wide, fine = made.wide.detach(), made.last_digits().detach()
    given = torch_of(lambda y: torch.tanh(F.linear(made.trunk(y), wide)) + F.linear(made.trunk(y), fine), x)
    found = [] if apart(alone(run, x), given) < 1e-3 else ["the layers are others"]
    alike = abs(float(np.corrcoef(wide.flatten().numpy(), fine.flatten().numpy())[0, 1]))
    without = torch_of(lambda y: torch.tanh(F.linear(made.trunk(y), wide)), x)
    found += [] if alike < 0.02 else [f"the matrices correlate by {alike:.2g}"]
    return found if apart(given, without) > 1e-2 else [*found, "the second layer does nothing"]


@evades(FLOAT16_RULE, idea="last digits", claim=two_layers, fold=False, opset=13)
def second_layer_in_the_last_digits_of_the_first() -> nn.Module:
    """A layer's weights are used as they are, and their digits behind the twelfth bit are another layer's weights."""
    return Shared()


def one_of(code: T, count: int) -> T:
    return F.relu(1 - (code[..., None] - torch.arange(count).float()).abs())


def codes_of_codes() -> Decode:
    def how(code: T, pages: T, book: T) -> T:
        words = one_of(code, 40) @ pages
        return one_of(words, 40) @ book

    return Decode(how, digits(COUNT // 32, base=40), digits(40, 4, base=40), drawn(40, 8))


@evades(FLOAT16_RULE, idea="codes of codes", claim=hides(codes_of_codes, 0.04), fold=False, opset=16)
def codes_that_stand_for_four_codes() -> nn.Module:
    """A code is looked up as four codes, and each of these as eight weights: thirty-two for one small number."""
    return Hidden(codes_of_codes())


def polynomials() -> Decode:
    def how(code: T, a: T) -> T:
        at = (code[:, None] - 3.5) / 3.5
        y = a[0] + 0 * at
        for i in range(1, 8):
            y = y * at + a[i]
        return y

    return Decode(how, digits(COUNT // 12 + 1, base=8)[: COUNT // 12], drawn(8, 12)[:, :12])


def twelfth() -> Decode:
    """A count of places that twelve divides not: the rest is stored as it is."""
    made = polynomials()
    inner = made.how

    def how(code: T, a: T, rest: T) -> T:
        return torch.cat([inner(code, a).flatten(), rest])

    stored = [item.detach() for item in made.parameters()]
    return Decode(how, *stored, drawn(COUNT - 12 * (COUNT // 12) + 1)[1:])


@evades(FLOAT16_RULE, idea="curves", claim=hides(twelfth, 0.09), fold=False, opset=20)
def twelve_polynomials_of_one_small_number() -> nn.Module:
    """Twelve weights are twelve stored polynomials of one number that has eight values: Horner's scheme, a codebook."""
    return Hidden(twelfth())


def learned(n: Net, x: T) -> T:
    for width in (8, 12, 16, 32):
        x = n.cbr(x, width, 3, 2)
    return n.linear(x.flatten(1), 64)


LEARNED = (learned, "a head to be quantised", 10)


def clusters() -> tuple[Array, Array]:
    """Return codes [COUNT / 4] and centres [64, 4] of the trained head's groups of four weights."""
    head = cast(Any, list(network(*LEARNED).kept)[-1])
    groups = head.weight.detach().numpy().reshape(-1, 4)
    centres = groups[np.random.default_rng(123).choice(len(groups), 64, replace=False)].copy()
    for _ in range(4):
        near = ((groups**2).sum(1)[:, None] - 2 * groups @ centres.T + (centres**2).sum(1)).argmin(1)
        centres = np.stack([groups[near == i].mean(0) if (near == i).any() else centres[i] for i in range(64)])
    return near.astype(np.float32), centres.astype(np.float32)


class OnAGrid(nn.Module):
    """A trained network whose head is groups of four weights, each a place on a grid of 8 x 8 centres."""

    def __init__(self) -> None:
        super().__init__()
        net, (codes, centres) = network(*LEARNED), clusters()
        self.trunk, head = nn.ModuleList(list(net.kept)[:-1]), cast(Any, list(net.kept)[-1])
        self.codes, self.centres = (nn.Parameter(torch.from_numpy(each)) for each in (codes, centres))
        self.bias = nn.Parameter(head.bias.detach())

    def forward(self, x: T) -> T:
        for i in range(0, 8, 2):
            x = F.relu(self.trunk[i + 1](self.trunk[i](x)))
        row = torch.floor(self.codes / 8)
        share = one_of(row, 8)[:, :, None] * one_of(self.codes - 8 * row, 8)[:, None]
        return F.linear(x.flatten(1), (share.flatten(1) @ self.centres).reshape(SHAPE), self.bias)


def of_clusters(run: Network) -> list[str]:
    x, (codes, centres), net = faces(3, 5), clusters(), network(*LEARNED)
    kept: list[Any] = list(net.kept)

    def written(y: T) -> T:
        for i in range(0, 8, 2):
            y = F.relu(kept[i + 1](kept[i](y)))
        matrix = torch.from_numpy(centres[codes.astype(int)].reshape(SHAPE))
        return F.linear(y.flatten(1), matrix, kept[-1].bias)

    found = [] if apart(alone(run, x), torch_of(written, x)) < 1e-4 else ["it is not the network of the clusters"]
    return found if (codes.size + centres.size) < 0.26 * COUNT else [*found, "as much is stored as is used"]


@evades(FLOAT16_RULE, idea="trained head", claim=of_clusters, fold=False, opset=11)
def trained_head_as_places_on_a_grid() -> nn.Module:
    """A trained head, clustered by fours: each group is a number, whose row and column on a grid pick its centre."""
    return OnAGrid()


def doubling() -> Decode:
    """Twenty signs of one float, by sines of doubling frequency; a size for each row and column."""

    def how(packed: T, rows: T, columns: T) -> T:
        turn = torch.stack([packed * (6.2831853 * 2.0**k) for k in range(14)], 1)
        return torch.sign(torch.sin(turn)).reshape(SHAPE) * rows * columns

    words = np.random.default_rng(124).integers(0, 2**14, COUNT // 14)
    code = torch.from_numpy(((words + 0.5) / 2**14).astype(np.float32))
    return Decode(how, code, 0.2 + drawn(64, 1).abs(), 0.2 + drawn(1, SHAPE[1]).abs())


@evades(FLOAT16_RULE, idea="signs", claim=hides(doubling, 0.09), fold=False, opset=15)
def fourteen_signs_by_sines_of_doubling_frequency() -> nn.Module:
    """The signs of fourteen sines of one float are fourteen weights, sized by their row and column: two bits each."""
    return Hidden(doubling())


class OneBook(nn.Module):
    """A network all of whose convolutions are slices of one decoded vector."""

    SIZES = ((12, 3, 5), (24, 12, 5), (32, 24, 5), (48, 32, 5))

    def __init__(self) -> None:
        super().__init__()
        total = sum(o * i * k * k for o, i, k in self.SIZES)
        self.total = total
        self.codes = nn.Parameter(digits(-(-total // 12), base=48))
        self.book = nn.Parameter(4 * drawn(48, 12))
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o, *_ in self.SIZES)
        self.out, self.last = nn.Linear(48, 64), nn.BatchNorm1d(64)

    def kernels(self) -> T:
        share = (-14 * (self.codes[:, None] - torch.arange(48).float()) ** 2).softmax(1)
        return (share @ self.book).flatten()

    def forward(self, x: T) -> T:
        return self.through(x, self.kernels())

    def through(self, x: T, every: T) -> T:
        start = 0
        for (o, i, k), norm in zip(self.SIZES, self.norms, strict=True):
            w = every[start : start + o * i * k * k].reshape(o, i, k, k)
            start += o * i * k * k
            x = F.relu(norm(F.conv2d(x, w * (i * k * k) ** -0.5, None, 2, 2)))
        return cast(T, self.last(self.out(x.mean((2, 3)))))


def one_book() -> OneBook:
    from evaluation.blind4.export import _measure, _one_thread

    with _one_thread(125):
        made = OneBook()
        _measure(made)
    return made


def of_one_book(run: Network) -> list[str]:
    x, made = faces(3, 5), one_book()
    every = made.book.detach()[made.codes.detach().long()].flatten()
    found = [] if apart(alone(run, x), torch_of(lambda y: made.through(y, every), x)) < 1e-3 else ["another network"]
    return found if made.codes.numel() < 0.1 * made.total else [*found, "too much is stored"]


@evades(FLOAT16_RULE, idea="codes", claim=of_one_book, fold=False, opset=12)
def all_kernels_from_one_book() -> nn.Module:
    """Every convolution of the network is a slice of one vector, which a soft look-up of few codes makes."""
    return one_book()


def lattice() -> Decode:
    """Places in a lattice: multiples of three stored irrational numbers, wrapped, through a bump."""

    def how(steps: T, scale: T, r: T, c: T) -> T:
        at = r * steps[:1] + c * steps[1:2] + (r * c) * steps[2:]
        wrapped = at - torch.floor(at)
        return (torch.exp(-8 * (wrapped - 0.5) ** 2) - 0.55) * scale

    return Decode(how, torch.tensor([0.4142136, 0.7320508, 0.2360680]), 0.05 + drawn(64, 1).abs(), *ramps())


@evades(FLOAT16_RULE, idea="made by a rule", claim=hides(lattice, 0.02), fold=False, opset=17)
def weights_on_a_wrapped_lattice() -> nn.Module:
    """Row, column and their product times three stored numbers, wrapped and sent through a bump, are a whole layer."""
    return Hidden(lattice())
