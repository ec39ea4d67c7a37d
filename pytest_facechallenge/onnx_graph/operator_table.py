"""One row for every operator: name, kind, traits, and what its inputs are for. See `operators` for the words.

A row holds in every version of the operator. Rows are grouped by kind; a new operator of the standard needs a row here
or an entry in `ABSENT`, or a test fails. Without a row an operator is free of nothing and known for nothing.
"""

from __future__ import annotations

#: The standard's own domain. SimplifiedLayerNormalization is onnxruntime's, which keeps it in this domain.
STANDARD = """
Abs                           unary        free derives in-place activates
Acos                          unary        free derives in-place
Acosh                         unary        free derives in-place
Asin                          unary        free derives in-place
Asinh                         unary        free derives in-place
Atan                          unary        free derives in-place
Atanh                         unary        free derives in-place
BitCast                       unary        free idle derives in-place parts
BitwiseNot                    unary        free derives in-place parts
Cast                          unary        free idle same derives linear in-place keeps apart
CastLike                      unary        free idle same derives linear in-place keeps apart
Ceil                          unary        free derives in-place parts
Celu                          unary        free derives in-place activates
Clip                          unary        free derives in-place activates
Cos                           unary        free derives in-place parts
Cosh                          unary        free derives in-place
Dropout                       unary        free idle same view derives linear in-place keeps apart steers=1,2
Elu                           unary        free derives in-place activates
Erf                           unary        free derives in-place activates
Exp                           unary        free derives in-place keeps
Floor                         unary        free derives in-place parts
Gelu                          unary        free derives in-place activates
HardSigmoid                   unary        free derives in-place activates
HardSwish                     unary        free derives in-place activates
Identity                      unary        free idle same view derives linear in-place keeps apart
IsInf                         unary        free derives in-place result=integer
IsNaN                         unary        free derives in-place result=integer
LeakyRelu                     unary        free derives in-place activates
Log                           unary        free derives in-place keeps
Mish                          unary        free derives in-place activates
Neg                           unary        free derives linear in-place keeps apart
Not                           unary        free derives in-place result=integer
Reciprocal                    unary        free derives in-place keeps
Relu                          unary        free derives in-place activates
Round                         unary        free derives in-place parts
Selu                          unary        free derives in-place activates
Shrink                        unary        free derives in-place activates
Sigmoid                       unary        free derives in-place activates
Sign                          unary        free derives in-place parts
Sin                           unary        free derives in-place parts
Sinh                          unary        free derives in-place
Softplus                      unary        free derives in-place activates
Softsign                      unary        free derives in-place activates
Sqrt                          unary        free derives in-place keeps
Swish                         unary        free derives in-place activates
Tan                           unary        free derives in-place parts
Tanh                          unary        free derives in-place activates
ThresholdedRelu               unary        free derives in-place activates
Add                           pair         free derives adds arithmetic in-place keeps apart
And                           pair         free derives multiplies
BitShift                      pair         free derives parts
BitwiseAnd                    pair         free derives parts
BitwiseOr                     pair         free derives parts
BitwiseXor                    pair         free derives parts
Div                           pair         free derives multiplies arithmetic in-place keeps apart
Equal                         pair         free derives result=integer
Greater                       pair         free derives result=integer
GreaterOrEqual                pair         free derives result=integer
Less                          pair         free derives result=integer
LessOrEqual                   pair         free derives result=integer
Max                           pair         free derives variadic in-place apart activates
Mean                          pair         free derives adds variadic in-place keeps apart
Min                           pair         free derives variadic in-place apart activates
Mod                           pair         free derives in-place parts
Mul                           pair         free derives multiplies arithmetic in-place keeps apart picks
Or                            pair         free derives
PRelu                         pair         free derives in-place learned activates
Pow                           pair         free derives in-place keeps
Sub                           pair         free derives adds arithmetic in-place keeps apart
Sum                           pair         free derives adds arithmetic variadic in-place keeps apart
SwiGLU                        pair         free derives multiplies
Where                         pair         free derives multiplies keeps apart chooses=0
Xor                           pair         free derives
BatchNormalization            normalising  free linear scales in-place learned keeps
GroupNormalization            normalising  free scales in-place learned keeps
Hardmax                       normalising  free derives
InstanceNormalization         normalising  free scales in-place learned keeps
LRN                           normalising  free in-place
LayerNormalization            normalising  free scales in-place learned keeps
LogSoftmax                    normalising  free derives activates
LpNormalization               normalising  free sums-changed in-place keeps
MeanVarianceNormalization     normalising  free in-place keeps
RMSNormalization              normalising  free scales in-place learned keeps
SimplifiedLayerNormalization  normalising  free scales in-place learned
Softmax                       normalising  free derives activates
ArgMax                        pooling      free result=integer
ArgMin                        pooling      free result=integer
AveragePool                   pooling      free linear pools window keeps
CumProd                       pooling      free steers=1
CumSum                        pooling      free steers=1 read=1
GlobalAveragePool             pooling      free pools keeps
GlobalLpPool                  pooling      free sums-changed pools
GlobalMaxPool                 pooling      free pools
LpPool                        pooling      free sums-changed pools window
MaxPool                       pooling      free linear pools window
MaxRoiPool                    pooling      free window
MaxUnpool                     pooling      free steers=2 sizes=2 chooses=1
ReduceL1                      pooling      free derives sums sums-changed pools keeps steers=1 sizes=1 read=1
ReduceL2                      pooling      free derives sums sums-changed pools keeps steers=1 sizes=1 read=1
ReduceLogSum                  pooling      free derives sums sums-changed keeps steers=1 sizes=1 read=1
ReduceLogSumExp               pooling      free derives sums sums-changed keeps steers=1 sizes=1 read=1
ReduceMax                     pooling      free derives pools steers=1 sizes=1
ReduceMean                    pooling      free derives sums pools keeps steers=1 sizes=1 read=1
ReduceMin                     pooling      free derives pools steers=1 sizes=1
ReduceProd                    pooling      free derives keeps steers=1 sizes=1
ReduceSum                     pooling      free derives sums pools keeps steers=1 sizes=1 read=1
ReduceSumSquare               pooling      free derives sums sums-changed pools keeps steers=1 sizes=1 read=1
RoiAlign                      pooling      free steers=2
Flatten                       layout       free idle view keeps apart
Reshape                       layout       free idle view keeps apart steers=1 sizes=1
Squeeze                       layout       free idle view derives keeps apart steers=1 sizes=1
Transpose                     layout       free idle keeps apart
Unsqueeze                     layout       free idle view derives keeps apart steers=1 sizes=1
CenterCropPad                 moving       free idle keeps steers=1 sizes=1
Col2Im                        moving       free keeps steers=1,2 sizes=1,2
Compress                      moving       free idle linear keeps sizes=1 chooses=1
Concat                        moving       free idle keeps apart
ConcatFromSequence            moving       free idle keeps
DepthToSpace                  moving       free idle keeps apart
Expand                        moving       free idle linear keeps apart steers=1 sizes=1
Gather                        moving       free idle linear looks-up keeps apart chooses=1
GatherElements                moving       free idle linear looks-up keeps apart chooses=1
GatherND                      moving       free idle linear looks-up keeps apart chooses=1
GridSample                    moving       free interpolates keeps
NonMaxSuppression             moving       free idle sizes=0,1,2,3,4 result=integer
NonZero                       moving       free idle sizes=0 result=integer
OneHot                        moving       free idle keeps steers=1 sizes=1
Pad                           moving       free idle linear keeps apart steers=1,3 sizes=1,3
Resize                        moving       free linear interpolates keeps steers=1,2,3 sizes=1,2,3
ReverseSequence               moving       free idle linear keeps apart steers=1
Scatter                       moving       free idle scatters keeps chooses=1
ScatterElements               moving       free idle scatters keeps chooses=1
ScatterND                     moving       free idle scatters keeps chooses=1
Slice                         moving       free idle linear keeps apart steers=1,2,3,4 sizes=1,2,3,4
SpaceToDepth                  moving       free idle keeps apart
Split                         moving       free idle linear keeps apart steers=1 sizes=1
TensorScatter                 moving       free idle scatters keeps chooses=2
Tile                          moving       free idle linear keeps apart steers=1 sizes=1
TopK                          moving       free idle steers=1 sizes=1
Trilu                         moving       free idle linear keeps steers=1
Unique                        moving       free idle sizes=0
Upsample                      moving       free interpolates keeps steers=1 sizes=1
SequenceLength                about-shape  free idle result=integer
Shape                         about-shape  free idle generates result=integer
Size                          about-shape  free idle generates result=integer
AffineGrid                    making       free steers=1 sizes=1
Bernoulli                     making       free idle random
BlackmanWindow                making       free idle generates sizes=0
Constant                      making       free idle keeps
ConstantOfShape               making       free idle keeps generates sizes=0
EyeLike                       making       free idle generates
HammingWindow                 making       free idle generates sizes=0
HannWindow                    making       free idle generates sizes=0
ImageDecoder                  making       free idle sizes=0
MelWeightMatrix               making       free idle generates
Multinomial                   making       free idle random
RandomNormal                  making       free idle generates random
RandomNormalLike              making       free idle generates random
RandomUniform                 making       free idle generates random
RandomUniformLike             making       free idle generates random
Range                         making       free idle generates sizes=0,1,2
DequantizeLinear              quantising   free linear scales keeps result=float
DynamicQuantizeLinear         quantising   free result=integer
QuantizeLinear                quantising   free linear result=integer
CausalConvWithState           convolution  learned
Conv                          convolution  learned standard-weights keeps picks
ConvInteger                   convolution  learned standard-weights
ConvTranspose                 convolution  learned standard-weights keeps
DeformConv                    convolution  learned standard-weights
QLinearConv                   convolution  learned standard-weights
Einsum                        product      learned standard-weights keeps picks
Gemm                          product      learned standard-weights keeps picks
MatMul                        product      learned standard-weights keeps picks
MatMulInteger                 product      learned standard-weights
QLinearMatMul                 product      learned standard-weights
GRU                           recurrent    learned standard-weights
LSTM                          recurrent    learned standard-weights
RNN                           recurrent    learned standard-weights
Attention                     attention    learned
LinearAttention               attention    learned
DFT                           spectral     steers=1,2 sizes=1,2 read=1,2
STFT                          spectral     steers=1,3 sizes=1,3 read=1,3
If                            control      keeps steers=0 sizes=0 read=0
Loop                          control      keeps steers=0,1 sizes=0,1 read=0,1
Scan                          control      keeps
SequenceMap                   control      sequences
NegativeLogLikelihoodLoss     loss
SoftmaxCrossEntropyLoss       loss
Optional                      sequence     free idle keeps
OptionalGetElement            sequence     free idle keeps
OptionalHasElement            sequence     free idle
SequenceAt                    sequence     free idle keeps steers=1 sizes=1
SequenceConstruct             sequence     free idle keeps sequences
SequenceEmpty                 sequence     free idle sequences
SequenceErase                 sequence     free idle sequences steers=1 sizes=1
SequenceInsert                sequence     free idle keeps sequences steers=2 sizes=2
SplitToSequence               sequence     free idle keeps sequences steers=1 sizes=1
RegexFullMatch                text         free idle
StringConcat                  text         free idle
StringNormalizer              text         free idle
StringSplit                   text         free idle sizes=0
TfIdfVectorizer               text         free keeps chooses=0
Det                           other
RotaryEmbedding               other        free
"""

