"""What operators do with stored numbers: which inputs only steer them, and which of them keep the numbers whole."""

from __future__ import annotations

#: Inputs that steer an operator (shapes, axes, positions to cut at) and do not become part of what it computes.
STEERING: dict[str, frozenset[int]] = {
    "Reshape": frozenset({1}), "Expand": frozenset({1}), "Slice": frozenset({1, 2, 3, 4}), "Pad": frozenset({1, 3}),
    "Tile": frozenset({1}), "Unsqueeze": frozenset({1}), "Squeeze": frozenset({1}), "Split": frozenset({1}),
    "Resize": frozenset({1, 2, 3}), "Upsample": frozenset({1}), "TopK": frozenset({1}), "OneHot": frozenset({1}),
    "CumSum": frozenset({1}), "Trilu": frozenset({1}), "Dropout": frozenset({1, 2}), "RoiAlign": frozenset({2}),
    "CenterCropPad": frozenset({1}), "AffineGrid": frozenset({1}), "DFT": frozenset({1, 2}),
    "Col2Im": frozenset({1, 2}), "ReverseSequence": frozenset({1}),
    "SequenceAt": frozenset({1}), "SplitToSequence": frozenset({1}),
    "Loop": frozenset({0, 1}), "If": frozenset({0}), "SequenceInsert": frozenset({2}), "SequenceErase": frozenset({1}),
    **{
        f"Reduce{kind}": frozenset({1})
        for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    },
}  # fmt: skip

#: Inputs that choose among other values: an output element is one of those, so the choice is where the information is.
CHOOSING: dict[str, frozenset[int]] = {
    "Gather": frozenset({1}), "GatherElements": frozenset({1}), "GatherND": frozenset({1}), "Where": frozenset({0}),
    "ArrayFeatureExtractor": frozenset({1}), "Compress": frozenset({1}), "ScatterElements": frozenset({1}),
    "Scatter": frozenset({1}), "ScatterND": frozenset({1}), "LabelEncoder": frozenset({0}),
    "CategoryMapper": frozenset({0}), "TfIdfVectorizer": frozenset({0}), "TreeEnsembleRegressor": frozenset({0}),
    "TreeEnsembleClassifier": frozenset({0}), "TreeEnsemble": frozenset({0}),
}  # fmt: skip

#: Outputs that no stored number enters, but attributes and shapes only.
GENERATING = frozenset({
    "Shape", "Size", "Range", "ConstantOfShape", "EyeLike", "RandomNormal", "RandomUniform", "RandomNormalLike",
    "RandomUniformLike", "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix",
})  # fmt: skip

#: Operators whose result keeps the values it was made of whole: moved, scaled, combined, summed, converted. Two results
#: made of the same weights are the same weights used twice. What any other operator makes of stored numbers (their
#: integer part, their remainder, their bits, their order) counts as new weights.
KEEPING = frozenset({
    "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Concat", "Expand", "Tile",
    "Pad", "Gather", "GatherElements", "GatherND", "ScatterElements", "Scatter", "ScatterND", "ArrayFeatureExtractor",
    "Compress", "Where", "Neg", "Mul", "Add", "Sub", "Div", "Sum", "Mean", "MatMul", "Gemm", "Conv", "ConvTranspose",
    "Einsum", "Sqrt", "Reciprocal", "Pow", "Exp", "Log", "Resize", "Upsample", "Trilu",
    "SpaceToDepth", "DepthToSpace", "LayerNormalization", "BatchNormalization", "LpNormalization",
    "InstanceNormalization", "DequantizeLinear", "OneHot", "Cast", "CastLike", "SequenceConstruct", "SequenceAt",
    "SequenceInsert", "ConcatFromSequence", "SplitToSequence", "Optional", "OptionalGetElement", "Dropout", "If",
    "Loop", "Scan", "GlobalAveragePool", "AveragePool", "Constant", "ConstantOfShape", "ReverseSequence",
    "CenterCropPad", "ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd", "ReduceLogSum",
    "ReduceLogSumExp", "LabelEncoder", "CategoryMapper", "TreeEnsembleRegressor", "TfIdfVectorizer",
})  # fmt: skip

#: Activation functions. Inside a small network that computes a table from constants (the position bias of some
#: transformers) they make no more weights than that network has, however big the table; two of them on the same
#: weights do take these apart.
ACTIVATING = frozenset({
    "Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "Selu", "Celu", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Max",
    "Min", "ThresholdedRelu", "Abs", "Tanh", "Sigmoid", "Softplus", "Softmax", "Erf",
})  # fmt: skip

#: Operators that keep every element apart from the others, so that stored numbers still can be taken out of the result
#: when a value computed from the image (a zero, say) was mixed in.
ELEMENTWISE = frozenset({
    "Add", "Sub", "Mul", "Div", "Sum", "Neg", "Max", "Min", "Where", "Cast", "Identity", "Reshape", "Transpose",
    "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Concat", "Expand", "Tile", "Pad", "Gather",
})  # fmt: skip

#: Operators that take a number apart and that networks hardly ever use on what they compute from the image.
PARTING = frozenset({
    "Floor", "Ceil", "Round", "Mod", "Sign", "Sin", "Cos", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor",
    "BitwiseNot",
})  # fmt: skip

#: Products that pick rows of one operand when the other holds a single one in each row.
PICKING = frozenset({"MatMul", "Gemm", "Einsum", "Mul", "Conv"})

#: Element-wise arithmetic of two values: the remainder of a value and a part taken from it is new information.
ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})

#: Operators that sum products of activations and weights. Even a handful of integers is a weight there.
CONTRACTING = frozenset({
    "Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul",
    "PRelu", "BatchNormalization", "LSTM", "GRU", "RNN", "DeformConv",
})  # fmt: skip

#: Result families that differ from the first input's.
RESULT_KIND: dict[str, str] = {
    **dict.fromkeys(("QuantizeLinear", "Shape", "Size", "ArgMax", "ArgMin", "NonZero"), "integer"),
    **dict.fromkeys(("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Not", "IsNaN", "IsInf"), "integer"),
    **dict.fromkeys(("DequantizeLinear", "LabelEncoder", "CategoryMapper", "TreeEnsembleRegressor"), "float"),
}
