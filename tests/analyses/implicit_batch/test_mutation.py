"""A sample of the product host x injection; the whole is ``python -m tests.dataflow.mutation``."""

import pytest

from tests.analyses.implicit_batch.mutation import try_pair
from tests.corpus import HONEST, INJECTIONS

HOSTS = list(HONEST)


@pytest.mark.slow
@pytest.mark.parametrize("injection", INJECTIONS)
def test_injected_evasion_is_found(injection: str) -> None:
    start = 5 * list(INJECTIONS).index(injection)
    for step in range(len(HOSTS)):
        _, _, result, reason = try_pair((HOSTS[(start + step) % len(HOSTS)], injection))
        if result != "cannot carry":
            assert result == "found", reason
            return
    pytest.fail(f"no host carries {injection}")


#: Pairs that the whole product once showed to be missed: one or two for each cause.
ONCE_MISSED = [
    ("image_windows_in_batch", "warp_resize_down_up"),
    ("focus_stem", "warp_resize_down_up"),
    ("bidirectional_gru", "warp_resize_down_up"),
    ("normalise_conv_swap", "warp_resize_down_up"),
    ("normalise_per_image", "warp_transposed_conv"),
    ("swap_split", "warp_grid_fixed"),
    ("blurpool", "features_flip"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("host", "injection"), ONCE_MISSED)
def test_what_the_product_once_missed_is_found(host: str, injection: str) -> None:
    _, _, result, reason = try_pair((host, injection))
    assert result == "found", reason
