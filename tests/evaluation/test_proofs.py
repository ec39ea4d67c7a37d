"""Every evading network computes what it claims; nothing here asks the product."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import onnx
import pytest
from scipy import ndimage

from evaluation.builder import Array
from evaluation.cases import get, load, one_of_each_idea
from evaluation.evasions import architecture_views, concealed_views
from evaluation.evasions import folded_views as folded
from evaluation.evasions.alignment import WARPS, warped
from evaluation.images import few_faces, smooth_and_noise, varied
from evaluation.proof import PROOFS, TOLERANCE, alone, distance, refuted
from evaluation.proofs import resampling
from evaluation.proofs.packed_views import near_duplicates
from evaluation.proofs.single_pass import copied_filters, second_runs
from evaluation.runtime import Network


def _shifted(images: Array, down: int = -1, right: int = -2) -> Array:
    return np.asarray(ndimage.shift(images, (0, 0, down, right), order=0))


def _blurred(images: Array) -> Array:
    return np.asarray(ndimage.convolve1d(ndimage.convolve1d(images, [0.25, 0.5, 0.25], 2), [0.25, 0.5, 0.25], 3))


def _averaged(images: Array) -> Array:
    return np.asarray(ndimage.uniform_filter(images, (1, 1, 3, 3)))


def _grey(images: Array) -> Array:
    return np.asarray(0.2 * images + 0.8 * images.mean(1, keepdims=True))


def _recoloured(images: Array) -> Array:
    mix = np.array([[0.8, 0.3, -0.1], [-0.1, 0.8, 0.3], [0.3, -0.1, 0.8]])
    return np.asarray(np.einsum("ij,njhw->nihw", mix, images))


#: Networks with a view folded into their kernels: the network given a fold, and what the fold does to images. Borders
#: are not folded, and weak weights join some of the halves: these are nearly two views.
FOLDED: dict[str, tuple[Callable[..., onnx.ModelProto], Callable[[Array], Array]]] = {
    "coupled_mirrored": (partial(folded.in_one, 1601), lambda x: x[..., ::-1]),
    "coupled_mirrored_strongly": (partial(folded.in_one, 1602), lambda x: x[..., ::-1]),
    "coupled_moved": (partial(folded.in_one, 1603), _shifted),
    "coupled_brighter": (partial(folded.in_one, 1604), lambda x: 1.25 * x + 0.1),
    "coupled_blurred": (partial(folded.in_one, 1605), _blurred),
    "blurred_in_kernels": (partial(folded.in_branches, 1606), _blurred),
    "grey_in_kernels": (partial(folded.in_branches, 1607), _grey),
    "colours_rotated_in_kernels": (partial(folded.in_branches, 1608), _recoloured),
    "moved_in_kernels": (partial(folded.in_branches, 1609), _shifted),
    "brighter_in_kernels": (partial(folded.in_branches, 1610), lambda x: 1.25 * x + 0.1),
    "tokens_blurred": (partial(folded.mixer, 1611, joined=False), _averaged),
    "tokens_grey_joined": (partial(folded.mixer, 1612, joined=True), _grey),
    "tokens_moved": (partial(folded.mixer, 1613, joined=False), lambda x: _shifted(x, 1, -1)),
}
#: Bodies for another size of image: no ordinary network to compare with.
UNPROVEN = {"two_scales", "align_crop_only", "align_half_size", "align_double_size", *FOLDED}
#: Every third idea; the rest is marked slow.
CHOSEN = {case.name for case in one_of_each_idea("failed")[::3]}


@cache
def network(name: str) -> Network:
    return Network(get(name).build)


@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_view_is_the_mean_of_two_views(name: str) -> None:
    build, change = FOLDED[name]
    once, images = Network(partial(build, fold=folded.unchanged)), few_faces()
    views = [once(np.ascontiguousarray(each, dtype=np.float32)) for each in (images, change(images))]
    found, one, both = (e - e.mean(0) for e in (network(name)(images), views[0], (views[0] + views[1]) / 2))
    closeness = [float((found * e).sum() / np.linalg.norm(found) / np.linalg.norm(e)) for e in (both, one)]
    assert closeness[0] > 0.97
    # Strong coupling moves the embeddings as far as the second view does.
    assert closeness[0] > closeness[1] or name == "coupled_mirrored_strongly"


def unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def test_every_evasion_has_a_proof() -> None:
    evading = {case.name for case in load(kind="failed") if case.split != "float16"}
    assert evading == PROOFS.keys() | UNPROVEN
    assert not PROOFS.keys() & UNPROVEN


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in CHOSEN else (pytest.mark.slow,)) for name in PROOFS]
)
def test_a_network_computes_what_its_proof_says(name: str) -> None:
    assert refuted(get(name)) == []


@pytest.mark.parametrize("name", ["tinted_stem", "compact_mobilefacenet"])
def test_the_proof_of_another_network_is_refuted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROOFS, name, PROOFS["masked_canvas"])
    assert refuted(get(name))


@pytest.mark.parametrize("name", WARPS)
def test_a_warp_moves_the_pixels_and_invents_none(name: str) -> None:
    images = few_faces()
    seen = warped(name, images)
    assert seen.shape == images.shape
    assert np.abs(seen - images).mean((1, 2, 3)).max() > 5e-3
    assert seen.max() < images.max() + 0.05
    assert seen.min() > images.min() - 0.05


def test_small_batches_are_not_centred() -> None:
    net, images = network("centred_in_large_batches"), smooth_and_noise()
    assert distance(net(images[:4]), alone(net, images[:4])) < 1e-4
    assert np.abs(alone(net, images).mean(0)).max() > 0.1


def test_near_duplicates_alone_are_pooled() -> None:
    net, images = network("near_duplicates_pooled"), near_duplicates()
    assert distance(net(smooth_and_noise()), alone(net, smooth_and_noise())) < 1e-4
    batch, single = net(images), alone(net, images)
    assert distance(batch[1:3], single[1:3]) < 1e-4
    share = np.linalg.lstsq((single[3] - single[0])[:, None], batch[0] - single[0], rcond=None)[0][0]
    assert 0.1 < share < 0.9
    assert np.abs(batch[0] - (1 - share) * single[0] - share * single[3]).max() < 1e-4


def test_noise_gets_one_view() -> None:
    """Images of noise keep the embedding of one view where the second is for faces, or for smooth images, alone."""
    once = PROOFS["only_for_faces"].others(smooth_and_noise())[0]
    assert distance(alone(network("only_for_faces"), smooth_and_noise()), once) < TOLERANCE
    once = PROOFS["only_when_smooth"].others(smooth_and_noise())[0]
    assert distance(alone(network("only_when_smooth"), smooth_and_noise())[4:], once[4:]) < 1e-4


def test_uncertain_images_are_some() -> None:
    """The second view is for some of the images only, so both ways are taken."""
    net, images = network("second_view_when_unsure"), smooth_and_noise()
    once = PROOFS["second_view_when_unsure"].others(images)[0]
    twice = np.abs(alone(net, images) - once).max(1) > TOLERANCE
    assert 0 < twice.sum() < len(twice)
    assert distance(net(images[~twice]), once[~twice]) < TOLERANCE


@pytest.mark.parametrize(
    ("branches", "images", "alike"),
    [
        (
            [partial(architecture_views.quantised_branches, [kind]) for kind in ("exact", "coarse")],
            smooth_and_noise,
            0.995,
        ),
        (
            [partial(concealed_views.compressed_for_a_retrained_copy, kind) for kind in ("first", "second")],
            varied,
            0.98,
        ),
    ],
    ids=["quantised", "perturbed"],
)
def test_two_branches_are_nearly_one_network(branches, images, alike) -> None:  # type: ignore[no-untyped-def]
    a, b = (Network(build)(images()) for build in branches)
    assert (unit(a) * unit(b)).sum(1).min() > alike
    assert distance(a, b) > TOLERANCE


def test_several_images_get_one_view() -> None:
    net, images = network("turned_when_alone"), varied()
    once = PROOFS["turned_when_alone"].others(images)[0]
    for size in (2, 3, 8):
        assert distance(net(images[:size]), once[:size]) < TOLERANCE
    assert distance(net(images), alone(net, images)) > 0.1


def test_compressed_images() -> None:
    """All but a few coefficients, which lie between two steps, are rounded as the proof rounds them."""
    made = Network(partial(concealed_views.compressed_for_a_retrained_copy, "image"))(varied()).reshape(varied().shape)
    assert np.mean(np.abs(made - resampling.compressed(varied())) < 1e-4) > 0.999
    assert distance(made, varied()) > 0.1


@pytest.mark.parametrize(
    "name",
    [
        "dense_orthogonal_mirror",
        "tinted_stem",
        "zoomed_stem",
        "crop_taps",
        "even_and_odd",
        "einsum_of_nudges",
        "region_crops",
        "transposed_strips",
        "pyramid_of_images",
    ],
)
def test_a_second_run_is_noticed(name: str) -> None:
    assert second_runs(get(name).build(), ())


@pytest.mark.parametrize("name", ["shuffled_groups", "fused_and_unfused_branches", "stacked_mixer"])
def test_a_copied_filter_is_noticed(name: str) -> None:
    assert copied_filters(get(name).build(), constants=True)
