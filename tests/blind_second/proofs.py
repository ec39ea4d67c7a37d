"""What each evasion computes, said a second time: ordinary networks at versions of the image made by the host."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
import onnx

from tests.blind.net import Array, Net
from tests.blind.proofs import Look

from . import disguises, hidden, host, pixels, rows
from .bodies import WIDTH, any_size, features, flat, mobile, once, resnet, resnet_any_size, transformer

Build = Callable[[], onnx.ModelProto]
Versions = Callable[[Array], list[Array]]


class Proof(msgspec.Struct, frozen=True):
    """The results of the looks, one by one, and what is made of them."""

    looks: Versions
    join: Callable[..., Array]


def _each(build: Build, versions: Versions) -> Versions:
    """Run one ordinary network on every version."""
    look = Look(build)
    return lambda x: [look(version) for version in versions(x)]


def _bodies(*parts: tuple[Build, Callable[[Array], Array]]) -> Versions:
    """Run ordinary networks on a version each; for bodies with a variant for every look."""
    looks = [(Look(build), version) for build, version in parts]
    return lambda x: [look(version(x)) for look, version in looks]


def _same(x: Array) -> Array:
    return x


def _flip(x: Array) -> list[Array]:
    return [x, host.mirrored(x)]


def _mean(*e: Array) -> Array:
    return np.asarray(np.mean(e, axis=0))


def _max(*e: Array) -> Array:
    return np.asarray(np.max(e, axis=0))


def _joined(*e: Array) -> Array:
    return np.concatenate(e, axis=1)


def _halves(a: Array, b: Array) -> Array:
    return np.concatenate([a[:, :32], b[:, 32:]], axis=1)


def _shares(*shares: float) -> Callable[..., Array]:
    return lambda *e: np.tensordot(shares, np.stack(e), 1)


def _by_length(*e: Array) -> Array:
    length = np.exp(np.linalg.norm(e, axis=2, keepdims=True))
    return np.asarray((np.stack(e) * length / length.sum(0)).sum(0))


def _unit_sum(*e: Array) -> Array:
    return np.asarray(sum(part / np.linalg.norm(part, axis=1, keepdims=True) for part in e))


def _when_short(a: Array, b: Array) -> Array:
    return np.where(np.linalg.norm(a, axis=1, keepdims=True) < pixels.UNSURE, (a + b) / 2, a)


def tail(seed: int, body: Callable[[Net, str], str], *shape: int) -> Build:
    """Make the builder of the rest of a network, which reads a second input ``inner`` of the given shape."""

    def build() -> onnx.ModelProto:
        net = Net(seed)
        made = net.model(body(net, "inner"), extra=("inner",))
        dims = made.graph.input[1].type.tensor_type.shape.dim
        for dim, size in zip(dims[1:], shape, strict=True):
            dim.dim_value = size
        return made

    return build


def _meeting_features(x: Array) -> list[Array]:
    def early() -> onnx.ModelProto:
        net = Net(1106)
        return net.model(net.op("Flatten", features(net, "data")), 32 * 49)

    look = Look(early)
    return [look(x).reshape(-1, 32, 7, 7), host.mirrored(look(host.mirrored(x)).reshape(-1, 32, 7, 7))]


def _flat_of_maximum(*maps: Array) -> Array:
    largest = _max(*maps)
    return Look(tail(1106, flat, 32, 7, 7))(np.zeros((len(largest), 3, 112, 112)), inner=largest)


def _phases(x: Array) -> list[Array]:
    size = hidden.CROP
    return [x[:, :, down : down + size, right : right + size] for down, right in hidden.PHASES]


def _dropout(mask: int) -> tuple[Build, Callable[[Array], Array]]:
    return partial(hidden.fixed_dropout_samples, mask), _same


def _half_features(x: Array) -> list[Array]:
    look = Look(disguises.first_half)
    return [look(x).reshape(-1, 32, 14, 14), host.mirrored(look(host.mirrored(x)).reshape(-1, 32, 14, 14))]


def _rest_of_mean(*maps: Array) -> Array:
    average = _mean(*maps)
    return Look(tail(1123, disguises.second_half, 32, 14, 14))(np.zeros((len(average), 3, 112, 112)), inner=average)


def _balanced(x: Array) -> list[Array]:
    return [x * np.reshape(cast, (1, 3, 1, 1)) for cast in disguises.CASTS]


def _by_trust(*e: Array) -> Array:
    layer = Net(1126)
    trust = np.exp(np.stack(e) @ layer.value("trust.w", 1, 64, gain=0.3).T + layer.value("trust.b", 1))
    return np.asarray((np.stack(e) * trust / trust.sum(0)).sum(0))


VIEWS = {
    "einsum_of_nudges": Proof(_each(once(mobile, 1101), host.nudged), _shares(*pixels.NUDGE_SHARES)),
    "chirp_noise": Proof(_each(once(resnet, 1102), host.noisy), _halves),
    "exposure_bracket": Proof(_each(once(transformer, 1103), host.exposed), _by_length),
    "scan_over_sharpness": Proof(_each(once(resnet, 1104), host.sharpened), _max),
    "fourier_twice": Proof(_each(once(mobile, 1105), host.mirrored_but_first), _mean),
    "region_read_backwards": Proof(_meeting_features, _flat_of_maximum),
    "region_crops": Proof(_each(once(mobile, 1107), host.regions), _mean),
    "two_headed_columns": Proof(_each(once(resnet, 1108), host.attended), _mean),
    "pyramid_of_images": Proof(
        _each(any_size(once(resnet_any_size, 1109)), lambda x: [x, host.shrunk(x)]), _shares(0.6, 0.4)
    ),
    "identity_scan_backwards": Proof(_each(once(mobile, 1110), _flip), _max),
    "second_look_when_unsure": Proof(_each(once(mobile, 1111), _flip), _when_short),
    "doubtful_region_erased": Proof(_each(once(resnet, 1112), lambda x: [x, host.erased(x)]), _joined),
    "transposed_strips": Proof(_each(lambda: hidden.transposed_strips(1), _flip), _mean),
    "tied_two_way_columns": Proof(_each(lambda: hidden.tied_two_way_columns(1), _flip), _mean),
    "shuffled_groups": Proof(_each(lambda: hidden.shuffled_groups(1), _flip), _max),
    "upper_tokens_again": Proof(
        _bodies(*[(partial(hidden.upper_tokens_again, seen), _same) for seen in ("all", "upper")]), _unit_sum
    ),
    "stacked_mixer": Proof(_each(lambda: hidden.stacked_mixer(1), _flip), _mean),
    "quantised_towers": Proof(
        _bodies(
            (lambda: hidden.quantised_towers(["exact"]), _same),
            (lambda: hidden.quantised_towers(["coarse"]), host.mirrored),
        ),
        _shares(0.6, 0.4),
    ),
    "fused_and_unfused_towers": Proof(_each(lambda: hidden.fused_and_unfused_towers(1), _flip), _mean),
    "polyphase_looks": Proof(_each(any_size(lambda: hidden.polyphase_looks(1)), _phases), _mean),
    "reflected_canvas": Proof(_each(lambda: hidden.reflected_canvas(1), _flip), _mean),
    "kernels_in_cosine_basis": Proof(_each(lambda: disguises.kernels_in_cosine_basis(1), _flip), _mean),
    "factored_tower": Proof(_each(lambda: disguises.factored_tower(1), _flip), _max),
    "first_half_twice": Proof(_half_features, _rest_of_mean),
    "loop_carries_the_image": Proof(
        _each(once(resnet, 1125), lambda x: [np.roll(x, disguises.STEP * k, axis=3) for k in range(disguises.TURNS)]),
        _mean,
    ),
    "white_balances": Proof(_each(once(transformer, 1126), _balanced), _by_trust),
    "fixed_dropout_samples": Proof(_bodies(*[_dropout(mask) for mask in range(hidden.DROPPED)]), _mean),
}

# The mirrored look of this one is for faces only.
FACES_ONLY = Proof(_each(once(mobile, 1124), _flip), _mean)

# Name: the network behind the warp, and the warp.
WARPS: dict[str, tuple[Build, Callable[[Array], Array]]] = {
    "similarity_from_landmarks": (once(resnet, 1401), host.aligned),
    "flow_field": (once(mobile, 1402), host.flowed),
    "sheared_by_reshape": (once(mobile, 1403), host.leaning),
    "lens_of_dense_pairs": (once(resnet, 1404), host.seen_through_lens),
    "predicted_region": (once(transformer, 1405), host.boxed),
    "resized_region": (once(resnet, 1406), host.enlarged_region),
    "barrel_shifter": (once(resnet, 1407), host.shifted),
    "predicted_delta_kernels": (once(mobile, 1408), host.tapped),
    "warp_by_attention": (once(resnet, 1409), host.attracted),
    "centred_by_brightness": (once(mobile, 1410), host.centred),
}


def _normalised_together(x: Array) -> Array:
    flat_map = Look(lambda: rows.default_axes("before"))(x)
    maps = flat_map.reshape(-1, 24, 784)
    maps = (maps - maps.mean((0, 2), keepdims=True)) / maps.std((0, 2), keepdims=True)
    return Look(lambda: rows.default_axes("after"))(x, flat=maps.reshape(len(x), -1))


def _tokens_together(x: Array) -> Array:
    tokens = Look(lambda: rows.tokens_of_all_rows("before"))(x).reshape(-1, WIDTH)
    return Look(lambda: rows.tokens_of_all_rows("after"))(x, flat=rows.attended_tokens(tokens).reshape(len(x), -1))


def _of_embeddings(name: str) -> Callable[[Array], Array]:
    look = Look(rows.SINGLE[name])
    return lambda x: rows.REFERENCE[name](look(x))


# Name: the embeddings of a batch, each network run on images that do not know of each other.
ROWS: dict[str, Callable[[Array], Array]] = {
    **{name: _of_embeddings(name) for name in rows.SINGLE},
    "default_axes": _normalised_together,
    "tokens_of_all_rows": _tokens_together,
}
