"""Checks of how weights are stored."""

from __future__ import annotations

import msgspec

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.remedies import keep_float32
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.weights import SharedStorage, StoredTensor, WeightsFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided
from pytest_facechallenge.core.rulebook import Rule

#: Bytes of a float32 weight, where the rulebook sets no limit of its own.
FULL_WIDTH = 4

#: Elements that small integer constants may have together before they are called weights, unless the rulebook says.
SMALL_CONSTANTS = 1024

#: Share of the stored elements that weights made of others may be before they are called stored weights.
SMALL_SHARE = 0.01

#: Stored numbers that hold no network, whatever is made of them: the scales of a layer's channels.
SCALES = 64

_ORIGIN = {
    "integers": "integers or booleans that take fewer than 32 bits each",
    "codebook": "a table that stored indices choose from",
    "packed": "stored numbers that are taken apart when the model runs",
    "text": "strings",
    "expanded": "fewer stored numbers, of which curves make more (a soft codebook, a formula applied to each)",
    "formula": "a formula, and hardly anything that is stored",
}


@check(WeightsFacts, InterfaceFacts, parameters={"small_constants": int}, limit="number")
def no_float16(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether every weight is stored with at least the width of a float32.

    What:
        No weight is stored in fewer than 32 bits: not as float16, bfloat16 or an 8-bit float, and not as something
        else that holds such numbers: integers scaled to floats, tables read through stored indices, several weights
        inside one number, weights inside strings or metadata. A tensor of a narrow floating type is a finding even
        when no node reads it: it counts in the size of the file and the organisers' checker refuses it.

    Why:
        The limit on the model's size assumes four bytes for each weight; narrower storage makes the model look
        smaller than it is.
    How it is measured:
        Every tensor of the file is listed, those in subgraphs, functions, sparse tensors, attributes and training
        information included. Every stored number is then followed through the graph to the place where it meets
        something computed from the image: there it is a weight. Weights made of numbers narrower than 32 bits,
        looked up in a table, or taken apart from wider numbers need one stored number of at least 32 bits each.
        Moving, scaling, summing, multiplying, broadcasting and using weights twice make no new weights, so low-rank
        products, merged branches, standardised and tied weights pass, and so do weights that follow from the image
        (a hypernetwork); a curve (softmax, hat, sigmoid, sine) applied to more values than are stored does: what it
        makes is counted where it meets the image, against all that is stored for it; and so are values that several
        formulas make of the same stored numbers, put together in one matrix. A network that turns coordinates into
        weights is undecided up to 16 weights for each stored number, and fails beyond, unless they are the matrix of
        a transform (at most 4n different values in n x n). So is a network that makes weights of stored codes by
        products of stored matrices and activations (a static hypernetwork), and so are weights that interpolation puts
        between stored ones (Resize). A number less its own rounding makes new weights, however it is written, also
        behind a zero that is computed from the image. The parts of a stored matrix above and below zero are that
        matrix, used twice; parts of such parts, put together, are more numbers than it has. Marks at stored places are
        a choice by codes, and so are powers of codes. A kernel along one axis, or the matrix of one (the same number
        along each diagonal), counts as many numbers as tell its exponentials: one for each size or angle of a linear
        recurrence (LRU, S4, RetNet), two for each term of a sum. Cosine and sine of stored angles that turn features
        in place (rotary positions) are one number for each angle; where the angles are made of fewer numbers it is
        undecided. A stored tensor that follows a pattern holds as many numbers as are different in it, and one that is
        nearly all one number holds what differs: zeros beside codes hide nothing. An integer counts with the bytes that
        it takes in the file, where small ones of a list are written short. Integers that follow a pattern (index grids,
        masks, ramps) and small parameters of single operators are no weights, and weights taken apart from wider ones,
        or made of them by curves, that are up to 1 % of the stored elements in all, and at most 1024, are none either.
        Float32 weights whose values would fit into float16 pass, and so does casting to float16 when the model runs (a
        note).
    How to fix:
        Export with every weight as float32: call model.float() before torch.onnx.export, do not convert or quantise
        the exported model (no onnxconverter_common.float16, no onnxruntime.quantization), remove initializers that
        nothing reads.
    """
    found = facts.need(WeightsFacts)
    small_limit = int(rule.parameters.get("small_constants") or SMALL_CONSTANTS)
    found, few = _without_few(found, small_limit)
    width = rule.limit if isinstance(rule.limit, (int, float)) else FULL_WIDTH
    narrow = [tensor for tensor in found.narrow_floats if tensor.bits < 8 * width]
    hidden = [pool for pool in found.shared if pool.weights is not None and not pool.caveat]
    unknown = [pool for pool in found.shared if pool.weights is None]
    doubtful = [pool for pool in found.shared if pool.weights is not None and pool.caveat]
    evidence = [_tensor_evidence(tensor) for tensor in narrow]
    evidence += [_pool_evidence(pool) for pool in found.shared]
    evidence += [
        Evidence(where=blob.where, what=f"{blob.bytes} bytes of text that reads like encoded data: {blob.why}")
        for blob in found.blobs
    ]
    reasons: list[str] = []
    if narrow:
        kinds = ", ".join(sorted({tensor.dtype for tensor in narrow}))
        reasons.append(f"{found.narrow_float_tensors} tensor(s) are stored as {kinds}")
    for kind, origin in _ORIGIN.items():
        pools = [pool for pool in hidden if pool.kind == kind]
        if pools:
            weights, values = sum(pool.weights or 0 for pool in pools), sum(pool.values for pool in pools)
            stored = sum(pool.bytes for pool in pools)
            reasons.append(
                f"{weights} weights come from {origin}, with {values} stored numbers of at least 32 bits among them "
                f"({stored} bytes, {stored / max(weights, 1):.2f} per weight)"
            )
    if found.blobs:
        reasons.append(f"{len(found.blobs)} text(s) of the file hold encoded data")
    if found.small_integers > small_limit:
        reasons.append(
            f"small constants narrower than 32 bits have {found.small_integers} elements together; "
            f"up to {small_limit} are taken for parameters of operators"
        )
    limit = f">= {width:g} bytes per weight"
    total = sum(stock.bytes for stock in found.stock)
    measured = _measured(narrow, hidden, found)
    if reasons:
        return failed(
            f"Every weight has to be stored as float32. Found: {'; '.join(reasons)}.",
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
            notes=_notes(found, few),
            remedy=keep_float32(facts, rule)
            if narrow or hidden
            else "Remove tensors and texts that the network does not need.",
        )
    if unknown:
        return undecided(
            f"{len(unknown)} group(s) of weights are computed from stored numbers, and how many they are is not known "
            f"before the model runs (first: {unknown[0].made_by[0] if unknown[0].made_by else 'unknown'}).",
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
            notes=_notes(found, few),
            remedy="Fold the constants of the model (torch.onnx.export with do_constant_folding=True, or onnxsim), so "
            "that the weights themselves are in the file; then this can be decided.",
        )
    if doubtful:
        return undecided(
            f"In the node {doubtful[0].made_by[0]!r} {doubtful[0].caveat}; whether that stands for stored "
            "weights is not decided.",
            measured=measured,
            limit=limit,
            evidence=tuple(evidence),
            notes=_notes(found, few),
            remedy="Fold the constants of the model (torch.onnx.export with do_constant_folding=True, or onnxsim), so "
            "that the weights themselves are in the file.",
        )
    return passed(
        f"All weights are stored in at least 32 bits ({total} bytes of tensors).",
        measured=measured,
        limit=limit,
        notes=_notes(found, few),
    )


def _measured(narrow: list[StoredTensor], hidden: list[SharedStorage], found: WeightsFacts) -> str:
    if narrow:
        return f"{min(tensor.bits for tensor in narrow) / 8:g} bytes per weight ({narrow[0].dtype})"
    if hidden:
        weights, values = sum(pool.weights or 0 for pool in hidden), sum(pool.values for pool in hidden)
        return f"{weights} weights from {values} wide values"
    if found.blobs:
        return f"{sum(blob.bytes for blob in found.blobs)} bytes in texts"
    floats = [stock.dtype for stock in found.stock if stock.dtype in ("float", "double")]
    return " and ".join({"float": "float32", "double": "float64"}[dtype] for dtype in floats) or "no stored weights"


def _tensor_evidence(tensor: StoredTensor) -> Evidence:
    use = f"read by node {tensor.used_by!r}" if tensor.used_by else "read by no node"
    return Evidence(
        where=tensor.where, what=f"{tensor.elements} elements of {tensor.dtype}, {tensor.bytes} bytes, {use}"
    )


def _pool_evidence(pool: SharedStorage) -> Evidence:
    sources = "; ".join(f"{source.where} ({source.elements} x {source.dtype})" for source in pool.sources[:4])
    count = "an unknown number of" if pool.weights is None else str(pool.weights)
    return Evidence(
        where=", ".join(pool.used_by) or "nowhere",
        what=f"{count} weights made by {', '.join(pool.made_by)} from {_ORIGIN[pool.kind]}: {sources}",
    )


def _without_few(found: WeightsFacts, most: int) -> tuple[WeightsFacts, tuple[SharedStorage, ...]]:
    """Return the facts without weights made of stored numbers of full width that are too few to matter, and those.

    A gate ``s`` beside ``1 - s`` makes two numbers of one, and a curve on the scales of some channels is no store of a
    network. All such of a file count together, so that a store in many pieces is none of them.
    """
    stored = sum(stock.elements for stock in found.stock)
    few = tuple(
        pool
        for pool in found.shared
        if pool.kind in ("packed", "expanded")
        and (pool.values <= SCALES if pool.weights is None else pool.weights <= most)
    )
    more = sum(pool.values if pool.weights is None else pool.weights - pool.values for pool in few)
    if not few or more > min(most, SMALL_SHARE * stored):
        return found, ()
    return msgspec.structs.replace(found, shared=tuple(pool for pool in found.shared if pool not in few)), few


def _notes(found: WeightsFacts, few: tuple[SharedStorage, ...]) -> tuple[str, ...]:
    notes: list[str] = []
    if few:
        made = ", ".join(dict.fromkeys(node for pool in few for node in pool.made_by))
        notes.append(f"{made}: what is made there of stored numbers is too little to hold weights of the network.")
    if found.half_casts:
        notes.append(
            f"The model casts to a floating type below 32 bits when it runs ({', '.join(found.half_casts[:3])}); that "
            "is allowed, since the stored weights are what the rule is about."
        )
    notes.extend(
        f"{pool.weights} weights are computed from {_ORIGIN[pool.kind]}, with as many stored numbers of full width "
        f"({', '.join(pool.made_by[:2])}); nothing is stored narrower."
        for pool in found.covered
    )
    return tuple(notes)
