"""What sets airbench's networks apart: a whitening that is learned from images and frozen, and kernels that pass on."""

import keras
import numpy as np
import pytest

from kcnn import assemble, recipe
from kcnn.data.dataset import Dataset, Split
from kcnn.initial import initialize
from kcnn.models import _starts
from kcnn.models.airbench import airbench94, airbench96

MEAN, STD = (0.3, 0.5, 0.6), (0.2, 0.25, 0.3)
TINY = {"widths": (8, 16, 16)}


@pytest.fixture(scope="module")
def smooth():
    """40 images whose neighbouring pixels and channels are much alike, uint8 (40, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (40, 8, 8, 1)).repeat(4, axis=1).repeat(4, axis=2)
    return (coarse + rng.integers(0, 56, (40, 32, 32, 3))).astype("uint8")


def started(images, channels=3):
    mean, std = (MEAN, STD) if channels == 3 else (None, None)
    model = airbench94((32, 32, channels), 10, mean=mean, std=std, **TINY)
    initialize(model, 0, lambda: images)
    return model


def kernel(model, name):
    return keras.ops.convert_to_numpy(model.get_layer(name).kernel)


def test_the_first_outputs_are_white(smooth):
    model = started(smooth)
    outputs = keras.Model(model.input, model.get_layer("stem_conv").output).predict(smooth.astype("float32"), verbose=0)
    flat = outputs.reshape(-1, 24).astype("float64")
    np.testing.assert_allclose(flat[:, 12:], -flat[:, :12], atol=1e-4)
    found = flat[:, :12].T @ flat[:, :12] / len(flat)
    values, _ = _starts.principal(smooth, (2, 2), MEAN, STD)
    assert values[0] > 100 * values[-1], "the images are white already"
    np.testing.assert_allclose(found, np.diag(values / (values + 5e-4)), atol=1e-3)


def test_principal_directions_do_not_depend_on_the_order_of_the_sums(smooth, monkeypatch):
    before = _starts.principal(smooth, (2, 2), MEAN, STD)
    monkeypatch.setattr(_starts, "CHUNK", 1)
    for one, other in zip(before, _starts.principal(smooth[::-1], (2, 2), MEAN, STD), strict=True):
        np.testing.assert_array_equal(one, other)


def test_grey_images_have_four_directions_and_the_other_filters_stay_drawn(smooth):
    grey = smooth[..., :1]
    learned = kernel(started(grey, channels=1), "stem_conv")
    plain = airbench94((32, 32, 1), 10, **TINY)
    initialize(plain, 0)
    drawn = kernel(plain, "stem_conv")
    changed = (learned != drawn).any(axis=(0, 1, 2))
    assert np.flatnonzero(changed).tolist() == [0, 1, 2, 3, 12, 13, 14, 15]


def test_kernels_pass_on_what_they_can_and_are_drawn_beyond(smooth):
    model = started(smooth)
    x = np.random.default_rng(0).normal(size=(2, 15, 15, 8)).astype("float32")
    passed = keras.ops.convert_to_numpy(model.get_layer("block2_conv1")(x))
    np.testing.assert_allclose(passed[..., :8], x, atol=1e-6)
    assert kernel(model, "block2_conv1")[..., 8:].std() > 0.05
    narrowing = kernel(model, "block1_conv1")  # from 24 channels to 8
    np.testing.assert_array_equal(narrowing[1, 1], np.eye(24, 8))
    assert narrowing.sum() == 8


@pytest.mark.parametrize(("build", "convolutions", "momentum"), [(airbench94, 2, 0.6), (airbench96, 3, 0.9)])
def test_each_convolution_has_a_norm_without_a_scale(build, convolutions, momentum):
    """PyTorch counts momentum from the other side: 0.4 in airbench94.py, and its default of 0.1 in airbench96.py."""
    norms = [
        layer for layer in build((32, 32, 3), 10, **TINY).layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert [layer.name for layer in norms] == [
        f"block{block}_norm{index}" for block in (1, 2, 3) for index in range(1, convolutions + 1)
    ]
    assert {(layer.momentum, layer.scale, layer.center) for layer in norms} == {(momentum, False, True)}


def test_training_leaves_the_whitening_alone(smooth):
    labels = np.arange(40, dtype="int32") % 4
    split = Split(smooth, labels, [str(n) for n in range(40)])
    dataset = Dataset(split, None, None, list("abcd"), (32, 32, 3), MEAN, STD)
    settings = ("batch_size=20", "epochs=1", "precision=float32", "model.widths=[8, 16, 16]", "data.validation=0")
    training = assemble.assemble(recipe.load("cifar10_fast", settings), dataset)
    stem = training.network.get_layer("stem_conv")
    before = [np.array(value) for value in stem.get_weights()]
    np.testing.assert_array_equal(before[0], kernel(started(smooth), "stem_conv"))
    found = [float(training.model.train_on_batch(*training.batches[step])[0]) for step in (0, 1)]
    assert np.isfinite(found).all()
    if hasattr(training.model, "jax_state_sync"):
        training.model.jax_state_sync()
    np.testing.assert_array_equal(stem.get_weights()[0], before[0])
    assert (stem.get_weights()[1] != before[1]).all()


@pytest.mark.parametrize("widths", [[], [8, 0], 8])
def test_mistakes_in_options_are_explained(widths):
    with pytest.raises(ValueError, match=r"`widths.* Received: "):
        airbench94((32, 32, 3), 10, widths=widths)


def test_the_smallest_image():
    assert airbench94((9, 9, 3), 10).get_layer("features").output.shape == (None, 1, 1, 256)
    with pytest.raises(ValueError, match="at least 9"):
        airbench94((8, 8, 3), 10)
