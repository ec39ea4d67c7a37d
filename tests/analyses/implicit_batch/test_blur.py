"""The blur against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pytest_facechallenge.analyses.implicit_batch.blur import gaussian


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("sigma", [0.8, 2.5, 18.7, 60.0])
def test_it_is_scipys(sigma: float, repeated: bool) -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, 40, 56))
    expected = ndimage.gaussian_filter(values, (0, 0, sigma, sigma), mode="nearest" if repeated else "reflect")
    np.testing.assert_allclose(gaussian(values, sigma, repeated=repeated), expected, rtol=0, atol=1e-12)
