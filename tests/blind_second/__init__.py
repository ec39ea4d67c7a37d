"""The second blind set: more networks written without knowing how implicit batching and re-alignment are detected."""

from __future__ import annotations

from types import ModuleType

from tests.blind.case import IMPLICIT_BATCH, REALIGNMENT, Case, index

from . import disguises, hidden, honest_common, honest_conv, honest_tokens, honest_twins, pixels, rows, warps


def _case(rule: str, module: ModuleType, name: str, does: str, tied: tuple[str, ...] = ()) -> Case:
    return Case(name=name, does=does, rule=rule, build=getattr(module, name), tied=tied)


def _cases(rule: str, module: ModuleType, texts: dict[str, str]) -> list[Case]:
    return [_case(rule, module, name, does) for name, does in texts.items()]


_PIXELS = {
    "einsum_of_nudges": "An Einsum with three matrices moves the columns by 0 and 0.7 pixels either way; weighted sum.",
    "chirp_noise": "Noise computed from the places is added and taken away; each look gives half of the embedding.",
    "exposure_bracket": "One Pow applies three tone curves; the looks are weighed by the length of their embeddings.",
    "scan_over_sharpness": "A Scan runs the body on a blurred, a plain and a sharpened image; maximum.",
    "fourier_twice": "Two forward DFTs reverse the columns; image and reversed image share a batch; mean.",
    "region_read_backwards": "Resize reads a region from right to left; two looks meet in the last features; maximum.",
    "region_crops": "RoiAlign cuts three regions out of every image; mean.",
    "two_headed_columns": "Attention over columns by place: one head sees the image, one its mirror image; mean.",
    "pyramid_of_images": "The same network runs on the image and on a copy of 84 x 84 pixels; weighted sum.",
    "identity_scan_backwards": "A Scan that copies columns lays them down in reverse; two looks in channels; maximum.",
    "second_look_when_unsure": "Images with short embeddings are gathered, mirrored and looked at again.",
    "doubtful_region_erased": "The first look predicts a mask; the second one sees the image under it; concatenated.",
}

_HIDDEN = {
    "transposed_strips": "A second tower reads the same wide kernels with ConvTranspose, which mirrors them; mean.",
    "tied_two_way_columns": "A GRU reads columns both ways, same weights permuted, as do layers behind it; mean.",
    "shuffled_groups": "A ShuffleNet with twice the groups, half of them mirrored; shuffles keep the halves apart.",
    "upper_tokens_again": "A transformer sees all patches and, by an attention mask, the upper four rows again.",
    "stacked_mixer": "An MLP-Mixer with stacked token weights: the second layer counts the patches from the right.",
    "quantised_towers": "Two int8 towers, the second mirrored and rounded with other scales; weighted sum.",
    "fused_and_unfused_towers": "A merged tower and a mirrored, permuted one before merging, in rows of pixels; mean.",
    "polyphase_looks": "A dense stem's four phases are folded into the batch: looks moved by a pixel each way; mean.",
    "reflected_canvas": "A reflecting Pad as wide as the image; the last kernel has its taps twice, past the seam.",
    "fixed_dropout_samples": "Three fixed dropout masks over early features, folded into the batch; mean.",
}

_DISGUISES = {
    "kernels_in_cosine_basis": "Kernels are stored as cosine coefficients; a second tower negates the odd ones; mean.",
    "factored_tower": "A second, mirrored tower has each layer factored into two of other widths; maximum.",
    "first_half_twice": "All but the last layers see image and mirror; the features are turned back and averaged.",
    "only_for_faces": "A mirrored look that only counts where the image is like an average face, by a product.",
    "loop_carries_the_image": "A Loop's state is the image, rolled by two pixels each round; mean of three.",
    "white_balances": "Patch kernels rescaled by colour give three white balances; a layer of trust weighs the looks.",
}

_ROWS = {
    "attention_between_rows": "The embeddings of a batch attend to each other (BatchFormer left in).",
    "neighbouring_frames": "A filter of three taps along the batch, as if rows were frames of one film.",
    "query_expansion": "Each embedding becomes a weighted sum of the three most alike in the batch.",
    "running_centre": "Half of the mean of the embeddings so far is taken away (CumSum over the batch).",
    "tokens_of_all_rows": "Attention folds the batch into the sequence: patches attend to patches of other images.",
    "default_axes": "MeanVarianceNormalization at its default axes, which include the batch.",
}

_WARPS = {
    "similarity_from_landmarks": "Five predicted points, the least-squares similarity to a template, GridSample.",
    "flow_field": "A coarse predicted field of displacements, enlarged, rounded, applied by GatherElements.",
    "sheared_by_reshape": "A fixed shear: a Reshape with a column too many moves each band of rows by a pixel.",
    "lens_of_dense_pairs": "A fixed lens that enlarges the middle, as pairs of dense matrices on each side.",
    "predicted_region": "A predicted box is cut out of the image by RoiAlign.",
    "resized_region": "A fixed region is resized to the whole image by Resize with its roi.",
    "barrel_shifter": "A predicted shift, done by its binary digits with Pad, Slice and Where.",
    "warp_by_attention": "Columns attend to columns whose place codes are turned by a predicted phase.",
    "centred_by_brightness": "The middle of brightness is moved to the middle of the image by matrices of Equal.",
    "predicted_delta_kernels": "A predicted 7x7 kernel per image, all but one tap nearly nothing, moves the image.",
}

