"""The blind set: networks written without knowing how implicit batching and re-alignment are detected."""

from __future__ import annotations

from . import honest_conv, honest_tokens, rows, towers, views, warps
from .case import IMPLICIT_BATCH, REALIGNMENT, Case, index


def _batching(name: str, does: str, module: object) -> Case:
    return Case(name=name, does=does, rule=IMPLICIT_BATCH, build=getattr(module, name))


def _warping(name: str, does: str) -> Case:
    return Case(name=name, does=does, rule=REALIGNMENT, build=getattr(warps, name))


def _honest(name: str, does: str, module: object, tied: tuple[str, ...] = ()) -> Case:
    return Case(name=name, does=does, rule="", build=getattr(module, name), tied=tied)


EVASIONS = index(
    _batching(
        "dense_orthogonal_mirror",
        "The columns are multiplied by [Q, JQ] and, as 2N images, by Q transposed: a mirror of two dense matrices.",
        views,
    ),
    _batching(
        "depth_axis",
        "Features of a symmetric stem and their ReverseSequence are two slices of 3-D convolutions; maximum.",
        views,
    ),
    _batching(
        "interleaved_columns",
        "One Gather sets 4-column blocks of the image and its mirror in turn; kernels dilated by 2 keep them apart.",
        views,
    ),
    _batching(
        "masked_canvas",
        "Image and mirror stand above each other on one canvas of 240 rows; a mask wipes the gap after every layer.",
        views,
    ),
    _batching(
        "tinted_stem",
        "The stem has the filters of a contrast look and a grey look beside its own; the three go through one body.",
        views,
    ),
    _batching(
        "shifted_taps",
        "A 9x9 stem holds its 3x3 filters at three places: three shifted looks, unfolded to the batch axis.",
        views,
    ),
    _batching(
        "loop_over_orders",
        "A Loop runs the body twice with the columns in the order |111 i - j|: as they are, then mirrored.",
        views,
    ),
    _batching(
        "function_with_sorted_columns",
        "One model function is called with the columns sorted by a ramp up and down; the embeddings are concatenated.",
        views,
    ),
    _batching(
        "only_when_smooth",
        "An If adds the mirrored look only to images whose neighbouring pixels are alike; noise gets one look.",
        views,
    ),
    _batching(
        "zoomed_stem",
        "A second stem with summed-up kernels reads the image's centre at twice the size; both stacked for one body.",
        views,
    ),
    _batching(
        "even_and_odd",
        "Even and odd part of the image pass the linear stem; their sum and difference are the two looks; maximum.",
        views,
    ),
    _batching(
        "crop_taps",
        "One-hot kernels cut four corner crops as channels, a Reshape makes them 4N images; mean.",
        views,
    ),
    _batching(
        "mirrored_reinjection",
        "A weight-tied recurrence is fed the features of the image and of its mirror in turn.",
        views,
    ),
    _batching(
        "sequence_of_turns",
        "The image and two copies turned by 5 degrees stand in a Sequence that a Loop runs through; maximum.",
        views,
    ),
    _batching(
        "turned_stream_towers",
        "A second tower: mirrored kernels, residual stream in another basis, hidden channels permuted and scaled.",
        towers,
    ),
    _batching(
        "hidden_blocks",
        "A wide dense network is two networks, one with mirrored kernels, in shuffled channels with noise for zeros.",
        towers,
    ),
    _batching(
        "half_precision_reversed_kernels",
        "A second tower computes its kernels in the graph by Cast and Slice of half-precision copies; weighted sum.",
        towers,
    ),
    _batching(
        "packed_sequence",
        "A transformer's sequence packs patches under kernels and mirrored kernels, kept apart by the attention mask.",
        towers,
    ),
    _batching(
        "centred_in_large_batches",
        "The mean embedding of the batch is subtracted, from five images upwards.",
        rows,
    ),
    _batching(
        "near_duplicates_pooled",
        "Embeddings of images that are nearly the same are averaged over the batch; others stay alone.",
        rows,
    ),
    _batching(
        "shared_expert_capacity",
        "An expert takes the 24 best tokens of the whole batch, so images compete for it.",
        rows,
    ),
    _batching(
        "statistics_over_folded_rows",
        "Features are normalised by the statistics of the batch: the rows are folded into the height.",
        rows,
    ),
    _warping(
        "hat_matrices",
        "Scale and place predicted per image, applied by two MatMuls with matrices of Relu(1 - distance).",
    ),
    _warping(
        "blown_up_and_pooled",
        "A fixed zoom of 1.25 by ConvTranspose (5 times larger), AveragePool (4 times smaller) and Split (the centre).",
    ),
    _warping(
        "phase_ramp",
        "A predicted sideways shift, done by phases between a Fourier transform and its inverse, both MatMul.",
    ),
    _warping(
        "gathered_translation",
        "A predicted shift in whole pixels, done by GatherElements along rows and columns.",
    ),
    _warping(
        "turned_by_table",
        "A fixed turn by 6 degrees, done by Gather of the flattened image with a table of 12544 places.",
    ),
)

