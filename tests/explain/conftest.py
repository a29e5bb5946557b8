"""Small networks whose derivatives can be written down."""

import keras
import numpy as np
import pytest
from keras import layers


@pytest.fixture(scope="session")
def images():
    """Five images of 8 x 8 pixels."""
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="session")
def classes():
    return np.array([0, 1, 2, 1, 0])


@pytest.fixture(scope="session")
def averaging():
    """A network whose logits are the means of 6 channels of a map of 4 x 4 places, weighted; and the weights (6, 3)."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.MaxPooling2D(2, name="features")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(3, name="logits")(x)
    model = keras.Model(inputs, layers.Softmax(name="probabilities")(x))
    return model, model.get_layer("logits").get_weights()[0]


@pytest.fixture(scope="session")
def linear():
    """A network without a map: logits are sums of weighted pixels; and the weights (8, 8, 3, 3)."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3, name="logits")])
    weights = 0.01 * np.random.default_rng(3).normal(size=(8 * 8 * 3, 3)).astype("float32")
    model.set_weights([weights, np.array([0.5, 0, -0.5])])
    return model, weights.reshape(8, 8, 3, 3)
