"""Matrix products: MatMul, Gemm, Einsum, and their quantised and fused forms."""

from __future__ import annotations

from pytest_facechallenge.analyses.flops.op_cost import (
    MICROSOFT,
    Bias,
    CannotCountError,
    Family,
    Site,
    Work,
    counts,
    extents,
    size,
)


def product(site: Site, outputs: int, depth: int, bias: Bias, weight: int | None, text: str) -> Work:
    """Return the work of a matrix product: every output sums ``depth`` products.

    One with a constant matrix is a fully connected layer, which the organisers' counter knows; others are not.
    """
    constant = weight is not None and site.has(weight) and site.node.graph.constant(site.node.inputs[weight])
    family: Family = "fully connected" if constant else "matrix product"
    return Work(outputs * depth, outputs, bias, family, literal=bool(constant), text=text)


@counts("MatMul")
def mat_mul(site: Site) -> list[Work]:
    """Count MatMul with numpy's meaning for vectors and stacks of matrices."""
    return [_mat_mul(site, 0, 1, _added_bias(site))]


@counts("MatMulInteger")
def mat_mul_integer(site: Site) -> list[Work]:
    """Count MatMulInteger."""
    return [_mat_mul(site, 0, 1, "none")]


@counts("QLinearMatMul")
def q_linear_mat_mul(site: Site) -> list[Work]:
    """Count QLinearMatMul: a, scale, zero, b, scale, zero, scale, zero."""
    return [_mat_mul(site, 0, 3, "none")]


def _mat_mul(site: Site, left: int, right: int, bias: Bias) -> Work:
    a, b, y = site.input(left), site.input(right), site.output()
    if not a or not b:
        raise CannotCountError(f"MatMul of {extents(a)} and {extents(b)} has no meaning")
    depth = a[-1]
    if depth != (b[0] if len(b) == 1 else b[-2]):
        raise CannotCountError(f"MatMul of {extents(a)} and {extents(b)}: the inner extents differ")
    literal = len(b) == 2  # a weight with more axes is no fully connected layer
    text = f"{extents(a)} * {extents(b)}"
    return product(site, size(y), depth, bias, right if literal else None, text)


def _added_bias(site: Site) -> Bias:
    """Whether the only reader adds a constant vector: exporters write a fully connected layer's bias so."""
    name = site.node.outputs[0]
    graph = site.node.graph
    readers = graph.consumers.get(name, [])
    if len(readers) != 1 or readers[0].op != "Add" or readers[0].domain or name in graph.outputs:
        return "none"
    other = [entry for entry in readers[0].inputs if entry != name]
    constant = graph.constant(other[0]) if len(other) == 1 else None
    y = site.output()
    fits = constant is not None and bool(y) and size(constant.shape) == y[-1] == (constant.shape or (0,))[-1]
    return "real" if fits else "none"


@counts("Gemm")
@counts("FusedGemm", domain=MICROSOFT)
def gemm(site: Site) -> list[Work]:
    """Count Gemm: a, b, optional c; scaling by alpha and beta is element-wise, so free."""
    return [_gemm(site, 0, 1, 2)]


@counts("QGemm", domain=MICROSOFT)
def q_gemm(site: Site) -> list[Work]:
    """Count the runtime's quantised Gemm: a, scale, zero, b, scale, zero, c."""
    return [_gemm(site, 0, 3, 6)]


@counts("GemmFloat8", domain=MICROSOFT)
def gemm_float8(site: Site) -> list[Work]:
    """Count the runtime's 8-bit float Gemm: a, b, c, scales."""
    return [_gemm(site, 0, 1, 2)]


def _gemm(site: Site, left: int, right: int, bias: int) -> Work:
    a, b = site.input(left), site.input(right)
    if len(a) != 2 or len(b) != 2:
        raise CannotCountError(f"Gemm needs two matrices, found {extents(a)} and {extents(b)}")
    rows, depth = (a[1], a[0]) if site.attribute("transA", 0) else (a[0], a[1])
    inner, columns = (b[1], b[0]) if site.attribute("transB", 0) else (b[0], b[1])
    if depth != inner:
        raise CannotCountError(f"Gemm of {extents(a)} and {extents(b)}: the inner extents {depth} and {inner} differ")
    present: Bias = "real" if site.has(bias) else _added_bias(site)
    return product(site, rows * columns, depth, present, right, f"{extents(a)} * {extents(b)}")


@counts("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation", domain=MICROSOFT)
def fused_mat_mul(site: Site) -> list[Work]:
    """Count the runtime's product of (perhaps transposed) stacks of matrices."""
    a, y = site.input(0), site.output()
    if not a:
        raise CannotCountError("FusedMatMul of a scalar has no meaning")
    last = len(a) - 1
    if site.attribute("transA", 0) and len(a) > 1:
        # transBatchA moves the first axis next to the last before the product.
        depth = a[0] if site.attribute("transBatchA", 0) else a[last - 1]
    else:
        depth = a[last]
    text = f"{extents(a)} * {extents(site.input(1))}"
    return [product(site, size(y), depth, _added_bias(site), 1, text)]


