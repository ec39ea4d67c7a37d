"""Networks as data: a branch's weights can be emitted several times, shared, copied or transformed, or side by side.

An evasion repeats an honest body. To say exactly what it computes, the body exists here apart from any graph: a dict of
weights, the meaning of every axis (so that channels can be permuted and rescaled without a change of the result), and
functions that write the body into a SequentialBuilder in several forms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from evaluation.images import Array, faces
from evaluation.runtime import embed
from evaluation.sequential import SequentialBuilder, Weights

KINDS = ("resnet", "folded", "mobile", "vit")
DIM = 32

Change = Callable[[Array, int, str], Array]
Image = Callable[[Array], Array]

# How the convolutional branches are laid out: per layer the key, output space, input space, outputs, inputs, kernel.
Layer = tuple[str, str, str, int, int, int]
_RESNET = ((8, 12), (12, 16), (16, 24), (24, 24))


def _layers(kind: str) -> list[Layer]:
    if kind == "resnet":
        layers: list[Layer] = [("stem", "s0", "rgb", 8, 3, 3)]
        for i, (cin, cout) in enumerate(_RESNET):
            layers += [
                (f"b{i}a", f"m{i}", f"s{i}", cout, cin, 3),
                (f"b{i}b", f"s{i + 1}", f"m{i}", cout, cout, 3),
                (f"b{i}s", f"s{i + 1}", f"s{i}", cout, cin, 3),
            ]
        return [*layers, ("fc", "out", "s4", DIM, 24, 4)]
    if kind == "folded":
        widths = (3, 12, 16, 24, 24, 32)
        body: list[Layer] = [
            (f"c{i}", f"s{i}", f"s{i - 1}" if i else "rgb", widths[i + 1], widths[i], 7 if i == 0 else 3)
            for i in range(5)
        ]
        return [*body, ("fc", "out", "s4", DIM, 32, 4)]
    stages: list[Layer] = [("stem", "s0", "rgb", 8, 3, 3)]
    for i, (cin, cout) in enumerate(((8, 12), (12, 16), (16, 24), (24, 32))):
        stages += [
            (f"b{i}e", f"m{i}", f"s{i}", 2 * cin, cin, 1),
            (f"b{i}d", f"m{i}", "-", 2 * cin, 1, 3),
            (f"b{i}p", f"s{i + 1}", f"m{i}", cout, 2 * cin, 1),
        ]
    return [*stages, ("gdc", "s4", "-", 32, 1, 4), ("fc", "out", "s4", DIM, 32, 1)]


@dataclass(frozen=True)
class Emitter:
    """Write layers of one branch: plain, mirrored, ``groups`` of them side by side, or over a depth axis."""

    net: SequentialBuilder
    names: dict[str, str]
    weights: Weights
    mirrored: bool = False
    groups: int = 1
    depth: bool = False

    def conv(self, x: str, key: str, stride: int, side: int, pad: int | None = None) -> str:
        """Convolve; ``side`` is the width of the input, needed to mirror the padding of strided layers."""
        weight = self.weights[f"{key}.w"]
        k = weight.shape[-1]
        p = (k - 1) // 2 if pad is None else pad
        left = p - (side + 2 * p - k) % stride if self.mirrored else p
        group = weight.shape[0] if weight.shape[1] == 1 else self.groups
        inputs = [x, self.names[f"{key}.w"]]
        if f"{key}.b" in self.names:
            inputs.append(self.names[f"{key}.b"])
        pads, kernel, strides = [p, left, p, p], [k, k], [stride, stride]
        if self.depth:
            pads, kernel, strides = [0, p, left, 0, p, p], [1, k, k], [1, stride, stride]
        return self.net.op("Conv", *inputs, kernel_shape=kernel, strides=strides, pads=pads, group=group)

    def bn(self, x: str, key: str) -> str:
        parts = (self.names[f"{key}.{part}"] for part in ("scale", "shift", "mean", "var"))
        return self.net.op("BatchNormalization", x, *parts, epsilon=1e-5)

    def act(self, x: str, key: str) -> str:
        return self.net.op("PRelu", x, self.names[f"{key}.slope"])

    def fc(self, x: str, side: int) -> str:
        """Apply the last matrix (a Gemm, or a convolution with a kernel as large as the map) and standardise."""
        if self.groups == 1 and not self.depth:
            y = self.net.op("Flatten", x, axis=1)
            y = self.net.op("Gemm", y, self.names["fc.w"], transB=1)
            return self.bn(y, "out")
        y = self.bn(self.conv(x, "fc", 1, side, 0), "out")
        if not self.depth:
            return self.net.reshape(y, -1, self.groups, DIM)
        # [N, DIM, copies, 1, 1] to [N, copies, DIM], like the grouped form.
        return self.net.op("Transpose", self.net.squeeze(y, 3, 4), perm=[0, 2, 1])


@dataclass(frozen=True)
class Backbone:
    """One architecture with one seed.

    Attributes
    ----------
    kind
        ``resnet`` (BN nodes, PReLU), ``folded`` (no BN, ReLU), ``mobile`` (depthwise) or ``vit``.
    seed
        Draws the weights.
    """

    kind: str
    seed: int

    @property
    def stem_channels(self) -> int:
        return {"resnet": 8, "folded": 12, "mobile": 8}[self.kind]

    # ---- weights

    def weights(self) -> Weights:
        """Return new arrays with this branch's weights; the last layer is standardised on images."""
        return {key: value.copy() for key, value in _weights(self).items()}

    def permuted(self, weights: Weights, seed: int = 1, keep: str = "") -> Weights:
        """Permute the channels of every inner layer but the space ``keep``; the result is unchanged."""
        rng = np.random.default_rng(seed)
        orders: dict[str, npt.NDArray[np.int64]] = {}

        def change(array: Array, axis: int, space: str) -> Array:
            if space == keep:
                return array
            order = orders.setdefault(space, rng.permutation(array.shape[axis]))
            return np.take(array, order, axis)

        return self._over_spaces(weights, change)

    def rescaled(self, weights: Weights, seed: int = 2) -> Weights:
        """Scale the channels of every inner layer up and down; the result is unchanged, ReLU and PReLU permitting."""
        if self.kind == "vit":
            return self._rescaled_vit(weights, seed)
        rng = np.random.default_rng(seed)
        factors: dict[str, Array] = {}
        new = dict(weights)
        for key, out, into, cout, _, _ in _layers(self.kind):
            # A depthwise layer ("-") reads the space it writes.
            weight = new[f"{key}.w"]
            if into == "-":
                weight = weight / factors[out].reshape(-1, 1, 1, 1)
            elif into != "rgb":
                weight = weight / factors[into].reshape(1, -1, 1, 1)
            if out != "out":
                factor = factors.setdefault(out, rng.uniform(0.4, 2.5, cout).astype(np.float32))
                for part in (f"{key}.scale", f"{key}.shift") if f"{key}.scale" in new else (f"{key}.b",):
                    new[part] = new[part] * factor
                weight = weight if f"{key}.scale" in new else weight * factor.reshape(-1, 1, 1, 1)
            new[f"{key}.w"] = weight
        return new

    @staticmethod
    def _rescaled_vit(weights: Weights, seed: int) -> Weights:
        rng = np.random.default_rng(seed)
        new = dict(weights)
        for i in range(2):
            factor = rng.uniform(0.4, 2.5, DIM).astype(np.float32)
            new[f"t{i}.v"], new[f"t{i}.o"] = new[f"t{i}.v"] * factor, new[f"t{i}.o"] / factor[:, None]
            new[f"t{i}.q"], new[f"t{i}.k"] = new[f"t{i}.q"] * factor, new[f"t{i}.k"] / factor
        return new

    def perturbed(self, weights: Weights, amount: float = 0.01, seed: int = 3) -> Weights:
        """Add noise of ``amount`` times the standard deviation of each array of weights."""
        rng = np.random.default_rng(seed)
        return {
            key: (value + rng.normal(0, amount * max(float(value.std()), 1e-6), value.shape)).astype(np.float32)
            if key.endswith((".w", ".b", ".q", ".k", ".v", ".o", ".in", ".back"))
            else value.copy()
            for key, value in weights.items()
        }

    def mirror(self, weights: Weights) -> Weights:
        """Mirror every kernel: emitted with ``mirrored``, this gives the embedding of the mirrored image."""
        new = {key: (value[..., ::-1].copy() if value.ndim == 4 else value.copy()) for key, value in weights.items()}
        if self.kind == "vit":
            new["pos"] = weights["pos"].reshape(7, 7, DIM)[:, ::-1].reshape(1, 49, DIM).copy()
            new["fc.w"] = weights["fc.w"].reshape(DIM, 7, 7, DIM)[:, :, ::-1].reshape(DIM, -1).copy()
        return new

    def _over_spaces(self, weights: Weights, change: Change) -> Weights:
        new = dict(weights)
        if self.kind == "vit":
            for i in range(2):
                new[f"t{i}.in"] = change(weights[f"t{i}.in"], 1, f"h{i}")
                new[f"t{i}.back"] = change(weights[f"t{i}.back"], 0, f"h{i}")
            return new
        for key, out, into, *_ in _layers(self.kind):
            for part in ("w", "b", "scale", "shift", "mean", "var", "slope"):
                if f"{key}.{part}" in new and out != "out":
                    new[f"{key}.{part}"] = change(new[f"{key}.{part}"], 0, out)
            if into[0] in "sm":
                new[f"{key}.w"] = change(new[f"{key}.w"], 1, into)
        for i in range(4):
            if f"b{i}.slope" in new:
                new[f"b{i}.slope"] = change(new[f"b{i}.slope"], 0, f"s{i + 1}")
        return new

    # ---- emission

    def emit(self, net: SequentialBuilder, x: str, weights: Weights, *, mirrored: bool = False) -> str:
        """Write the whole branch; returns the embedding [rows of x, DIM]."""
        if self.kind == "vit":
            return _vit(net, x, net.bind(weights))
        return self.rest(net, self.stem(net, x, weights, mirrored=mirrored), weights, mirrored=mirrored)

    def stem(self, net: SequentialBuilder, x: str, weights: Weights, *, mirrored: bool = False) -> str:
        """Write the first layer; returns features [N, stem_channels, 56, 56]."""
        return _stem(self._emitter(net, weights, mirrored), x, self.kind)

    def rest(self, net: SequentialBuilder, x: str, weights: Weights, *, mirrored: bool = False) -> str:
        """Write everything after the first layer."""
        return _rest(self._emitter(net, weights, mirrored), x, self.kind)

    def side_by_side(self, net: SequentialBuilder, x: str, all_weights: list[Weights]) -> str:
        """Write branches as one with grouped convolutions over [N, 3 * copies, ...]; returns [N, copies, DIM]."""
        joined = {key: np.concatenate([w[key] for w in all_weights]) for key in all_weights[0]}
        emitter = Emitter(net, net.bind(joined), joined, groups=len(all_weights))
        return _rest(emitter, _stem(emitter, x, self.kind), self.kind)

    def over_depth(self, net: SequentialBuilder, x: str, weights: Weights) -> str:
        """Write the branch with 3-D convolutions over [N, 3, copies, 112, 112]; returns [N, copies, DIM]."""
        names = net.bind({key: _deep(key, value) for key, value in weights.items()})
        emitter = Emitter(net, names, weights, depth=True)
        return _rest(emitter, _stem(emitter, x, self.kind), self.kind)

    def embed(self, weights: Weights, images: Array) -> Array:
        """Run this branch alone."""
        net = SequentialBuilder(0)
        return embed(net.finish(self.emit(net, net.x, weights), DIM), images)

    def embed_rest(self, first: Weights, weights: Weights, change: Image, images: Array) -> Array:
        """Run the first layer with the weights ``first``, change its features in numpy, run the rest."""
        front = SequentialBuilder(0)
        features = change(embed(front.finish(self.stem(front, front.x, first), self.stem_channels), images))
        back = SequentialBuilder(0)
        model = back.finish(self.rest(back, back.x, weights), DIM)
        shape = model.graph.input[0].type.tensor_type.shape
        for axis, size in enumerate(features.shape[1:], 1):
            shape.dim[axis].dim_value = size
        return embed(model, np.ascontiguousarray(features))

    def _emitter(self, net: SequentialBuilder, weights: Weights, mirrored: bool) -> Emitter:
        return Emitter(net, net.bind(weights, flat_fc), weights, mirrored=mirrored)


