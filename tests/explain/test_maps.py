"""The size and the scale of maps."""

import numpy as np

from kcnn.explain.maps import normalise, to_size


def test_enlarging_is_bilinear_between_centres():
    row = to_size(np.array([[[0.0, 4.0]]]), 1, 4)[0, 0]
    np.testing.assert_allclose(row, [0, 1, 3, 4])


def test_the_largest_value_is_1_and_what_is_negative_0():
    maps = np.array([[[-2.0, 1.0], [2.0, 4.0]], [[-1.0, -2.0], [-3.0, 0.0]]])
    np.testing.assert_allclose(normalise(maps), [[[0, 0.25], [0.5, 1]], [[0, 0], [0, 0]]])
