"""The operators that cost nothing in the challenge's arithmetic: an allow-list, so that a new operator is never free.

Free are element-wise work, activations, normalisation, pooling and other reductions, interpolation, comparisons,
moving and making data, (de)quantisation. The organisers' counter gives all of these 0. Reductions of products are
another matter: see `disguised`.
"""

from __future__ import annotations


def names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


ELEMENTWISE = names("""
    Abs Acos Acosh Add And Asin Asinh Atan Atanh Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
    HardSigmoid HardSwish Hardmax Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log LogSoftmax Max Mean Min Mish
    Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign
    Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor RotaryEmbedding BitCast
""")
NORMALISATION = names("""
    BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization
    MeanVarianceNormalization RMSNormalization
""")
POOLING = names("""
    ArgMax ArgMin AveragePool CumSum CumProd GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool
    MaxRoiPool MaxUnpool ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare RoiAlign
""")
MOVEMENT = names("""
    AffineGrid CenterCropPad Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape DepthToSpace
    Expand EyeLike Flatten Gather GatherElements GatherND GridSample NonMaxSuppression NonZero OneHot Pad Range
    Reshape Resize ReverseSequence Scatter ScatterElements ScatterND TensorScatter Shape Size Slice SpaceToDepth
    Split Squeeze Tile TopK Transpose Trilu Unique Unsqueeze Upsample
""")
MAKING = names("""
    BlackmanWindow HammingWindow HannWindow MelWeightMatrix Multinomial RandomNormal RandomNormalLike
    RandomUniform RandomUniformLike
""")
QUANTISATION = names("""
    DequantizeLinear DynamicQuantizeLinear QuantizeLinear
""")
SEQUENCES = names("""
    Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty SequenceErase
    SequenceInsert SequenceLength SplitToSequence StringConcat StringNormalizer StringSplit RegexFullMatch
    TfIdfVectorizer ImageDecoder
""")
CLASSIC_ML = names("""
    ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder
    Normalizer OneHotEncoder Scaler ZipMap
""")
RUNTIME = names("""
    BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BitmaskDropout BitmaskBiasDropout DequantizeLinear
    EmbedLayerNormalization ExpandDims FastGelu Gelu GroupNorm NhwcMaxPool Pad QLinearAdd QLinearAveragePool
    QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid
    QLinearSoftmax QLinearWhere QuantizeLinear QuickGelu RotaryEmbedding SimplifiedLayerNormalization
    SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization Trilu UnfoldTensor Unique
""")

FREE: dict[str, frozenset[str]] = {
    "": ELEMENTWISE | NORMALISATION | POOLING | MOVEMENT | MAKING | QUANTISATION | SEQUENCES,
    "ai.onnx.ml": CLASSIC_ML,
    "com.microsoft": RUNTIME,
}
