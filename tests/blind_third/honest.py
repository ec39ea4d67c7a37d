"""The honest networks of the third blind set: each looks at every image once and leaves it where it is."""

from __future__ import annotations

from types import ModuleType

from tests.blind.case import Case, index

from . import honest_algebra, honest_exports, honest_maps, honest_patches, honest_windows

_TIED = ("complex_layers", "tied_to_their_transposes")

_TEXTS: dict[ModuleType, dict[str, str]] = {
    honest_maps: {
        "triplet_attention": "Features gated from three sides, axes exchanged, and the three averaged (Triplet).",
        "path_aggregation_with_masks": "Three scales fused down and up (PAN), a mask on features, three exits.",
        "dynamic_relu_with_simam": "IBN halves, slopes predicted per image, parameter-free attention; opset 9.",
        "film_of_one_frame": "The image as a film of one frame under kernels in space and time (R(2+1)D).",
        "integer_operators": "QLinearConv in bytes with fixed scales, MatMulInteger at the end.",
        "local_contrast_normalised": "Each pixel less its surroundings, over their contrast; LRN.",
    },
    honest_algebra: {
        "quaternion_kernels": "Blocks of kernels repeated with the signs of the Hamilton product.",
        "complex_layers": "Real and imaginary features under complex kernels, four convolutions a layer.",
        "even_and_odd_kernels": "Kernels that are even or odd themselves; the embedding is blind to mirroring.",
        "second_order_pooling": "The square root of the channels' covariance by Newton and Schulz (iSQRT-COV).",
        "block_cosines_by_matrices": "Blocks of 8 x 8 pixels, cosine transform by two matrices, low frequencies kept.",
        "channels_last_and_blue_first": "Channels last, RGB reversed along that axis, kernels [h, w, in, out].",
    },
    honest_patches: {
        "two_patch_sizes": "Two encoders on patches of two sizes whose class tokens cross over; mean (CrossViT).",
        "overlapping_unfold": "Overlapping patches by a traced Unfold (Gather with computed places), thrice (T2T).",
        "distilled_and_talking": "Class and distillation token with averaged heads (DeiT), talking heads.",
        "rotary_and_registers": "Rotary places on two axes, registers, gated MLPs; opset 20.",
        "colours_in_the_batch": "Patches of each colour embedded by one kernel, colours in the batch (ChannelViT).",
        "keypoint_relative_places": "Predicted landmarks shape the bias of attention and move nothing (KP-RPE).",
    },
    honest_windows: {
        "blocks_and_grids": "Attention in blocks and among places two apart, both in the batch (MaxViT).",
        "halos_around_blocks": "Blocks of features read overlapping margins around them, in the batch (HaloNet).",
        "graph_of_places": "Each place joined to its nearest in likeness by TopK and GatherND (Vision GNN).",
    },
    honest_exports: {
        "tied_to_their_transposes": "Hopfield layers back through the same matrix; low-rank adapters left unmerged.",
        "scan_over_stacked_layers": "A Scan whose sequence is a stack of weights, layers weighed at the end.",
        "traced_shapes_and_conditions": "MobileOne before merging, traced shapes, squeezes under If.",
    },
}

HONEST = index(
    *[
        Case(name=name, does=does, rule="", build=getattr(module, name), tied=("tied",) if name in _TIED else ())
        for module, texts in _TEXTS.items()
        for name, does in texts.items()
    ]
)
