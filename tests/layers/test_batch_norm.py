"""The twin of a stock layer trains it as the stock layer does."""

import keras
import numpy as np
import pytest
from keras import ops

from kcnn.gradients import differentiate
from kcnn.kernels import kernels
from kcnn.layers.batch_norm import FusedBatchNormalization

SHAPE = (32, 16, 16, 5)


def stock(**options):
    inputs = keras.Input(SHAPE[1:])
    norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm", **options)
    norm(inputs)
    for weight in norm.weights:
        weight.assign(np.random.default_rng(1).uniform(0.5, 1.5, weight.shape))
    return norm


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(3, 2, SHAPE).astype("float32")


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_it_is_the_stock_layer_in_training_and_at_inference(values, options):
    plain, twin = stock(**options), FusedBatchNormalization(stock(**options))
    for training in (True, False):
        one, other = (ops.convert_to_numpy(layer(values, training=training)) for layer in (plain, twin))
        np.testing.assert_allclose(one, other, atol=2e-5)
    for one, other in zip(plain.get_weights(), twin.norm.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert {id(weight) for weight in twin.weights} == {id(weight) for weight in twin.norm.weights}


def test_output_and_statistics_against_float64():
    """In NumPy, on as many numbers a channel as SimpleCNN's first layer has."""
    values = np.random.default_rng(0).normal(3, 2, (128, 32, 32, 2)).astype("float32")
    norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm")
    norm(keras.Input(values.shape[1:]))
    found = ops.convert_to_numpy(FusedBatchNormalization(norm)(values, training=True))
    wide = values.astype("float64")
    mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    expected = (wide - mean) / np.sqrt(variance + 1e-5)
    assert np.sqrt(np.square(found - expected).mean()) < 5e-5
    np.testing.assert_allclose(ops.convert_to_numpy(norm.moving_mean), 0.1 * mean, rtol=2e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(norm.moving_variance), 0.9 + 0.1 * variance, rtol=2e-5)


@pytest.mark.parametrize("scale", [None, np.full(SHAPE[-1], 2, "float32")])
def test_the_gradient_of_an_offset_with_and_without_a_scale(values, scale):
    """By hand: an output is the offset and what does not depend on it."""
    factors = np.random.default_rng(2).normal(size=SHAPE).astype("float32")
    scale = None if scale is None else ops.convert_to_tensor(scale)

    def weighted(offset):
        y, *_ = kernels().batch_norm(ops.convert_to_tensor(values), scale, offset, 1e-5, None, False, "float32")
        return ops.sum(ops.multiply(y, factors), (0, 1, 2))

    _, gradient = differentiate(weighted, [])(np.zeros(SHAPE[-1], "float32"))
    np.testing.assert_allclose(gradient, factors.sum((0, 1, 2)), rtol=1e-4)


def test_with_relu_it_does_the_work_of_both(values):
    plain, twin = stock(), FusedBatchNormalization(stock(), relu=True)
    for training in (True, False):
        expected = np.maximum(ops.convert_to_numpy(plain(values, training=training)), 0)
        np.testing.assert_allclose(ops.convert_to_numpy(twin(values, training=training)), expected, atol=2e-5)


def test_a_frozen_layer_stays_as_it_is(values):
    twin = FusedBatchNormalization(stock())
    twin.norm.trainable = False
    before = twin.norm.get_weights()
    found = ops.convert_to_numpy(twin(values, training=True))
    np.testing.assert_allclose(found, ops.convert_to_numpy(twin.norm(values, training=False)), rtol=1e-6)
    for one, other in zip(before, twin.norm.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays_half_and_its_statistics_full(values, precision):
    twin = FusedBatchNormalization(stock(dtype=precision))
    found = twin(ops.cast(values, precision.removeprefix("mixed_")), training=True)
    assert precision.removeprefix("mixed_") in str(found.dtype)
    assert {str(weight.dtype) for weight in twin.weights} == {"float32"}


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_statistics_of_half_precision_are_summed_in_float32(half):
    norm = stock(dtype=f"mixed_{half}")
    before = [weight.astype("float64") for weight in norm.get_weights()[2:]]
    x = ops.cast(np.random.default_rng(0).normal(20, 1, SHAPE), half)
    wide = ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")
    momentum = norm.momentum
    FusedBatchNormalization(norm)(x, training=True)
    expected = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    for found, old, new in zip(norm.get_weights()[2:], before, expected, strict=True):
        np.testing.assert_allclose(found, momentum * old + (1 - momentum) * new, rtol=1e-3)
