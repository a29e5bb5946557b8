"""The checks that every registered augmentation passes."""

import keras
import numpy as np
import pytest

from kcnn.augment._mixing import Mixing
from kcnn.registry import AUGMENTATIONS

NAMES = [name for name in AUGMENTATIONS.names() if not name.startswith("keras_cv_")]
# One batch size nearly everywhere: JAX compiles each operation anew for each shape.
BATCH = 7
SHAPES = [(8, 8, 1), (32, 32, 3), (31, 17, 3)]
# Options under which each layer changes nearly every image.
STRONG = {"horizontal_flip": {"probability": 1.0}, "vertical_flip": {"probability": 1.0}, "hue": {"factor": 0.5}}


@keras.saving.register_keras_serializable(package="kcnn_tests")
class Always(keras.layers.Layer):
    """Augments at inference too, so that `predict` compiles what training compiles."""

    def __init__(self, layer):
        super().__init__(dtype="uint8")
        self.layer = layer

    def call(self, images, position):
        return self.layer(images, position, training=True)

    def compute_output_spec(self, images, position):
        return keras.KerasTensor(images.shape, dtype="uint8")


def inputs(shape):
    pixels = keras.Input(shape, dtype="uint8", name="pixels")
    return pixels, keras.Input((), dtype="int32", name="position")


def positions(count):
    return np.arange(1000, 1000 + count, dtype="int32")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_happens_at_inference(name, make, apply, noise):
    images = noise(BATCH, 32, 32, 3)
    np.testing.assert_array_equal(apply(make(name), images, training=False), images)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype_stay(name, shape, make, apply, noise):
    images = noise(BATCH, *shape)
    result = apply(make(name), images)
    assert result.shape == images.shape
    assert result.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
def test_training_changes_images(name, make, apply, noise):
    images = noise(BATCH, 32, 32, 3)
    changed = (apply(make(name, **STRONG.get(name, {})), images) != images).any(axis=(1, 2, 3))
    assert changed.mean() > 0.2


@pytest.mark.parametrize("name", NAMES)
def test_draws_follow_the_position(name, make, apply, noise):
    images = noise(1, 32, 32, 3).repeat(BATCH, axis=0)
    layer = make(name)
    if isinstance(layer, Mixing):  # a mixture of equal images tells nothing
        assert len(np.unique(layer.draw_lambda(positions(BATCH)))) > 1
        return
    first = apply(layer, images, positions(BATCH))
    assert len(np.unique(first, axis=0)) > 1, "all images were drawn alike"
    np.testing.assert_array_equal(apply(make(name), images, positions(BATCH)), first)
    # Other neighbours, another order: an image's own draw stays.
    order = np.array([5, 100, 0, 3, 200, 6, 300])
    known = order < BATCH
    again = apply(layer, images, 1000 + order)
    np.testing.assert_array_equal(again[known], first[order[known]])


@pytest.mark.parametrize("name", NAMES)
def test_seed_and_name_change_the_draws(name, make, apply, noise):
    images = noise(BATCH, 32, 32, 3)
    first = apply(make(name), images)
    assert (apply(make(name, seed=1), images) != first).any()
    assert (apply(make(name, name="another"), images) != first).any()


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name, make, apply, noise):
    layer = make(name, seed=5)
    config = layer.get_config()
    for option in AUGMENTATIONS.options(name):
        assert config[option] == getattr(layer, option)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == config
    images = noise(BATCH, 32, 32, 3)
    np.testing.assert_array_equal(apply(copy, images), apply(layer, images))


@pytest.mark.parametrize("name", NAMES)
def test_options_are_checked(name, make):
    for option, description in AUGMENTATIONS.options(name).items():
        wrong = (-1.0, -2.0) if isinstance(description.default, tuple) else "nonsense"
        with pytest.raises(ValueError, match=rf"`{option}` must be .* Received: {option}="):
            make(name, **{option: wrong})


@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_eager(name, make, apply, noise):
    images, position = noise(BATCH, 31, 17, 3), positions(BATCH)
    layer = make(name)
    expected = apply(layer, images, position)
    # XLA on TensorFlow, jit on JAX; PyTorch always runs as it is, and compiling for it takes a C++ compiler.
    for jit_compile in {"tensorflow": (False, True), "jax": (True,)}.get(keras.backend.backend(), (False,)):
        graph = inputs((31, 17, 3))
        model = keras.Model(graph, Always(layer)(*graph))
        model.compile(jit_compile=jit_compile)
        result = model.predict([images, position], batch_size=BATCH, verbose=0)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", NAMES)
def test_functional_graph(name, make, apply, noise):
    shape = (8, 8, 1)
    graph = inputs(shape)
    layer = make(name)
    model = keras.Model({"pixels": graph[0], "position": graph[1]}, layer(*graph))
    assert model.output.dtype == "uint8"
    assert model.output.shape == (None, *shape)
    for count in (1, BATCH):
        images = noise(count, *shape)
        feed = {"pixels": images, "position": positions(count)}
        np.testing.assert_array_equal(model.predict(feed, verbose=0), images)
        result = keras.ops.convert_to_numpy(model(feed, training=True))
        np.testing.assert_array_equal(result, apply(layer, images, positions(count)))


@pytest.mark.parametrize("name", NAMES)
def test_one_step_of_training_in_mixed_precision(name, make, noise):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        pixels, position = inputs((8, 8, 3))
        augmented = make(name)(pixels, position)
        assert augmented.dtype == "uint8"
        x = keras.layers.Rescaling(1 / 255)(augmented)
        logits = keras.layers.Dense(2, dtype="float32")(keras.layers.Flatten()(x))
        model = keras.Model({"pixels": pixels, "position": position}, logits)
        model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile="auto")
        feed = {"pixels": noise(6, 8, 8, 3), "position": positions(6)}
        history = model.fit(feed, np.eye(2, dtype="float32")[[0, 1, 0, 1, 0, 1]], batch_size=4, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    finally:
        keras.config.set_dtype_policy(before)