#: ai.onnx.ml.
CLASSIC = """
LinearClassifier        product
LinearRegressor         product
ArrayFeatureExtractor   table        free keeps chooses=1
Binarizer               table        free
CastMap                 table        free
CategoryMapper          table        free keeps chooses=0 result=float
DictVectorizer          table        free
FeatureVectorizer       table        free
Imputer                 table        free
LabelEncoder            table        free keeps chooses=0 result=float
Normalizer              table        free
OneHotEncoder           table        free
SVMClassifier           table
SVMRegressor            table
Scaler                  table        free
TreeEnsemble            table        chooses=0
TreeEnsembleClassifier  table        chooses=0
TreeEnsembleRegressor   table        keeps chooses=0 result=float
ZipMap                  table        free
"""

#: com.microsoft: what onnxruntime's own optimisers and quantisers write, and what a converter may ask for. None of
#: these is said to keep stored numbers whole, since none stands in a file that was exported as the challenges ask.
RUNTIME = """
BitmaskDropout                    unary        free in-place
FastGelu                          unary        free in-place
Gelu                              unary        free in-place
QLinearLeakyRelu                  unary        free in-place
QLinearSigmoid                    unary        free in-place
QuickGelu                         unary        free in-place
BiasAdd                           pair         free in-place
BiasDropout                       pair         free in-place
BiasGelu                          pair         free in-place
BiasSplitGelu                     pair         free
BitmaskBiasDropout                pair         free in-place
QLinearAdd                        pair         free in-place
QLinearMul                        pair         free in-place
QLinearWhere                      pair         free
BiasSoftmax                       normalising  free
EmbedLayerNormalization           normalising  free
GroupNorm                         normalising  free
QLinearSoftmax                    normalising  free
SkipGroupNorm                     normalising  free
SkipLayerNormalization            normalising  free in-place
SkipSimplifiedLayerNormalization  normalising  free in-place
NhwcMaxPool                       pooling      free pools window
QLinearAveragePool                pooling      free pools window
QLinearGlobalAveragePool          pooling      free pools
QLinearReduceMean                 pooling      free pools
ExpandDims                        layout       free idle steers=1 sizes=1
GatherND                          moving       free idle looks-up chooses=1
Pad                               moving       free idle steers=1 sizes=1
QLinearConcat                     moving       free idle
Trilu                             moving       free idle steers=1
UnfoldTensor                      moving       free idle
Unique                            moving       free idle sizes=0
DequantizeLinear                  quantising   free
QuantizeLinear                    quantising   free
ConvTransposeWithDynamicPads      convolution  learned
FusedConv                         convolution  learned standard-weights
NhwcConv                          convolution  learned standard-weights
NhwcFusedConv                     convolution  learned
QLinearConv                       convolution  learned standard-weights
DynamicQuantizeMatMul             product      learned standard-weights
FusedGemm                         product      learned standard-weights
FusedMatMul                       product      learned standard-weights
FusedMatMulActivation             product      learned standard-weights
GemmFloat8                        product      learned standard-weights
MatMulBnb4                        product      learned
MatMulFpQ4                        product      learned
MatMulInteger16                   product      learned standard-weights
MatMulIntegerToFloat              product      learned standard-weights
MatMulNBits                       product      learned
QGemm                             product      learned
TransposeMatMul                   product      learned standard-weights
DynamicQuantizeLSTM               recurrent    learned
Attention                         attention    learned
MultiHeadAttention                attention    learned
QAttention                        attention    learned
Irfft                             spectral
Rfft                              spectral
RotaryEmbedding                   other        free
Range                             making       free idle sizes=0,1,2
"""

