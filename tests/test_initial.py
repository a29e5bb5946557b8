"""Initial weights: the distribution of the Keras initializer, the same bits on every backend."""

import hashlib

import keras
import numpy as np
import pytest
from keras import initializers

from kcnn import random, recipe
from kcnn.assemble import build_network
from kcnn.initial import draw, initialize, shapes_only, undrawn

SHAPE = (3, 3, 40, 50)  # fan in 360, fan out 450


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.GlorotUniform(seed=1),
        initializers.GlorotNormal(seed=1),
        initializers.HeNormal(seed=1),
        initializers.HeUniform(seed=1),
        initializers.LecunNormal(seed=1),
        initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=1),
        initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1),
        initializers.RandomUniform(-0.2, 0.3, seed=1),
        initializers.RandomNormal(0.1, 0.02, seed=1),
        initializers.TruncatedNormal(0.1, 0.02, seed=1),
    ],
    ids=lambda initializer: type(initializer).__name__,
)
def test_the_distribution_is_that_of_keras(initializer):
    from scipy.stats import ks_2samp

    ours = draw(initializer, SHAPE, random.key(0, "test"))
    theirs = keras.ops.convert_to_numpy(initializer(SHAPE))
    assert ours.dtype == np.float32
    assert ours.shape == SHAPE
    assert ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-4
    assert abs(ours.std() / theirs.std() - 1) < 0.02


def test_constants_stay_constant():
    assert (draw(initializers.Ones(), (3,), (0, 0)) == 1).all()
    assert (draw(initializers.Constant(0.25), (3,), (0, 0)) == 0.25).all()


def test_an_unknown_initializer_is_refused():
    with pytest.raises(TypeError, match="Received: Orthogonal"):
        draw(initializers.Orthogonal(), (4, 4), (0, 0))


class Data:
    image_shape = (32, 32, 3)
    class_names = list("abcdefghij")
    mean = std = None


def fingerprint(model):
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("seed", [0, 1])
def test_the_articles_network_starts_from_the_same_bits_everywhere(seed):
    """The digests were written down once; each backend has to meet them."""
    network = build_network(recipe.load("cifar10_simple_cnn"), Data)
    initialize(network, seed)
    expected = {
        0: "44cf9b5ebe118136089e84621278589819376bd10f5877b72904fd37980aaec2",
        1: "bed19be49c199a7028610d9028407cf3de6d8cc2f0a9b35cf20cdf60e9a98187",
    }
    assert fingerprint(network) == expected[seed]


def test_every_trainable_weight_is_drawn_anew():
    network = build_network(recipe.load("cifar10_simple_cnn"), Data)
    before = [keras.ops.convert_to_numpy(weight) for weight in network.trainable_weights]
    initialize(network, 5)
    for weight, old in zip(network.trainable_weights, before, strict=True):
        if "kernel" in weight.path:
            assert not np.any(keras.ops.convert_to_numpy(weight) == old)


def test_a_start_makes_something_of_what_was_drawn_and_of_images():
    def built(start):
        layer = keras.layers.Dense(3, name="started")
        if start:
            layer.kernel_start = start
        return keras.Sequential([keras.Input((2,)), layer])

    plain, started = built(None), built(lambda drawn, images: drawn + images())
    initialize(plain, 5)
    initialize(started, 5, lambda: 1.0)
    kernels = [keras.ops.convert_to_numpy(model.layers[0].kernel) for model in (plain, started)]
    np.testing.assert_array_equal(kernels[1], kernels[0] + 1)
    assert started.layers[0].get_config() == plain.layers[0].get_config()


def test_what_is_not_drawn_is_zero_and_keras_is_itself_again():
    shape = (4, 5)
    for initializer in (initializers.HeNormal(), initializers.RandomNormal(), initializers.TruncatedNormal()):
        with undrawn():
            assert (keras.ops.convert_to_numpy(initializer(shape)) == 0).all()
        assert (keras.ops.convert_to_numpy(initializer(shape)) != 0).all()


@pytest.mark.parametrize("name", ["cifar10_simple_cnn", "cifar10_resnet20"])
def test_building_draws_nothing_and_initialize_draws_all(name):
    network = build_network(recipe.load(name), Data)
    kernels = [w for w in network.weights if w.path.endswith("kernel")]
    assert kernels
    assert not any(keras.ops.convert_to_numpy(kernel).any() for kernel in kernels)
    initialize(network, 5)
    assert all((keras.ops.convert_to_numpy(kernel) != 0).mean() > 0.99 for kernel in kernels)


def test_what_is_not_allocated_stays_so():
    with shapes_only():
        outline = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="outlined")])
    built = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])  # whose scopes give values to what is waiting
    assert outline.count_params() == 25
    assert outline.get_layer("outlined").kernel._value is None
    assert keras.ops.convert_to_numpy(built.layers[0].kernel).any()
