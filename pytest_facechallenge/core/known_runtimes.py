"""What certain versions of onnxruntime know beyond the ONNX standard. Figures only, with how each was found."""

from __future__ import annotations

#: Operators of the domain com.microsoft, by version. 1.6.0: every name that its library or a current one holds was put
#: into a model of one node and loaded with the real 1.6.0 (CPU build); it did not call these names unknown.
CONTRIB: dict[str, frozenset[str]] = {
    "1.6.0": frozenset({
        "Attention", "AttnLSTM", "BiasGelu", "BiasSoftmax", "CDist", "ComplexMul", "ComplexMulConj",
        "ConvTransposeWithDynamicPads", "CropAndResize", "DequantizeLinear", "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul", "EmbedLayerNormalization", "ExpandDims", "FastGelu", "FusedConv", "FusedGemm",
        "FusedMatMul", "GatherND", "Gelu", "Inverse", "Irfft", "LongformerAttention", "MatMulInteger16",
        "MatMulIntegerToFloat", "MaxpoolWithMask", "MulInteger", "MurmurHash3", "Pad", "QAttention", "QLinearAdd",
        "QLinearAveragePool", "QLinearConv", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul",
        "QLinearReduceMean", "QLinearSigmoid", "QuantizeLinear", "Range", "ReduceSumInteger", "Rfft", "SampleOp",
        "SkipLayerNormalization", "Tokenizer", "TransposeMatMul", "Trilu", "Unique", "WordConvEmbedding",
    }),
}  # fmt: skip

#: Operators that onnxruntime keeps in the standard's domain although the standard of that opset has none of the name.
#: Found in the same way with the real 1.6.0; later versions still load them.
EXTRA_STANDARD = frozenset({"LayerNormalization", "SimplifiedLayerNormalization"})

#: Operators of the standard without a CUDA kernel. Read in the two kernel lists that bracket 1.6.
NO_CUDA_KERNEL = frozenset({"LpNormalization", "GlobalLpPool", "Mean", "Mod", "Sign", "Hardmax"})

#: Domains whose operators need no table here.
STANDARD_DOMAINS = frozenset({"", "ai.onnx.ml", "com.microsoft"})

#: Element types by the opset that came with them: a runtime of an older opset knows nothing of them. Source: the ONNX
#: change log.
TYPE_SINCE: dict[str, int] = {
    "float8e4m3fn": 19, "float8e4m3fnuz": 19, "float8e5m2": 19, "float8e5m2fnuz": 19, "int4": 21, "uint4": 21,
    "float4e2m1": 23, "float8e8m0": 24, "int2": 25, "uint2": 25,
}  # fmt: skip


def contrib_operators(version: str) -> tuple[frozenset[str], bool]:
    """Return the com.microsoft operators that a version is known to have, and whether the list is complete.

    For a version without a list of its own, the newest older list is returned (operators are kept from version to
    version), and is not complete.
    """
    if version in CONTRIB:
        return CONTRIB[version], True
    older = [known for known in CONTRIB if _key(known) < _key(version)]
    return (CONTRIB[max(older, key=_key)] if older else frozenset()), False


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
