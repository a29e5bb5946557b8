"""Gradient ascent."""

import keras
import numpy as np
import pytest
from keras import layers

from kcnn.errors import KcnnError
from kcnn.explain.maximise import maximise
from kcnn.explain.network import TakenApart


def edges(bias=0.0):
    """A network whose one channel answers to what is brighter on the right."""
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(1, (1, 2), activation="relu", name="edges")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    model.get_layer("edges").set_weights([np.array([-1.0, 1.0]).reshape(1, 2, 1, 1), np.array([bias])])
    return model


def test_the_channel_is_excited_far_more_than_by_noise():
    image, before, after = maximise(TakenApart(edges(), "edges"), 0, steps=60)
    assert image.shape == (16, 16, 1)
    assert image.dtype == np.uint8
    assert after > 5 * before
    rises = np.maximum(np.diff(image[..., 0].astype(float), axis=1), 0).mean()
    np.testing.assert_allclose(rises, after, rtol=1e-4)


def test_a_channel_that_never_answers_is_said():
    with pytest.raises(KcnnError, match="Channel 0 of edges does not answer"):
        maximise(TakenApart(edges(bias=-1000.0), "edges"), 0)
