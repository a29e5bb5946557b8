"""A model taken apart: its logits, its layers, its derivatives."""

import keras
import numpy as np
import pytest
from keras import layers

from kcnn.errors import UsageError
from kcnn.explain.network import TakenApart
from kcnn.registry import METHODS


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


def test_stages_come_in_the_order_of_the_network(images):
    x = inputs = keras.Input((8, 8, 3))
    for name in ("stem", "middle", "features"):
        x = layers.Conv2D(2, 2, strides=2, name=name)(x) if name != "stem" else layers.Conv2D(2, 1, name=name)(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    assert list(TakenApart(model).stages(images)) == ["stem", "middle", "features"]


@pytest.mark.parametrize("bare", [True, False])
def test_a_map_may_come_from_an_operation_that_is_no_layer(bare, images, classes):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(3, 3, padding="same", name="conv")(inputs)
    x = keras.ops.relu(x + inputs) if bare else layers.ReLU()(layers.Add()([x, inputs]))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x)))
    network = TakenApart(model)
    weights = model.get_layer("logits").get_weights()[0].T[classes] / 64
    found = network.feature_gradients(images, classes)
    np.testing.assert_allclose(found, np.broadcast_to(weights[:, None, None], found.shape), rtol=1e-5)
    assert {name: maps.shape for name, maps in network.stages(images).items()} == {network.layer: (5, 8, 8, 3)}
    assert TakenApart(model, network.layer).features(images).min() == 0


@pytest.mark.parametrize("kind", ["none", "inside", "layer", "model", "operation"])
def test_probabilities_are_those_of_the_model(kind, images):
    if kind in ("model", "operation"):
        inputs, plain = keras.Input((8, 8, 3)), ending("none")
        head = keras.Sequential([keras.Input((4,)), layers.Softmax()]) if kind == "model" else keras.ops.softmax
        model = keras.Model(inputs, head(plain(inputs)))
    else:
        model = ending(kind)
    expected = keras.ops.softmax(ending("none").predict_on_batch(images / 255))
    found = TakenApart(model).probabilities(images / 255)
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), atol=1e-5)


def test_whole_numbers_cannot_be_differentiated_by_and_it_is_said(images, classes):
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.Conv2D(3, 3, name="features")(layers.Rescaling(1 / 255)(inputs))
    network = TakenApart(keras.Model(inputs, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x))))
    for ask in (lambda: network.pixel_gradients(images, classes), lambda: network.channel_gradients(images, 0)):
        with pytest.raises(UsageError, match="takes uint8 pixels"):
            ask()
    assert np.abs(network.feature_gradients(images, classes)).max() > 0


def test_what_cannot_be_looked_at_is_said(averaging, linear, images):
    model, _ = averaging
    with pytest.raises(UsageError, match="Did you mean 'features'"):
        TakenApart(model, "feature")
    with pytest.raises(UsageError, match=r"'logits' gives no map.*Received: \(3,\).*conv, features"):
        TakenApart(model, "logits").features(images)
    with pytest.raises(UsageError, match="no feature map"):
        TakenApart(linear[0]).features(images)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_derivatives_by_pixels_are_those_of_the_network_in_float64(policy, images, classes):
    """By hand in NumPy: a convolution of one place, a batch norm, a ReLU, a mean and a sum."""
    draw = np.random.default_rng(5)
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling([0.1, 0.2, 0.3], [1.0, -1.0, 0.0], dtype=policy)(inputs)
    x = layers.Conv2D(4, 1, use_bias=False, dtype=policy, name="features")(x)
    norm = layers.BatchNormalization(dtype=policy)
    x = layers.GlobalAveragePooling2D(dtype=policy)(layers.ReLU(dtype=policy)(norm(x)))
    model = keras.Model(inputs, layers.Dense(3, name="logits", dtype=policy)(x))
    model.set_weights([draw.uniform(0.5, 1.5, weight.shape) * draw.choice([-1, 1]) for weight in model.weights])
    norm.moving_variance.assign(draw.uniform(0.5, 1.5, 4))
    rescaled = images * np.array([0.1, 0.2, 0.3]) + [1.0, -1.0, 0.0]
    norm.moving_mean.assign((rescaled @ model.get_weights()[0][0, 0]).mean(axis=(0, 1, 2)))  # about half is positive
    kernel, gamma, beta, mean, variance, dense, _ = (np.asarray(w, "float64") for w in model.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    maps = rescaled @ kernel[0, 0]
    on = (maps - mean) * scale + beta > 0
    assert 0.1 < on.mean() < 0.9
    own = (on * scale * dense.T[classes][:, None, None] / 64) @ kernel[0, 0].T * [0.1, 0.2, 0.3]
    np.testing.assert_allclose(TakenApart(model).pixel_gradients(images, classes), own, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_map_lies_on_an_image_that_is_not_square(name):
    inputs = keras.Input((8, 16, 1))
    x = layers.Conv2D(1, 1, use_bias=False, name="features")(inputs)
    model = keras.Model(inputs, layers.Dense(2, use_bias=False, name="logits")(layers.Flatten()(x)))
    corner = np.zeros((8, 16, 2), "float32")
    corner[:2, 12:, 1] = 0.01
    model.set_weights([np.ones((1, 1, 1, 1)), corner.reshape(-1, 2)])
    (found,) = METHODS.get(name)(TakenApart(model), np.full((1, 8, 16, 1), 200, "float32"), np.array([1]))
    assert found.shape == (8, 16)
    if name in ("hires_cam", "layer_cam", "smooth_grad", "integrated_gradients", "occlusion"):
        row, column = np.unravel_index(found.argmax(), found.shape)
        assert row < 2
        assert column >= 12
