"""What `kcnn predict --embeddings` gives: what a network knows of an image before its last layer."""

import keras
import numpy as np
import pytest

from kcnn.classifier import Classifier
from kcnn.errors import UsageError
from kcnn.metrics.calibration import softmax


def network(name, **options):
    """Return a `Classifier` with random weights and statistics, from pixels of 16x16 to probabilities."""

    from kcnn.initial import initialize
    from kcnn.registry import MODELS

    plain = MODELS.get(name)((16, 16, 3), 5, **options)
    initialize(plain, seed=0)
    draw = np.random.default_rng(0)
    for layer in plain.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(draw.normal(0, 0.1, layer.moving_mean.shape))
    outputs = keras.layers.Softmax(name="probabilities")(plain.output)
    return Classifier(keras.Model(plain.input, outputs), list("abcde"))


def output_of(classifier, layer, images):

    model = keras.Model(classifier.model.inputs[0], classifier.model.get_layer(layer).output)
    return keras.ops.convert_to_numpy(model.predict_on_batch(images.astype("float32")))


def test_embeddings_are_the_pooled_features():
    """Of a residual network, against the mean of its last map in NumPy."""
    classifier = network("residual_cnn", widths=(4, 8), blocks=1)
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), "uint8")
    probabilities, embeddings = classifier.probabilities_and_embeddings(images)
    assert embeddings.dtype == np.float32
    pooled = output_of(classifier, "features", images).mean(axis=(1, 2))
    assert pooled.std() > 0.01
    np.testing.assert_allclose(embeddings, pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, classifier.probabilities(images), atol=1e-6)
    kernel, bias = classifier.model.get_layer("logits").get_weights()
    np.testing.assert_allclose(softmax(pooled.astype("float64") @ kernel + bias), probabilities, atol=1e-5)


def test_embeddings_of_a_network_with_a_dense_head():
    classifier = network("simple_cnn", width=4, depth=2, units=8)
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), "uint8")
    kernel, bias = classifier.model.get_layer("head_dense").get_weights()
    hidden = np.maximum(output_of(classifier, "features", images).reshape(3, -1) @ kernel + bias, 0)
    found = classifier.probabilities_and_embeddings(images)[1]
    assert found.shape == (3, 8)
    np.testing.assert_allclose(found, hidden, rtol=1e-4, atol=1e-4 * hidden.max())


def test_embeddings_of_a_model_that_kcnn_did_not_make():

    inputs = keras.Input((4, 4, 1))
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(inputs))
    images = np.arange(16, dtype="uint8").reshape(1, 4, 4, 1)
    found = Classifier(keras.Model(inputs, outputs), ["a", "b"]).probabilities_and_embeddings(images)[1]
    np.testing.assert_array_equal(found, images.reshape(1, 16))
    flat = keras.layers.Softmax()(keras.layers.Flatten()(inputs))
    with pytest.raises(UsageError, match="has no embeddings"):
        Classifier(keras.Model(inputs, flat), list(map(str, range(16)))).probabilities_and_embeddings(images)