def flat_fc(key: str, value: Array) -> Array:
    """Store the last layer, kept as a kernel as large as the map, as the matrix of a Gemm."""
    return value.reshape(DIM, -1) if key == "fc.w" else value


def _deep(key: str, value: Array) -> Array:
    if key.endswith(".w"):
        return np.expand_dims(value, 2)
    return np.expand_dims(value, 3) if key.endswith(".slope") else value


def _stem(e: Emitter, x: str, kind: str) -> str:
    if kind == "folded":
        return e.net.relu(e.conv(x, "c0", 2, 112))
    y = e.bn(e.conv(x, "stem", 2, 112), "stem")
    return e.act(y, "stem") if kind == "resnet" else e.net.relu(y)


def _rest(e: Emitter, y: str, kind: str) -> str:
    net = e.net
    for i, side in enumerate((56, 28, 14, 7)):
        if kind == "folded":
            y = net.relu(e.conv(y, f"c{i + 1}", 2, side))
        elif kind == "resnet":
            z = e.act(e.bn(e.conv(y, f"b{i}a", 2, side), f"b{i}a"), f"b{i}a")
            z = e.bn(e.conv(z, f"b{i}b", 1, side), f"b{i}b")
            y = e.act(net.op("Add", z, e.bn(e.conv(y, f"b{i}s", 2, side), f"b{i}s")), f"b{i}")
        else:
            z = net.relu(e.bn(e.conv(y, f"b{i}e", 1, side), f"b{i}e"))
            z = net.relu(e.bn(e.conv(z, f"b{i}d", 2, side), f"b{i}d"))
            y = e.bn(e.conv(z, f"b{i}p", 1, side), f"b{i}p")
    if kind == "mobile":
        y = e.bn(e.conv(y, "gdc", 1, 4, 0), "gdc")
    return e.fc(y, 4 if kind != "mobile" else 1)


