"""Activations: what is kept while training, and what is needed at one time."""

import itertools

import keras
from keras import layers

from kcnn.anatomy.graph import calls
from kcnn.anatomy.memory import kept, peak


def test_a_chain_needs_two_at_a_time():
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    x = layers.MaxPooling2D(2)(x)
    made = calls(keras.Model(inputs, layers.Conv2D(1, 1)(x)))
    sizes = [32, 128, 32, 4]
    assert kept(made) == sum(sizes)
    assert peak(made) == max(a + b for a, b in itertools.pairwise(sizes))


def test_a_shortcut_is_held_until_it_joins():
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(2, 3, padding="same")(inputs)
    x = layers.Conv2D(2, 3, padding="same")(x)
    made = calls(keras.Model(inputs, layers.Add()([x, inputs])))
    assert kept(made) == 4 * 32
    assert peak(made) == 3 * 32
