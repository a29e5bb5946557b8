"""A model taken apart: its logits, its layers, its derivatives."""

import keras
import numpy as np
import pytest
from keras import layers

from kcnn.errors import UsageError
from kcnn.explain.network import TakenApart


def ending(kind):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(2, 3, name="conv")(inputs))
    x = layers.Dense(4, name="last", activation="softmax" if kind == "inside" else None)(x)
    if kind == "layer":
        x = layers.Softmax()(x)
    elif kind == "activation":
        x = layers.Activation("softmax")(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("kind", ["none", "inside", "layer", "activation"])
def test_logits_are_what_comes_before_the_softmax(kind, images):
    network = TakenApart(ending(kind))
    np.testing.assert_allclose(network.logits(images), ending("none").predict_on_batch(images), rtol=1e-4, atol=1e-3)


def test_derivatives_by_a_map_beside_a_shortcut(images, classes):
    inputs = keras.Input((8, 8, 3))
    doubled = layers.Rescaling(2.0, name="doubled")(inputs)
    x = layers.Flatten()(layers.Add()([doubled, inputs]))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    weights = model.get_layer("logits").get_weights()[0].T.reshape(3, 8, 8, 3)
    network = TakenApart(model, "doubled")
    np.testing.assert_allclose(network.feature_gradients(images, classes), weights[classes], rtol=1e-5)
    np.testing.assert_allclose(network.pixel_gradients(images, classes), 3 * weights[classes], rtol=1e-5)
    np.testing.assert_allclose(network.features(images), 2 * images)


def test_any_number_of_images_goes_in_batches(averaging):
    model, _ = averaging
    seen = []
    network = TakenApart(model, watch=seen.append)
    images = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 3)).astype("float32")
    classes = np.arange(70) % 3
    whole = network.feature_gradients(images, classes)
    assert seen == [64, 6]
    np.testing.assert_allclose(whole[65], network.feature_gradients(images[65:66], classes[65:66])[0], rtol=1e-5)


def test_the_last_map_is_taken_where_there_is_no_features(images):
    network = TakenApart(ending("inside"))
    assert network.layer == "conv"
    assert network.features(images).shape == (5, 6, 6, 2)


def test_a_model_within_a_model_is_looked_at_as_one_layer(images, classes):
    backbone = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(2, 3, strides=2), layers.ReLU()], name="backbone"
    )
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax", name="head")]
    network = TakenApart(keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), backbone, *head]))
    assert network.layer == "backbone"
    weights = head[1].get_weights()[0].T[classes] / 9
    np.testing.assert_allclose(network.feature_gradients(images, classes)[:, 1, 2], weights, rtol=1e-5)


def test_stages_are_the_last_maps_of_their_size(averaging, images):
    stages = TakenApart(averaging[0]).stages(images)
    assert {name: maps.shape for name, maps in stages.items()} == {"conv": (5, 8, 8, 6), "features": (5, 4, 4, 6)}


def test_what_cannot_be_looked_at_is_said(averaging, linear, images):
    model, _ = averaging
    with pytest.raises(UsageError, match="Did you mean 'features'"):
        TakenApart(model, "feature")
    with pytest.raises(UsageError, match=r"'logits' gives no map.*Received: \(3,\).*conv, features"):
        TakenApart(model, "logits").features(images)
    with pytest.raises(UsageError, match="no feature map"):
        TakenApart(linear[0]).features(images)