def _vit(net: SequentialBuilder, x: str, names: dict[str, str]) -> str:
    """Patches of 16, two blocks of attention and MLP with residuals and no LayerNorm, all cells into the embedding."""
    y = net.op("Conv", x, names["patch.w"], kernel_shape=[16, 16], strides=[16, 16])
    y = net.op("Add", net.op("Transpose", net.reshape(y, -1, DIM, 49), perm=[0, 2, 1]), names["pos"])
    for i in range(2):
        q, k, v = (
            net.op(
                "Transpose", net.reshape(net.op("MatMul", y, names[f"t{i}.{part}"]), -1, 49, 4, 8), perm=[0, 2, 1, 3]
            )
            for part in "qkv"
        )
        scores = net.op("Mul", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 1, 3, 2])), net.const(8**-0.5))
        z = net.op("Transpose", net.op("MatMul", net.softmax(scores), v), perm=[0, 2, 1, 3])
        y = net.op("Add", y, net.op("MatMul", net.reshape(z, -1, 49, DIM), names[f"t{i}.o"]))
        z = net.gelu(net.op("MatMul", y, names[f"t{i}.in"]))
        y = net.op("Add", y, net.op("MatMul", z, names[f"t{i}.back"]))
    y = net.op("Gemm", net.reshape(y, -1, 49 * DIM), names["fc.w"], transB=1)
    return net.op("BatchNormalization", y, *(names[f"out.{part}"] for part in ("scale", "shift", "mean", "var")))


