"""Attention operators: the products of queries with keys and of weights with values, and built-in projections."""

from __future__ import annotations

from pytest_facechallenge.analyses.flops.op_cost import MICROSOFT, CannotCountError, Site, Work, counts, extents


def _scores(batch: int, queries: int, keys: int, width: int, value_width: int, heads: int, text: str) -> list[Work]:
    """Return the two products of an attention; ``width`` and ``value_width`` are those of all heads together."""
    pairs = batch * queries * keys
    outputs = batch * queries * (heads * keys + value_width)
    return [Work(pairs * (width + value_width), outputs, "none", "attention", text=text)]


@counts("Attention")
def attention(site: Site) -> list[Work]:
    """Count ai.onnx Attention (opset 23 on).

    Inputs are q, k, v, mask, past key, past value, either (batch, heads, tokens, width) or (batch, tokens, heads *
    width). The whole score matrix is counted, causal or not: what a mask hides is computed all the same by a plain
    product, and no implementation is bound to skip it.
    """
    q, k, v = site.input(0), site.input(1), site.input(2)
    past = site.input(4)[2] if site.has(4) else 0
    text = f"{extents(q)}, {extents(k)}, {extents(v)}"
    if len(q) == len(k) == len(v) == 4:
        return _scores(q[0], q[2], k[2] + past, q[1] * q[3], q[1] * v[3], q[1], text)
    if len(q) == len(k) == len(v) == 3:
        heads, kv_heads = site.attribute("q_num_heads", 0), site.attribute("kv_num_heads", 0)
        if heads < 1 or kv_heads < 1 or v[2] % kv_heads:
            raise CannotCountError("Attention with three axes needs q_num_heads and kv_num_heads that fit its width")
        return _scores(q[0], q[1], k[1] + past, q[2], v[2] // kv_heads * heads, heads, text)
    raise CannotCountError(f"Attention needs three inputs of three or four axes each, found {text}")


@counts("Attention", "QAttention", domain=MICROSOFT)
def microsoft_attention(site: Site) -> list[Work]:
    """Count the runtime's Attention: the projection to q, k and v, then the attention.

    Inputs are the tokens (batch, tokens, width) and one matrix (width, q + k + v widths), then the bias; an input 4
    "past" (2, batch, heads, tokens, width per head) lengthens the keys (QAttention has it at 8).
    """
    x, w = site.input(0), site.input(1)
    if len(x) != 3 or len(w) != 2 or x[2] != w[0]:
        raise CannotCountError(f"the projection of {extents(x)} by {extents(w)} does not fit")
    heads = site.attribute("num_heads", 1)
    hidden = site.node.attributes.get("qkv_hidden_sizes") or [w[1] // 3] * 3
    if len(hidden) != 3 or sum(hidden) != w[1]:
        raise CannotCountError(f"qkv_hidden_sizes {hidden} do not add up to the {w[1]} columns of the projection")
    past_at = 8 if site.node.op == "QAttention" else 4
    past = site.input(past_at)[3] if site.has(past_at) else 0
    rows = x[0] * x[1]
    projection = Work(
        rows * w[0] * w[1],
        rows * w[1],
        "real" if site.has(2) else "none",
        "attention",
        text=f"{extents(x)} * {extents(w)} (projection)",
    )
    return [projection, *_scores(x[0], x[1], x[1] + past, hidden[0], hidden[2], heads, f"{extents(x)} (scores)")]


@counts("MultiHeadAttention", domain=MICROSOFT)
def multi_head_attention(site: Site) -> list[Work]:
    """Count the runtime's MultiHeadAttention.

    Inputs are query (batch, tokens, width) or packed (batch, tokens, heads, 3, width per head); key (batch, tokens,
    width), packed with the values (batch, tokens, heads, 2, width per head) or (batch, heads, tokens, width per head);
    value; … ; past key at 6 (batch, heads, tokens, width per head).
    """
    q = site.input(0)
    heads = site.attribute("num_heads", 1)
    past = site.input(6)[2] if site.has(6) else 0
    if len(q) == 5:
        return _scores(q[0], q[1], q[1] + past, q[2] * q[4], q[2] * q[4], heads, f"{extents(q)} (packed)")
    k = site.input(1)
    text = f"{extents(q)}, {extents(k)}"
    if len(q) == 3 and len(k) == 5:
        return _scores(q[0], q[1], k[1] + past, q[2], k[2] * k[4], heads, text)
    v = site.input(2)
    if len(q) == 3 and len(k) == 3 and len(v) == 3:
        return _scores(q[0], q[1], k[1] + past, q[2], v[2], heads, text)
    if len(q) == 3 and len(k) == 4 and len(v) == 4:
        return _scores(q[0], q[1], k[2] + past, q[2], v[1] * v[3], heads, text)
    raise CannotCountError(f"this form of MultiHeadAttention ({text}) is not known")
