"""Every injection changes a host in the way it says, leaves the host alone, and says why where it cannot."""

from functools import lru_cache

import numpy as np
import pytest
from onnx import ModelProto

from .builder import session
from .case import Array
from .evasions_align import WARPS, warped
from .graft import Host
from .honest import HONEST
from .images import faces
from .inject import CLAIMS, DOES, EXPECTED, INJECTIONS, CannotCarry
from .stacks import JOINS
from .views import VIEWS

# Every injection meets one of these hosts that can carry it, in turn.
HOSTS = ("plain_bn", "iresnet", "vit_class_token", "tied_in_series", "plain_folded", "loop_recurrence", "repvgg_stem")
PREDICTED = ("predicted_matmul", "stn_matmul_grid")


@lru_cache
def host_model(name: str) -> ModelProto:
    return HONEST[name].build()


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


@pytest.mark.parametrize("name", CLAIMS)
def test_a_second_look_is_the_join_of_the_hosts_own_embeddings(name: str) -> None:
    host, result = carried(name)
    views, join = CLAIMS[name]
    batch = faces(2, 8)
    values = [run(host, VIEWS[key].numpy(batch)) for key in ("identity", *views)]
    np.testing.assert_allclose(run(result, batch), JOINS[join][1](values), atol=3e-3)
    assert np.abs(values[0] - values[1]).max() > 1e-2


@pytest.mark.parametrize("name", [name for name in INJECTIONS if name.startswith("warp_")])
def test_a_warp_is_what_the_body_sees(name: str) -> None:
    host, result = carried(name)
    batch = faces(2, 8)
    short = name.removeprefix("warp_")
    assert short in WARPS
    values = run(result, batch)
    assert np.abs(values - run(host, batch)).max() > 1e-2
    if short not in PREDICTED:
        np.testing.assert_allclose(values, run(host, warped(short, batch)), atol=3e-3)


@pytest.mark.parametrize("name", [name for name in INJECTIONS if name.startswith("rows_")])
def test_rows_depend_on_rows(name: str) -> None:
    _, result = carried(name)
    batch = faces(3, 8)
    together = run(result, batch)
    assert np.abs(together[1:2] - run(result, batch[1:2])).max() > 1e-2
    changed = run(result, np.concatenate([batch[2:], batch[1:]]))
    assert np.abs(together[1:] - changed[1:]).max() > 1e-2


@pytest.mark.parametrize(
    "name", [name for name in INJECTIONS if name not in CLAIMS and not name.startswith(("warp_", "rows_"))]
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