@counts("MatMulIntegerToFloat", domain=MICROSOFT)
def mat_mul_integer_to_float(site: Site) -> list[Work]:
    """Count the runtime's integer product with rescaling: a, b, scales, zeros, bias."""
    return [_mat_mul(site, 0, 1, "real" if site.has(6) else "none")]


@counts("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_mat_mul(site: Site) -> list[Work]:
    """Count the runtime's product that quantises its left side: a, b, scale, zero, bias."""
    return [_mat_mul(site, 0, 1, "real" if site.has(4) else "none")]


@counts("MatMulInteger16", domain=MICROSOFT)
def mat_mul_integer_16(site: Site) -> list[Work]:
    """Count the runtime's 16-bit integer product."""
    return [_mat_mul(site, 0, 1, "none")]


@counts("MatMulNBits", "MatMulBnb4", "MatMulFpQ4", domain=MICROSOFT)
def packed_mat_mul(site: Site) -> list[Work]:
    """Count a product with packed low-bit weights, whose depth is the left side's last extent."""
    a, y = site.input(0), site.output()
    has_bias = site.node.op == "MatMulNBits" and site.has(5)
    return [product(site, size(y), a[-1], "real" if has_bias else "none", 1, f"{extents(a)} -> {extents(y)}, packed")]


@counts("LinearRegressor", "LinearClassifier", domain="ai.onnx.ml")
def linear_model(site: Site) -> list[Work]:
    """Count the linear models of ai.onnx.ml, which are fully connected layers with weights in an attribute."""
    rows = site.input(0)[0] if len(site.input(0)) > 1 else 1
    weights = len(site.node.attributes.get("coefficients", ()))
    features = site.input(0)[-1] if site.input(0) else 0
    if not weights or not features or weights % features:
        raise CannotCountError(f"{weights} coefficients do not fit {features} features")
    bias: Bias = "real" if site.node.attributes.get("intercepts") else "none"
    outputs = rows * (weights // features)
    return [Work(outputs * features, outputs, bias, "fully connected", text=f"{rows}x{features} -> {outputs}")]


@counts("Einsum")
def einsum(site: Site) -> list[Work]:
    """Count an Einsum of any equation.

    Operands are taken two by two from the left, as the runtime does. An index that stands in one operand only and not
    in what is needed later is summed before the product (no product is summed there). A step in which no index shared
    by both sides is summed multiplies element by element, which is free.
    """
    terms, output = parse_einsum(site.node.attributes.get("equation", ""), [site.input(i) for i in _operands(site)])
    extent: dict[str, int] = {}
    for term, position in zip(terms, _operands(site), strict=True):
        for label, length in zip(term, site.input(position), strict=True):
            if extent.get(label, 1) != 1 and length not in (1, extent[label]):
                raise CannotCountError(
                    f"the index {label!r} of {site.node.op} has extents {extent[label]} and {length}"
                )
            extent[label] = max(length, extent.get(label, 1)) if length and extent.get(label, 1) else 0
    macs = sums = 0
    gathered = set(terms[0])
    for step, term in enumerate(terms[1:], 1):
        later = {label for rest in terms[step + 1 :] for label in rest} | set(output)
        left = {label for label in gathered if label in later or label in term}
        right = {label for label in term if label in later or label in gathered}
        kept = (left | right) & later
        if (left & right) - later:
            macs += size(tuple(extent[label] for label in left | right))
            sums += size(tuple(extent[label] for label in kept))
        gathered = kept
    if not macs:
        return []
    constant = any(site.node.graph.constant(name) is not None for name in site.node.inputs)
    family: Family = "fully connected" if constant and len(terms) == 2 else "matrix product"
    shapes = " , ".join(extents(site.input(i)) for i in _operands(site))
    return [Work(macs, sums, _added_bias(site), family, text=f"{site.node.attributes['equation']}: {shapes}")]


def _operands(site: Site) -> range:
    return range(len(site.node.inputs))


def parse_einsum(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[list[str]], list[str]]:
    """Return the index labels of every operand and of the output; the axes of "..." are labelled "…0", "…1".

    Raises
    ------
    CannotCountError
        The equation does not fit the operands.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(shapes):
        raise CannotCountError(f"the equation {equation!r} has {len(texts)} operand(s), the node {len(shapes)}")
    terms: list[list[str]] = []
    widest = 0
    for text, shape in zip(texts, shapes, strict=True):
        before, dots, after = text.partition("...")
        spare = len(shape) - len(before) - len(after)
        if spare < 0 or (spare and not dots):
            raise CannotCountError(f"the operand {text!r} of the equation {equation!r} does not fit {extents(shape)}")
        # Numbered from the right: broadcasting aligns the last axes.
        terms.append([*before, *(f"…{spare - 1 - i}" for i in range(spare)), *after])
        widest = max(widest, spare)
    dots_labels = [f"…{widest - 1 - i}" for i in range(widest)]
    if arrow:
        before, dots, after = right.partition("...")
        output = [*before, *(dots_labels if dots else []), *after]
    else:
        letters = [label for text in texts for label in text.replace("...", "")]
        output = [*dots_labels, *sorted(label for label in set(letters) if letters.count(label) == 1)]
    if any(label not in {known for term in terms for known in term} for label in output):
        raise CannotCountError(f"the output of the equation {equation!r} has an index that no operand has")
    return terms, output
