"""The one function that each backend has of its own."""

import keras
import numpy as np
from keras import ops

from kcnn.gradients import differentiate


def test_values_and_derivatives_are_those_of_the_formula():
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    factors = np.array([1, 2, 3, 4], "float32")
    values, gradients = differentiate(lambda x, factors: ops.sum(factors * x**3, axis=-1), [])(x, factors)
    np.testing.assert_allclose(values, (factors * x**3).sum(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(gradients, 3 * factors * x**2, rtol=1e-5)
    assert isinstance(gradients, np.ndarray)


def test_variables_are_read_anew_each_time():
    dense = keras.layers.Dense(1, use_bias=False)
    dense.build((None, 2))
    function = differentiate(lambda x: dense(x)[:, 0], dense.variables)
    x = np.ones((1, 2), "float32")
    for weights in ([[1.0], [2.0]], [[3.0], [4.0]]):
        dense.set_weights([np.array(weights)])
        np.testing.assert_allclose(function(x)[1], np.transpose(weights))


def test_what_does_not_count_has_a_derivative_of_zero():
    function = differentiate(lambda x, y: ops.sum(y, axis=-1) + 0 * ops.sum(x, axis=-1), [])
    ones = np.ones((2, 3), "float32")
    values, gradients = function(ones, ones)
    np.testing.assert_array_equal(values, [3, 3])
    np.testing.assert_array_equal(gradients, np.zeros((2, 3)))
