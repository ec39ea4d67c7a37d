"""Convolutions, deconvolutions, deformable ones, and their quantised and fused forms."""

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


def _convolution(
    site: Site, data: int, weight: int, bias: int | None, *, channels_last: bool = False, plain: bool = False
) -> list[Work]:
    """Count a convolution whose inputs stand at the given positions."""
    x, w, y = site.input(data), site.input(weight), site.output()
    if len(x) < 3 or len(w) != len(x) or len(y) != len(x):
        raise CannotCountError(
            f"a convolution of {extents(x)} with weights {extents(w)} to {extents(y)} has no meaning"
        )
    groups = site.attribute("group", 1)
    cin = x[-1] if channels_last else x[1]
    # Depth-wise channels-last kernels are stored with the taps first by some exporters; the channel counts below then
    # do not fit, and the sentence says so instead of a wrong number.
    if groups < 1 or cin % groups or w[0] % groups or w[1] * groups != cin:
        raise CannotCountError(
            f"{cin} input channels and weights {extents(w)} do not fit {groups} group(s): "
            f"the weights need the shape {w[0]}x{cin}/{groups}x…"
        )
    outputs = size(y)
    present: Bias = _bias(site, bias)
    kernel = "x".join(str(tap) for tap in w[2:])
    text = f"{extents(x)} -> {extents(y)}, {kernel}" + (f", {groups} groups" if groups > 1 else "")
    # The organisers' counter subtracts b before it divides by the groups, so a grouped convolution saves fewer first
    # additions than it has outputs. That is the published method, kept.
    return [Work(outputs * size(w[1:]), outputs // groups, present, "convolution", plain, text=text)]


def _bias(site: Site, position: int | None) -> Bias:
    if position is not None and site.has(position):
        return "real" if _normalised_after(site) else "perhaps folded"
    return "perhaps folded" if _bias_added_after(site) else "none"


def _normalised_after(site: Site) -> bool:
    """Whether a BatchNormalization still follows: then none was folded in, and the bias is the layer's own."""
    readers = site.node.graph.consumers.get(site.node.outputs[0], [])
    return bool(readers) and all(reader.op == "BatchNormalization" for reader in readers)


def _bias_added_after(site: Site) -> bool:
    """Whether the only reader adds one constant per output channel: a bias that the exporter wrote as a node."""
    name = site.node.outputs[0]
    readers = site.node.graph.consumers.get(name, [])
    if len(readers) != 1 or readers[0].op != "Add" or readers[0].domain or name in site.node.graph.outputs:
        return False
    y = site.output()
    other = [entry for entry in readers[0].inputs if entry != name]
    constant = site.node.graph.constant(other[0]) if len(other) == 1 else None
    if constant is None:
        return False
    padded = (1,) * (len(y) - len(constant.shape)) + constant.shape
    return len(padded) == len(y) and padded == (1, y[1], *(1,) * (len(y) - 2))


@counts("Conv")
def conv(site: Site) -> list[Work]:
    """Count ai.onnx Conv: the one convolution that the organisers' counter knows, in any number of dimensions."""
    return _convolution(site, 0, 1, 2, plain=True)


@counts("ConvInteger")
def conv_integer(site: Site) -> list[Work]:
    """Count ConvInteger, which has no bias."""
    return _convolution(site, 0, 1, None)


@counts("QLinearConv")
def q_linear_conv(site: Site) -> list[Work]:
    """Count QLinearConv: x, scale, zero, w, scale, zero, scale, zero, bias."""
    return _convolution(site, 0, 3, 8)


@counts("FusedConv", domain=MICROSOFT)
def fused_conv(site: Site) -> list[Work]:
    """Count the runtime's convolution with a built-in activation (and perhaps a residual sum, which is free)."""
    return _convolution(site, 0, 1, 2)


@counts("NhwcFusedConv", domain=MICROSOFT)
def nhwc_fused_conv(site: Site) -> list[Work]:
    """Count the runtime's channels-last convolution; its weights keep the usual order."""
    return _convolution(site, 0, 1, 2, channels_last=True)


@counts("QLinearConv", domain=MICROSOFT)
def microsoft_q_linear_conv(site: Site) -> list[Work]:
    """Count the runtime's quantised convolution."""
    return _convolution(site, 0, 3, 8, channels_last=bool(site.attribute("channels_last", 0)))


@counts("DeformConv")
def deform_conv(site: Site) -> list[Work]:
    """Count DeformConv as a convolution: x, w, offsets, bias, mask; the sampling is interpolation, which is free."""
    return _convolution(site, 0, 1, 3)


@counts("ConvTranspose")
def conv_transpose(site: Site) -> list[Work]:
    """Count a deconvolution.

    The organisers asked participants to add deconvolutions, which their counter leaves out (2019-05-31). The formula of
    the convolution is taken with the input's height and width, because every input position is multiplied once with
    each tap: ``(2 * Cin * kh * kw - b) * Hin * Win * Cout / groups``.
    """
    return _deconvolution(site, 2)


@counts("ConvTransposeWithDynamicPads", domain=MICROSOFT)
def conv_transpose_dynamic(site: Site) -> list[Work]:
    """Count the deconvolution whose padding is an input: x, w, pads, bias."""
    return _deconvolution(site, 3)


def _deconvolution(site: Site, bias: int) -> list[Work]:
    x, w, y = site.input(0), site.input(1), site.output()
    groups = site.attribute("group", 1)
    if len(x) < 3 or len(w) != len(x) or groups < 1 or x[1] != w[0] or w[0] % groups:
        raise CannotCountError(f"{extents(x)}, weights {extents(w)} and {groups} group(s) do not fit a deconvolution")
    positions = x[0] * size(x[2:])
    kernel = "x".join(str(tap) for tap in w[2:])
    family: Family = "deconvolution"
    cout = w[1] * groups
    return [
        Work(
            positions * size(w),
            positions * cout // groups,
            _bias(site, bias),
            family,
            text=f"{extents(x)} -> {extents(y)}, {kernel}",
        )
    ]