def _initial(backbone: Backbone) -> Weights:
    rng = np.random.default_rng(backbone.seed)

    def normal(gain: float, *shape: int) -> Array:
        fan_in = int(np.prod(shape[1:]))
        return rng.normal(0, gain / np.sqrt(fan_in), shape).astype(np.float32)

    weights: Weights = {f"out.{part}": np.full(DIM, part in ("scale", "var"), np.float32) for part in _PARTS}
    if backbone.kind == "vit":
        weights |= {
            "patch.w": normal(2.0, DIM, 3, 16, 16),
            "pos": normal(2.0, 1, 49, DIM),
            "fc.w": normal(1, DIM, 49 * DIM),
        }
        for i in range(2):
            weights |= {f"t{i}.{part}": normal(1.0, DIM, DIM) for part in "qkvo"}
            weights |= {f"t{i}.in": normal(1.0, DIM, 64), f"t{i}.back": normal(0.7, 64, DIM)}
        return weights
    for key, _, into, cout, cin, k in _layers(backbone.kind):
        weights[f"{key}.w"] = normal(1.4, cout, 1 if into == "-" else cin, k, k)
        if key == "fc":
            continue
        if backbone.kind == "folded":
            weights[f"{key}.b"] = rng.normal(0, 0.1, cout).astype(np.float32)
            continue
        for part, low, high in zip(_PARTS, (0.7, -0.3, -0.2, 0.5), (1.3, 0.3, 0.2, 1.5), strict=True):
            weights[f"{key}.{part}"] = rng.uniform(low, high, cout).astype(np.float32)
        if backbone.kind == "resnet" and key[-1] != "s":
            slope = key if key[-1] != "b" else key[:-1]
            weights[f"{slope}.slope"] = rng.uniform(0.1, 0.4, (cout, 1, 1)).astype(np.float32)
    return weights


_PARTS = ("scale", "shift", "mean", "var")


@lru_cache(maxsize=64)
def _weights(backbone: Backbone) -> Weights:
    weights = _initial(backbone)
    values = backbone.embed(weights, faces(24, 998))
    return weights | {"out.mean": values.mean(0), "out.var": values.var(0) + 1e-6}
