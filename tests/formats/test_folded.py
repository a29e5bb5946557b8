"""Batch norms within the layers before them: the same numbers, and no norm left."""

import keras
import numpy as np
import pytest
from families import unsettled
from keras import layers

from kcnn.formats._folded import folded
from kcnn.initial import initialize, undrawn
from kcnn.registry import MODELS


def settled(network):
    """Give a network weights in which each constant of a norm counts."""
    initialize(network, 0)
    rng = np.random.default_rng(0)
    network.set_weights([unsettled(weight, rng) for weight in network.weights])
    return network


def check(network, left):
    found = folded(network)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *network.input_shape[1:])).astype("float32")
    expected = network.predict(pixels, verbose=0)
    np.testing.assert_allclose(found.predict(pixels, verbose=0), expected, atol=2e-5 * np.abs(expected).max())
    kinds = [type(layer).__name__ for layer in found.layers]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Rescaling") == left


@pytest.mark.parametrize(("model", "left"), [("simple_cnn", 1), ("resnet20", 1), ("efficientnet_b0", 1)])
def test_networks_give_the_same_logits(model, left):
    """The one `Rescaling` is that of the pixels."""
    with undrawn():
        network = MODELS.get(model)((32, 32, 3), 5)
    check(settled(network), left)


def test_every_kind_of_place_for_a_norm():
    pixels = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="first")(pixels)
    shared = layers.Conv2D(4, 3, use_bias=False)(x)
    x = layers.BatchNormalization(scale=False)(shared)
    x = layers.Add()([x, shared])  # which needs the convolution without its norm
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = layers.BatchNormalization(center=False)(x)
    x = layers.Conv2D(5, 1, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(6)(layers.Flatten()(x))
    x = layers.BatchNormalization(epsilon=0.1)(x)
    with undrawn():
        network = keras.Model(pixels, x)
    check(settled(network), left=3)