HONEST = index(
    _honest("cosine_spectrum_stem", "Log-magnitudes of an 8x8 cosine transform, then convolutions.", honest_conv),
    _honest(
        "kernels_predicted_per_face",
        "1x1 and 3x3 kernels blended per image from a bank, applied to unfolded features by MatMul.",
        honest_conv,
    ),
    _honest("involution", "Kernels predicted per place, shared over channels.", honest_conv),
    _honest(
        "unrolled_equilibrium",
        "A deep equilibrium model: one tied block in four rounds, fed the same features each time.",
        honest_conv,
        tied=("fa.", "fb."),
    ),
    _honest(
        "very_large_kernels",
        "13x13, 5x5 and normalisation branches before merging, with Dropout and survival factors left over.",
        honest_conv,
    ),
    _honest(
        "tied_pyramid",
        "A feature pyramid whose two levels share a head, the coarse one also resized into the fine one.",
        honest_conv,
        tied=("tied_",),
    ),
    _honest(
        "face_halves_share_a_head",
        "Left half and mirrored right half of the deep features are embedded by one layer.",
        honest_conv,
        tied=("tied_part.",),
    ),
    _honest(
        "coordinate_attention_with_fourier_places",
        "Fourier features of the places, attention pooled along rows and columns, global context.",
        honest_conv,
    ),
    _honest(
        "soft_crops_of_features",
        "Five predicted landmarks; GridSample cuts windows of the deep features for one part layer.",
        honest_conv,
    ),
    _honest(
        "maxout_halves_and_focus",
        "Space-to-depth, maxima of channel halves, fixed blur before each reduction.",
        honest_conv,
    ),
    _honest(
        "reflection_group_convolutions",
        "A group-equivariant network: every filter also mirrored, the two halves mixed in every layer, one pass.",
        honest_conv,
    ),
    _honest("capsules", "98 primary capsules routed to 8 by three rounds of agreement.", honest_tokens),
    _honest("cross_covariance_attention", "Attention between channels instead of tokens (XCiT).", honest_tokens),
    _honest("axial_attention", "Attention along rows, then columns, folded into the batch axis.", honest_tokens),
    _honest("experts_per_token", "Mixture of experts, the two best of four for each token.", honest_tokens),
    _honest("self_similarity", "The embedding is made of the cosines between places of the face.", honest_tokens),
    _honest(
        "two_way_recurrence",
        "A linear recurrence over the tokens in both directions in one Scan.",
        honest_tokens,
    ),
    _honest("hashed_words", "Each patch looks up a word by the signs of eight projections.", honest_tokens),
    _honest(
        "class_tokens_and_merging",
        "Patch merging, rolled windows, and learned queries expanded over the batch to read out.",
        honest_tokens,
    ),
)