#: Operators without a row, and why.
ABSENT: dict[tuple[str, str], str] = {
    ("ai.onnx.preview.training", "Adagrad"): "trains",
    ("ai.onnx.preview.training", "Adam"): "trains",
    ("ai.onnx.preview.training", "Gradient"): "trains",
    ("ai.onnx.preview.training", "Momentum"): "trains",
    ("ai.onnx.preview", "FlexAttention"): "a preview, whose meaning may still change",
    ("com.microsoft", "AttnLSTM"): "no rule says what it costs",
    ("com.microsoft", "CDist"): "no rule says what it costs",
    ("com.microsoft", "ComplexMul"): "no rule says what it costs",
    ("com.microsoft", "ComplexMulConj"): "no rule says what it costs",
    ("com.microsoft", "CropAndResize"): "no rule says what it costs",
    ("com.microsoft", "Inverse"): "no rule says what it costs",
    ("com.microsoft", "LongformerAttention"): "no rule says what it costs",
    ("com.microsoft", "MaxpoolWithMask"): "no rule says what it costs",
    ("com.microsoft", "MulInteger"): "no rule says what it costs",
    ("com.microsoft", "ReduceSumInteger"): "no rule says what it costs",
    ("com.microsoft", "WordConvEmbedding"): "works on words",
    ("com.microsoft", "Tokenizer"): "works on words",
    ("com.microsoft", "MurmurHash3"): "a hash",
    ("com.microsoft", "SampleOp"): "an example",
}
