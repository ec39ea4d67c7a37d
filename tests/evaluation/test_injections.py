"""Every injection changes a host in the way it says, leaves the host alone, and says why where it cannot."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pytest
from onnx import ModelProto

from evaluation.builder import Array
from evaluation.cases import get
from evaluation.evasions.alignment import WARPS, warped
from evaluation.images import faces
from evaluation.injections.catalogue import CLAIMS, DOES, EXPECTED, INJECTIONS, CannotCarry
from evaluation.injections.graft import Host
from evaluation.mutation import hosts, try_pair
from evaluation.runtime import session
from evaluation.views import VIEWS
from evaluation.views.stacking import JOINS

#: One injection for each way of making, stacking or sharing views; the others are marked slow.
CHOSEN = (
    "branch_flip_permuted",
    "batch_flip_l2",
    "function_flip",
    "channels_flip",
    "kernels_mirrored",
    "features_flip",
    "where_input",
    "rows_running_sum",
    "rows_features",
    "warp_crop_then_resize",
    "warp_predicted_matmul",
)
#: Of these, those that are also judged: what the others make is judged as a case of its own, one of each idea.
JUDGED = ("branch_flip_permuted", "kernels_mirrored", "rows_running_sum", "warp_crop_then_resize")


def some(names: Iterable[str], chosen: Iterable[str] = CHOSEN) -> list[object]:
    return [pytest.param(name, marks=() if name in chosen else (pytest.mark.slow,)) for name in names]


# Every injection meets one of these hosts that can carry it, in turn.
HOSTS = ("plain_bn", "iresnet", "vit_class_token", "tied_in_series", "plain_folded", "loop_recurrence", "repvgg_stem")
PREDICTED = ("predicted_matmul", "stn_matmul_grid")


@lru_cache
def host_model(name: str) -> ModelProto:
    return get(name).build()


def run(model: ModelProto, batch: Array) -> Array:
    runner = session(model)
    return np.asarray(runner.run(None, {runner.get_inputs()[0].name: np.ascontiguousarray(batch, np.float32)})[0])


def carried(name: str) -> tuple[ModelProto, ModelProto]:
    """Inject into the first host, from a place in the list that depends on the injection, that can carry it."""
    start = list(INJECTIONS).index(name)
    for i in range(len(HOSTS)):
        host = host_model(HOSTS[(start + i) % len(HOSTS)])
        before = host.SerializeToString(deterministic=True)
        try:
            result = INJECTIONS[name](host)
        except CannotCarry:
            continue
        finally:
            assert host.SerializeToString(deterministic=True) == before
        return host, result
    raise AssertionError(f"no host can carry {name}")


@pytest.mark.parametrize("name", some(CLAIMS))
def test_views_give_the_join_of_the_hosts_own_embeddings(name: str) -> None:
    host, result = carried(name)
    views, join = CLAIMS[name]
    batch = faces(2, 8)
    values = [run(host, VIEWS[key].numpy(batch)) for key in ("identity", *views)]
    np.testing.assert_allclose(run(result, batch), JOINS[join][1](values), atol=3e-3)
    assert np.abs(values[0] - values[1]).max() > 1e-2


@pytest.mark.parametrize("name", some([name for name in INJECTIONS if name.startswith("warp_")]))
def test_a_warp_is_what_the_body_sees(name: str) -> None:
    host, result = carried(name)
    batch = faces(2, 8)
    short = name.removeprefix("warp_")
    assert short in WARPS
    values = run(result, batch)
    assert np.abs(values - run(host, batch)).max() > 1e-2
    if short not in PREDICTED:
        np.testing.assert_allclose(values, run(host, warped(short, batch)), atol=3e-3)


@pytest.mark.parametrize("name", some([name for name in INJECTIONS if name.startswith("rows_")]))
def test_rows_depend_on_rows(name: str) -> None:
    _, result = carried(name)
    batch = faces(3, 8)
    together = run(result, batch)
    assert np.abs(together[1:2] - run(result, batch[1:2])).max() > 1e-2
    changed = run(result, np.concatenate([batch[2:], batch[1:]]))
    assert np.abs(together[1:] - changed[1:]).max() > 1e-2


@pytest.mark.parametrize(
    "name", some([name for name in INJECTIONS if name not in CLAIMS and not name.startswith(("warp_", "rows_"))])
)
def test_other_injections_change_the_embedding(name: str) -> None:
    host, result = carried(name)
    batch = faces(2, 8)
    before, after = run(host, batch), run(result, batch)
    assert np.isfinite(after).all()
    assert np.abs(before - after).max() > 1e-2
    np.testing.assert_allclose(after[:1], run(result, batch[:1]), atol=3e-3)


def test_the_natural_condition_holds_for_faces_and_not_for_noise() -> None:
    host, result = carried("where_flip")
    noise = np.random.default_rng(3).uniform(-1, 1, (2, 3, 112, 112)).astype(np.float32)
    np.testing.assert_allclose(run(result, noise), run(host, noise), atol=1e-4)


def test_there_are_enough_injections_and_each_says_what_it_does() -> None:
    assert len(INJECTIONS) >= 20
    assert set(INJECTIONS) == set(EXPECTED) == set(DOES)


def test_a_host_with_a_fixed_batch_says_that_it_cannot_carry() -> None:
    model = ModelProto()
    model.CopyFrom(host_model("plain_bn"))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(CannotCarry, match="batch size is fixed"):
        Host(model)


def test_grouped_convolutions_need_plain_layers() -> None:
    with pytest.raises(CannotCarry, match="which this injection cannot rewrite"):
        INJECTIONS["channels_flip"](host_model("vit_class_token"))


@pytest.mark.parametrize("injection", some(INJECTIONS, JUDGED))
def test_an_injected_evasion_is_found(injection: str) -> None:
    """A sample of the product host x injection; the whole is ``python -m evaluation.mutation``."""
    names = hosts()
    start = 5 * list(INJECTIONS).index(injection)
    for step in range(len(names)):
        _, _, result, reason = try_pair((names[(start + step) % len(names)], injection))
        if result != "cannot carry":
            assert result == "found", reason
            return
    pytest.fail(f"no host carries {injection}")


#: Pairs that the whole product once showed to be missed: one or two for each cause, the second of which is slow.
ONCE_MISSED = [
    ("image_windows_in_batch", "warp_resize_down_up"),
    ("bidirectional_gru", "warp_resize_down_up"),
    ("normalise_per_image", "warp_transposed_conv"),
    ("blurpool", "features_flip"),
    pytest.param("focus_stem", "warp_resize_down_up", marks=pytest.mark.slow),
    pytest.param("normalise_conv_swap", "warp_resize_down_up", marks=pytest.mark.slow),
    pytest.param("swap_split", "warp_grid_fixed", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("host", "injection"), ONCE_MISSED)
def test_what_the_product_once_missed_is_found(host: str, injection: str) -> None:
    _, _, result, reason = try_pair((host, injection))
    assert result == "found", reason
