"""Vision transformer written out the way exporters write it at opset 11: normalisation and GELU in elementary nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.refnets.network import INPUT_SIZE, Feature, Network

if TYPE_CHECKING:
    import onnx

#: Mean square of the mean over normalised tokens: measured, alike at depths 2, 12 and 44.
_POOLED_MOMENT = 0.12


def vit(
    depth: int = 12,
    dim: int = 384,
    heads: int = 6,
    patch: int = 8,
    *,
    mlp_ratio: int = 4,
    seed: int = 0,
    batch: int | str = "N",
    embedding: int = 512,
) -> onnx.ModelProto:
    """Vision transformer (arXiv 2010.11929): [batch, 3, 112, 112] to [batch, embedding].

    The input is RGB scaled to (x - 127.5) / 127.5; the graph does not normalise. A block is 45 nodes, the rest 16, so
    depth 44 gives 1,996 nodes. There is no class token: the embedding is a fully connected layer on the mean over the
    patches. There is no form without folding, because no convolution has a BatchNormalization behind it.

    Parameters
    ----------
    depth
        Number of blocks.
    dim
        Width of a token; a multiple of `heads`.
    heads
        Number of attention heads.
    patch
        Height and width of a patch in pixels, at most 112; what does not fill a patch is cut off.
    mlp_ratio
        Width of the hidden layer as a multiple of `dim`.
    seed
        Seed of the weights.
    batch
        Name of the dynamic batch axis, or a fixed batch size.
    embedding
        Number of values in the embedding.

    Raises
    ------
    ValueError
        An option is out of range, or `heads` does not divide `dim`.
    """
    if min(depth, dim, heads, mlp_ratio) < 1 or not 1 <= patch <= INPUT_SIZE:
        raise ValueError(
            f"depth, dim, heads and mlp_ratio must be at least 1 and patch between 1 and {INPUT_SIZE}; "
            f"got depth={depth}, dim={dim}, heads={heads}, mlp_ratio={mlp_ratio}, patch={patch}"
        )
    if dim % heads:
        raise ValueError(f"heads must divide dim, got dim={dim}, heads={heads}")
    net = Network(f"vit_{depth}x{dim}", fold_batchnorm=True, seed=seed, batch=batch, epsilon=1e-6)
    tokens = _Transformer(net, depth, dim, heads, dim * mlp_ratio)
    patches = net.conv(net.image(normalize=False), "patch_embed", dim, patch, stride=patch, pad=0)
    x = tokens.start(patches)
    for block in range(depth):
        x = tokens.attention(x, f"block{block}_attn")
        x = tokens.mlp(x, f"block{block}_mlp")
    pooled = net.node("ReduceMean", [tokens.layer_norm(x, "norm")], "pool", axes=[1], keepdims=0)
    dense = net.dense(pooled, "pre_fc1", dim, embedding)
    out = net.batch_norm(Feature(name=dense, channels=embedding, size=1, moment=_POOLED_MOMENT), "fc1")
    return net.finish(out.name, embedding)


class _Transformer:
    """The layers of a transformer over tokens of shape [batch, tokens, dim], as nodes of `net`."""

    def __init__(self, net: Network, depth: int, dim: int, heads: int, hidden: int) -> None:
        self.net = net
        self.dim = dim
        self.hidden = hidden
        self.heads = heads
        # Each of the 2 * depth residual branches adds 1 / (2 * depth): the stream's variance only doubles.
        self.branch_gain = (2 * depth) ** -0.5
        self.query_scale = net.constant("query_scale", (dim // heads) ** -0.5)
        self.two = net.constant("two", 2.0)
        self.half = net.constant("half", 0.5)
        self.one = net.constant("one", 1.0)
        self.sqrt_two = net.constant("sqrt_two", 2.0**0.5)
        self.epsilon = net.constant("epsilon", net.epsilon)

    def start(self, patches: Feature) -> str:
        """Turn the patches' feature map into tokens and add the position embedding."""
        net = self.net
        count = patches.size * patches.size
        # 0 keeps the batch axis whatever it is: no baked batch size.
        self.split_shape = self._shape("split_heads", [0, count, 3, self.heads, self.dim // self.heads])
        self.merge_shape = self._shape("merge_heads", [0, count, self.dim])
        flat = net.node("Reshape", [patches.name, self._shape("flat_patches", [0, self.dim, count])], "patches_flat")
        tokens = net.node("Transpose", [flat], "patches_tokens", perm=[0, 2, 1])
        position = net.initializer("position", net.normal("position", (1, count, self.dim), 0.5))
        return net.node("Add", [tokens, position], "position_add")

    def attention(self, x: str, name: str) -> str:
        """Residual multi-head self-attention on the normalised tokens."""
        net = self.net
        qkv = self._linear(self.layer_norm(x, f"{name}_norm"), f"{name}_qkv", self.dim, 3 * self.dim, 1.0)
        qkv = net.node("Reshape", [qkv, self.split_shape], f"{name}_split")
        qkv = net.node("Transpose", [qkv], f"{name}_heads", perm=[2, 0, 3, 1, 4])
        query, key, value = (self._pick(qkv, f"{name}_{part}", index) for index, part in enumerate(("q", "k", "v")))
        query = net.node("Mul", [query, self.query_scale], f"{name}_q_scaled")
        key = net.node("Transpose", [key], f"{name}_k_transposed", perm=[0, 1, 3, 2])
        weights = net.node("Softmax", [net.node("MatMul", [query, key], f"{name}_scores")], f"{name}_softmax", axis=3)
        mixed = net.node("MatMul", [weights, value], f"{name}_mixed")
        mixed = net.node("Transpose", [mixed], f"{name}_mixed_transposed", perm=[0, 2, 1, 3])
        merged = net.node("Reshape", [mixed, self.merge_shape], f"{name}_merged")
        return net.node("Add", [x, self._linear(merged, f"{name}_proj", self.dim, self.dim, self.branch_gain)], name)

    def mlp(self, x: str, name: str) -> str:
        """Residual two-layer perceptron with GELU on the normalised tokens."""
        net = self.net
        hidden = self._linear(self.layer_norm(x, f"{name}_norm"), f"{name}_fc1", self.dim, self.hidden, 1.0)
        error = net.node("Erf", [net.node("Div", [hidden, self.sqrt_two], f"{name}_div")], f"{name}_erf")
        factor = net.node("Add", [error, self.one], f"{name}_erf_add")
        gelu = net.node("Mul", [net.node("Mul", [hidden, factor], f"{name}_mul"), self.half], f"{name}_gelu")
        return net.node("Add", [x, self._linear(gelu, f"{name}_fc2", self.hidden, self.dim, self.branch_gain)], name)

    def layer_norm(self, x: str, name: str) -> str:
        """Normalise each token; LayerNormalization is an operator from opset 17 on only, hence nine nodes."""
        net = self.net
        mean = net.node("ReduceMean", [x], f"{name}_mean", axes=[-1], keepdims=1)
        centred = net.node("Sub", [x, mean], f"{name}_centred")
        square = net.node("Pow", [centred, self.two], f"{name}_square")
        variance = net.node("ReduceMean", [square], f"{name}_variance", axes=[-1], keepdims=1)
        variance = net.node("Add", [variance, self.epsilon], f"{name}_stable")
        deviation = net.node("Sqrt", [variance], f"{name}_deviation")
        scaled = net.node("Div", [centred, deviation], f"{name}_scaled")
        gamma = net.initializer(f"{name}_gamma", 1 + net.normal(f"{name}_gamma", (self.dim,), 0.1))
        beta = net.initializer(f"{name}_beta", net.normal(f"{name}_beta", (self.dim,), 0.05))
        return net.node("Add", [net.node("Mul", [scaled, gamma], f"{name}_mul"), beta], name)

    def _linear(self, x: str, name: str, inputs: int, outputs: int, gain: float) -> str:
        net = self.net
        values = net.normal(f"{name}_weight", (inputs, outputs), gain * inputs**-0.5)
        product = net.node("MatMul", [x, net.initializer(f"{name}_weight", values)], f"{name}_matmul")
        bias = net.initializer(f"{name}_bias", net.normal(f"{name}_bias", (outputs,), 0.05 * gain))
        return net.node("Add", [product, bias], name)

    def _pick(self, qkv: str, name: str, index: int) -> str:
        which = self.net.initializer(f"{name}_index", np.asarray(index, dtype=np.int64))
        return self.net.node("Gather", [qkv, which], name, axis=0)

    def _shape(self, name: str, shape: list[int]) -> str:
        return self.net.initializer(f"{name}_shape", np.asarray(shape, dtype=np.int64))