EVASIONS = index(
    *_cases(IMPLICIT_BATCH, pixels, _PIXELS),
    *_cases(IMPLICIT_BATCH, hidden, _HIDDEN),
    *_cases(IMPLICIT_BATCH, disguises, _DISGUISES),
    *_cases(IMPLICIT_BATCH, rows, _ROWS),
    *_cases(REALIGNMENT, warps, _WARPS),
)

_COMMON = {
    "mobilefacenet": "Depthwise reductions, inverted residuals, a global depthwise convolution.",
    "improved_resnet": "Pixel normalisation in the graph, residual units, unmerged normalisation, Dropout left over.",
    "vision_transformer": "Patches, two layers of attention, mean.",
    "efficientnet": "MBConv blocks with swish and squeeze-and-excitation.",
    "convnext": "7x7 depthwise, channels last, LayerNorm, GELU, layer scale.",
    "ghostnet": "Half of the channels are cheap depthwise maps of the other half.",
    "res2net_with_selective_kernels": "Channel quarters in a chain, then a learned choice between two kernel sizes.",
    "small_hrnet": "Two resolutions side by side that exchange features.",
}

_CONV = {
    "laplacian_and_haar_stem": "Fixed Haar bands of the first features, then what a blur leaves of them.",
    "iterative_attentional_fusion": "Fine and enlarged coarse features fused by two rounds of gates (iAFF).",
    "weights_standardised_in_the_graph": "Kernels standardised by nodes, no normalisation of features (NFNet).",
    "shifted_channels": "Fifths of the deep features move up, down, left and right instead of convolutions (ShiftNet).",
    "hourglass_features": "A U-Net on features whose result gates them.",
    "deformable_on_deep_features": "Deep features sampled at predicted places by GridSample (deformable, v2).",
    "pose_conditions_the_embedding": "Pose and occlusion heads whose outputs make a low-rank change of the embedding.",
    "asymmetry_of_deep_features": "The last feature map and how far it is from its mirror image, embedded together.",
    "standardised_luma_and_chroma": "Each image standardised by itself, YCbCr, reductions blurred with reflection.",
    "reversible_couplings": "Two halves of the features add to each other in turns (RevNet).",
    "tiles_in_the_batch": "Disjoint tiles of early features convolved by themselves, folded into the batch (NesT).",
}

_TOKENS = {
    "mlp_mixer": "Token and channel mixing by MLPs.",
    "fourier_mixing": "Tokens mixed by the real part of a Fourier transform (FNet).",
    "global_filters": "Learned complex filters on the spectrum of deep features (GFNet).",
    "spatial_reduction_attention": "Tokens attend to a strided convolution's fewer tokens (PVT).",
    "mobilevit_block": "Attention between same places of 2x2 patches, four sequences an image in the batch axis.",
    "pooling_for_attention": "Average pooling mixes places (PoolFormer); GroupNorm by Reshapes.",
    "four_way_scan": "State spaces over deep features in four orders with own weights (VMamba).",
    "shifted_windows": "A Swin pair: windows, then rolled and masked windows, rolled back.",
    "squeezed_axes": "Attention along squeezed rows and columns added to a local convolution.",
}

_TWINS = {
    "two_way_gated_columns": "A GRU over columns of deep features in both directions with own weights (CRNN).",
    "shufflenet": "Grouped pointwise convolutions and channel shuffles.",
    "parts_by_roi_align": "Eyes, nose and mouth cut out of deep features by RoiAlign, each with its own layer.",
    "symmetric_kernels_everywhere": "Each kernel is its own mirror image, so the embedding is blind to mirroring.",
    "concatenated_relu": "Positive and negative parts of early features side by side (CReLU).",
    "gabor_stem": "Fixed Gabor filters in eight orientations and their energy.",
    "looped_transformer": "One transformer layer four times in a Loop, told the round by a code.",
    "inception": "Kernels of three sizes and a pooling side by side.",
    "quantised_mobile": "int8 kernels and activations rounded to bytes.",
    "queries_from_a_coarser_look": "A coarse feature map asks a finer one of the same trunk by cross-attention.",
}

HONEST = index(
    *_cases("", honest_common, _COMMON),
    _case(
        "",
        honest_common,
        "densenet_with_cbam",
        "Dense blocks; channel attention by one MLP on average and maximum, spatial attention.",
        ("tied",),
    ),
    *_cases("", honest_conv, _CONV),
    _case(
        "",
        honest_conv,
        "three_tied_dilations",
        "One kernel at three dilations on deep features, beside pooled context (TridentNet, ASPP).",
        ("tied_fork.",),
    ),
    *_cases("", honest_tokens, _TOKENS),
    *_cases("", honest_twins, _TWINS),
    _case(
        "",
        honest_tokens,
        "one_layer_three_times",
        "One transformer layer used three times in series (ALBERT).",
        ("tied_",),
    ),
    _case(
        "",
        honest_tokens,
        "latents_that_read",
        "Learned latents read the features by one tied cross-attention, twice (Perceiver).",
        ("tied_",),
    ),
)
