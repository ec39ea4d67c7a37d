"""The first blind set: what its evasions compute, with views and warps made by numpy."""

from __future__ import annotations

import numpy as np

from evaluation.backbones.plain import single
from evaluation.builder import Array
from evaluation.evasions import batch_pooling, packed_views, parallel_branches, separable_alignment
from evaluation.images import SIDE, smooth_and_noise
from evaluation.proof import PROOFS, Proof
from evaluation.proofs.joins import aligned, each, joined, maximum, mirrored, of_batch, shares, views_of
from evaluation.runtime import Network


def rolled(x: Array, down: int, right: int) -> Array:
    return np.roll(x, (down, right), axis=(2, 3))


def turned(x: Array, degrees: float) -> Array:
    return x.reshape(len(x), 3, -1)[:, :, packed_views.turned_places(degrees)].reshape(x.shape)


def _tints(x: Array) -> list[Array]:
    return [x, 0.8 * x + 0.1, np.einsum("nchw,c->nhw", x, packed_views.LUMA)[:, None].repeat(3, axis=1)]


def _zooms(x: Array) -> list[Array]:
    return [x, x[:, :, 28:84, 28:84].repeat(2, axis=2).repeat(2, axis=3)]


def _hats(x: Array) -> Array:
    scale_x, move_x, scale_y, move_y = Network(lambda: separable_alignment.located(401, 4))(x).T
    grid, half = np.arange(SIDE) - (SIDE - 1) / 2, (SIDE - 1) / 2
    out = np.empty_like(x)
    for n, image in enumerate(x):
        columns = (1 + 0.2 * scale_x[n]) * grid + separable_alignment.REACH * move_x[n] + half
        rows = (1 + 0.2 * scale_y[n]) * grid + separable_alignment.REACH * move_y[n] + half
        wide = np.apply_along_axis(_interpolated, 2, image, columns)
        out[n] = np.apply_along_axis(_interpolated, 1, wide, rows)
    return out


def _interpolated(line: Array, at: Array) -> Array:
    return np.asarray(np.interp(at, np.arange(-1, SIDE + 1), np.r_[0, line, 0], left=0, right=0))


def _blown_up(x: Array) -> Array:
    large = x.repeat(5, axis=2).repeat(5, axis=3).reshape(len(x), 3, 140, 4, 140, 4).mean((3, 5))
    return np.asarray(large[:, :, 14:126, 14:126])


def _slid(x: Array) -> Array:
    move = separable_alignment.REACH * Network(lambda: separable_alignment.located(403, 1, 11))(x)[:, :, None, None]
    spectrum = np.fft.fft(x, axis=3) * np.exp(-2j * np.pi * move * np.fft.fftfreq(SIDE))
    return np.asarray(np.fft.ifft(spectrum, axis=3).real)


def _gathered(x: Array) -> Array:
    moves = np.rint(separable_alignment.REACH * Network(lambda: separable_alignment.located(404, 2))(x)).astype(int)
    out = np.empty_like(x)
    for n, (down, right) in enumerate(moves):
        rows, columns = (np.clip(np.arange(SIDE) + move, 0, SIDE - 1) for move in (down, right))
        out[n] = x[n][:, rows][:, :, columns]
    return out


def _when_smooth() -> Proof:
    """Prove that smooth images alone get the flip test."""
    views = each(lambda: single(109))

    def computes(x: Array) -> Array:
        once, again = views(x)
        rough = np.abs(np.diff(x.mean(1), axis=2)).mean((1, 2))
        return np.where((rough < packed_views.ROUGHNESS)[:, None], (once + again) / 2, once)

    return Proof(computes=computes, others=views, images=smooth_and_noise)


def _reinjected() -> Proof:
    """Prove that a recurrence reads the mirror image in turn: here it is handed in from outside."""
    network = Network(lambda: packed_views.mirrored_reinjection(honest_input=True))
    return Proof(
        computes=lambda x: network(x, other=mirrored(x)),
        others=lambda x: [network(x, other=x)],
        images=smooth_and_noise,
    )


def _centred(x: Array) -> Array:
    """Take the mean of five embeddings or more away."""
    network = Network(batch_pooling.centred_in_large_batches)
    single_rows = np.concatenate([network(x[i : i + 1]) for i in range(len(x))])
    return single_rows - single_rows.mean(0) if len(x) > 4 else single_rows


def near_duplicates(*, raw: bool = False) -> Array:
    """Draw three images, and the first one again with a tenth of its mirror image added."""
    images = smooth_and_noise(raw=raw)
    return np.concatenate([images[:3], images[:1] + 0.1 * mirrored(images[:1])])


PROOFS |= {
    "dense_orthogonal_mirror": views_of(each(lambda: single(101))),
    "depth_axis": views_of(each(lambda: packed_views.depth_axis(1)), maximum),
    "interleaved_columns": views_of(each(lambda: packed_views.interleaved_columns(1))),
    "masked_canvas": views_of(each(lambda: packed_views.masked_canvas(1))),
    "tinted_stem": views_of(each(lambda: packed_views.tinted_stem(1), _tints)),
    "shifted_taps": views_of(
        each(
            lambda: packed_views.shifted_taps(1),
            lambda x: [rolled(x, shift, shift) for shift in packed_views.SHIFTS],
        ),
        shares(*packed_views.SHIFT_SHARES),
    ),
    "loop_over_orders": views_of(each(lambda: single(107))),
    "function_with_sorted_columns": views_of(each(lambda: single(108)), joined),
    "only_when_smooth": _when_smooth(),
    "zoomed_stem": views_of(each(lambda: packed_views.zoomed_stem(1), _zooms)),
    "even_and_odd": views_of(each(lambda: single(111)), maximum),
    "crop_taps": views_of(
        each(
            lambda: packed_views.crop_taps(1),
            lambda x: [rolled(x, -top, -left) for top, left in packed_views.CROPS],
        )
    ),
    "mirrored_reinjection": _reinjected(),
    "sequence_of_turns": views_of(
        each(lambda: single(114, 16), lambda x: [turned(x, turn) for turn in packed_views.TURNS]), maximum
    ),
    "rotated_stream_branch": views_of(each(lambda: parallel_branches.rotated_stream_branch(1)), joined),
    "hidden_blocks": views_of(each(lambda: parallel_branches.hidden_blocks(1))),
    "half_precision_reversed_kernels": views_of(each(lambda: single(203)), shares(0.7, 0.3)),
    "packed_sequence": views_of(each(lambda: parallel_branches.packed_sequence(1))),
    "hat_matrices": aligned(lambda: single(401), _hats),
    "blown_up_and_pooled": aligned(lambda: single(402), _blown_up),
    "phase_ramp": aligned(lambda: single(403, 11), _slid),
    "gathered_translation": aligned(lambda: single(404), _gathered),
    "turned_by_table": aligned(lambda: single(405), lambda x: turned(x, separable_alignment.ANGLE)),
    "centred_in_large_batches": of_batch(_centred),
    "near_duplicates_pooled": of_batch(None, near_duplicates, apart=1e-2),
    "shared_expert_capacity": of_batch(None, apart=1e-2),
    "statistics_over_folded_rows": of_batch(None, apart=1e-2),
}
