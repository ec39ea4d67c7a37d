"""One row for every operator: name, kind, traits, and what its inputs are for. See `operators` for the words.

A row holds in every version of the operator. Rows are grouped by kind; a new operator of the standard needs a row here
or an entry in `ABSENT`, or a test fails. Without a row an operator is free of nothing and known for nothing.
"""

from __future__ import annotations

#: The standard's own domain. SimplifiedLayerNormalization is onnxruntime's, which keeps it in this domain.
STANDARD = """
Abs                           unary        free derives in-place activates along=each
Acos                          unary        free derives in-place along=each
Acosh                         unary        free derives in-place along=each
Asin                          unary        free derives in-place along=each
Asinh                         unary        free derives in-place along=each
Atan                          unary        free derives in-place along=each
Atanh                         unary        free derives in-place along=each
BitCast                       unary        free idle derives in-place parts along=each
BitwiseNot                    unary        free derives in-place parts along=each
Cast                          unary        free idle same derives linear in-place keeps apart along=each
CastLike                      unary        free idle same derives linear in-place keeps apart along=each
Ceil                          unary        free derives in-place parts along=each
Celu                          unary        free derives in-place activates along=each
Clip                          unary        free derives in-place activates along=each
Cos                           unary        free derives in-place parts along=each
Cosh                          unary        free derives in-place along=each
Dropout                       unary        free idle same view derives linear in-place keeps apart steers=1,2 along=each
Elu                           unary        free derives in-place activates along=each
Erf                           unary        free derives in-place activates along=each
Exp                           unary        free derives in-place keeps along=each
Floor                         unary        free derives in-place parts along=each
Gelu                          unary        free derives in-place activates along=each
HardSigmoid                   unary        free derives in-place activates along=each
HardSwish                     unary        free derives in-place activates along=each
Identity                      unary        free idle same view derives linear in-place keeps apart along=each
IsInf                         unary        free derives in-place result=integer along=each
IsNaN                         unary        free derives in-place result=integer along=each
LeakyRelu                     unary        free derives in-place activates along=each
Log                           unary        free derives in-place keeps along=each
Mish                          unary        free derives in-place activates along=each
Neg                           unary        free derives linear in-place keeps apart along=each
Not                           unary        free derives in-place result=integer along=each
Reciprocal                    unary        free derives in-place keeps along=each
Relu                          unary        free derives in-place activates along=each
Round                         unary        free derives in-place parts along=each
Selu                          unary        free derives in-place activates along=each
Shrink                        unary        free derives in-place activates along=each
Sigmoid                       unary        free derives in-place activates along=each
Sign                          unary        free derives in-place parts along=each
Sin                           unary        free derives in-place parts along=each
Sinh                          unary        free derives in-place along=each
Softplus                      unary        free derives in-place activates along=each
Softsign                      unary        free derives in-place activates along=each
Sqrt                          unary        free derives in-place keeps along=each
Swish                         unary        free derives in-place activates along=each
Tan                           unary        free derives in-place parts along=each
Tanh                          unary        free derives in-place activates along=each
ThresholdedRelu               unary        free derives in-place activates along=each
Add                           pair         free derives adds arithmetic in-place keeps apart along=each
And                           pair         free derives multiplies along=each
BitShift                      pair         free derives parts along=each
BitwiseAnd                    pair         free derives parts along=each
BitwiseOr                     pair         free derives parts along=each
BitwiseXor                    pair         free derives parts along=each
Div                           pair         free derives multiplies arithmetic in-place keeps apart along=each
Equal                         pair         free derives result=integer along=each
Greater                       pair         free derives result=integer along=each
GreaterOrEqual                pair         free derives result=integer along=each
Less                          pair         free derives result=integer along=each
LessOrEqual                   pair         free derives result=integer along=each
Max                           pair         free derives variadic in-place apart activates along=each
Mean                          pair         free derives adds variadic in-place keeps apart along=each
Min                           pair         free derives variadic in-place apart activates along=each
Mod                           pair         free derives in-place parts along=each
Mul                           pair         free derives multiplies arithmetic in-place keeps apart picks along=each
Or                            pair         free derives along=each
PRelu                         pair         free derives in-place learned activates along=each
Pow                           pair         free derives in-place keeps along=each
Sub                           pair         free derives adds arithmetic in-place keeps apart along=each
Sum                           pair         free derives adds arithmetic variadic in-place keeps apart along=each
SwiGLU                        pair         free derives multiplies along=each
Where                         pair         free derives multiplies keeps apart chooses=0 along=each
Xor                           pair         free derives along=each
BatchNormalization            normalising  free linear scales in-place learned keeps along=own
GroupNormalization            normalising  free scales in-place learned keeps along=maps
Hardmax                       normalising  free derives along=one-axis
InstanceNormalization         normalising  free scales in-place learned keeps along=maps
LRN                           normalising  free in-place along=maps
LayerNormalization            normalising  free scales in-place learned keeps along=tail
LogSoftmax                    normalising  free derives activates along=one-axis
LpNormalization               normalising  free sums-changed in-place keeps along=one-axis
MeanVarianceNormalization     normalising  free in-place keeps along=maps
RMSNormalization              normalising  free scales in-place learned keeps along=tail
SimplifiedLayerNormalization  normalising  free scales in-place learned along=tail
Softmax                       normalising  free derives activates along=one-axis
ArgMax                        pooling      free result=integer along=one-axis
ArgMin                        pooling      free result=integer along=one-axis
AveragePool                   pooling      free linear pools window keeps along=maps
CumProd                       pooling      free steers=1 along=one-axis
CumSum                        pooling      free steers=1 read=1 along=one-axis
GlobalAveragePool             pooling      free pools keeps along=maps
GlobalLpPool                  pooling      free sums-changed pools along=maps
GlobalMaxPool                 pooling      free pools along=maps
LpPool                        pooling      free sums-changed pools window along=maps
MaxPool                       pooling      free linear pools window along=maps
MaxRoiPool                    pooling      free window
MaxUnpool                     pooling      free steers=2 sizes=2 chooses=1
ReduceL1                      pooling      free derives sums sums-changed pools keeps steers=1 sizes=1 read=1 along=axes
ReduceL2                      pooling      free derives sums sums-changed pools keeps steers=1 sizes=1 read=1 along=axes
ReduceLogSum                  pooling      free derives sums sums-changed keeps steers=1 sizes=1 read=1 along=axes
ReduceLogSumExp               pooling      free derives sums sums-changed keeps steers=1 sizes=1 read=1 along=axes
ReduceMax                     pooling      free derives pools steers=1 sizes=1 along=axes
ReduceMean                    pooling      free derives sums pools keeps steers=1 sizes=1 read=1 along=axes
ReduceMin                     pooling      free derives pools steers=1 sizes=1 along=axes
ReduceProd                    pooling      free derives keeps steers=1 sizes=1 along=axes
ReduceSum                     pooling      free derives sums pools keeps steers=1 sizes=1 read=1 along=axes
ReduceSumSquare               pooling      free derives sums sums-changed pools keeps steers=1 sizes=1 read=1 along=axes
RoiAlign                      pooling      free steers=2
Flatten                       layout       free idle view keeps apart along=relaid
Reshape                       layout       free idle view keeps apart steers=1 sizes=1 along=relaid
Squeeze                       layout       free idle view derives keeps apart steers=1 sizes=1 along=relaid
Transpose                     layout       free idle keeps apart along=own
Unsqueeze                     layout       free idle view derives keeps apart steers=1 sizes=1 along=relaid
CenterCropPad                 moving       free idle keeps steers=1 sizes=1
Col2Im                        moving       free keeps steers=1,2 sizes=1,2 along=maps
Compress                      moving       free idle linear keeps sizes=1 chooses=1
Concat                        moving       free idle keeps apart along=own
ConcatFromSequence            moving       free idle keeps
DepthToSpace                  moving       free idle keeps apart along=maps
Expand                        moving       free idle linear keeps apart steers=1 sizes=1 along=own
Gather                        moving       free idle linear looks-up keeps apart chooses=1 along=own
GatherElements                moving       free idle linear looks-up keeps apart chooses=1 along=own
GatherND                      moving       free idle linear looks-up keeps apart chooses=1
GridSample                    moving       free interpolates keeps along=maps
NonMaxSuppression             moving       free idle sizes=0,1,2,3,4 result=integer
NonZero                       moving       free idle sizes=0 result=integer
OneHot                        moving       free idle keeps steers=1 sizes=1 along=own
Pad                           moving       free idle linear keeps apart steers=1,3 sizes=1,3 along=own
Resize                        moving       free linear interpolates keeps steers=1,2,3 sizes=1,2,3 along=maps
ReverseSequence               moving       free idle linear keeps apart steers=1 along=own
Scatter                       moving       free idle scatters keeps chooses=1
ScatterElements               moving       free idle scatters keeps chooses=1 along=own
ScatterND                     moving       free idle scatters keeps chooses=1
Slice                         moving       free idle linear keeps apart steers=1,2,3,4 sizes=1,2,3,4 along=own
SpaceToDepth                  moving       free idle keeps apart along=maps
Split                         moving       free idle linear keeps apart steers=1 sizes=1 along=own
TensorScatter                 moving       free idle scatters keeps chooses=2
Tile                          moving       free idle linear keeps apart steers=1 sizes=1 along=own
TopK                          moving       free idle steers=1 sizes=1 along=one-axis
Trilu                         moving       free idle linear keeps steers=1
Unique                        moving       free idle sizes=0
Upsample                      moving       free interpolates keeps steers=1 sizes=1 along=maps
SequenceLength                about-shape  free idle result=integer
Shape                         about-shape  free idle generates result=integer along=sizes
Size                          about-shape  free idle generates result=integer along=sizes
AffineGrid                    making       free steers=1 sizes=1 along=maps
Bernoulli                     making       free idle random along=each
BlackmanWindow                making       free idle generates sizes=0 along=nothing
Constant                      making       free idle keeps
ConstantOfShape               making       free idle keeps generates sizes=0 along=nothing
EyeLike                       making       free idle generates along=nothing
HammingWindow                 making       free idle generates sizes=0 along=nothing
HannWindow                    making       free idle generates sizes=0 along=nothing
ImageDecoder                  making       free idle sizes=0
MelWeightMatrix               making       free idle generates
Multinomial                   making       free idle random
RandomNormal                  making       free idle generates random along=nothing
RandomNormalLike              making       free idle generates random along=nothing
RandomUniform                 making       free idle generates random along=nothing
RandomUniformLike             making       free idle generates random along=nothing
Range                         making       free idle generates sizes=0,1,2 along=nothing
DequantizeLinear              quantising   free linear scales keeps result=float along=each
DynamicQuantizeLinear         quantising   free result=integer
QuantizeLinear                quantising   free linear result=integer along=each
CausalConvWithState           convolution  learned
Conv                          convolution  learned standard-weights keeps picks along=maps
ConvInteger                   convolution  learned standard-weights along=maps
ConvTranspose                 convolution  learned standard-weights keeps along=maps
DeformConv                    convolution  learned standard-weights along=maps
QLinearConv                   convolution  learned standard-weights along=maps
Einsum                        product      learned standard-weights keeps picks along=einsum
Gemm                          product      learned standard-weights keeps picks along=gemm
MatMul                        product      learned standard-weights keeps picks along=product
MatMulInteger                 product      learned standard-weights along=product
QLinearMatMul                 product      learned standard-weights
GRU                           recurrent    learned standard-weights along=recurrent
LSTM                          recurrent    learned standard-weights along=recurrent
RNN                           recurrent    learned standard-weights along=recurrent
Attention                     attention    learned along=first-apart
LinearAttention               attention    learned along=first-apart
DFT                           spectral     steers=1,2 sizes=1,2 read=1,2 along=one-axis
STFT                          spectral     steers=1,3 sizes=1,3 read=1,3
If                            control      keeps steers=0 sizes=0 read=0 along=bodies
Loop                          control      keeps steers=0,1 sizes=0,1 read=0,1 along=bodies
Scan                          control      keeps along=bodies
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
RotaryEmbedding               other        free along=first-apart
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
