"""Test-time augmentation, against its definition in plain NumPy."""

import numpy as np
import pytest

from kcnn.metrics.calibration import softmax, with_temperature
from kcnn.registry import VIEWS
from kcnn.tta import averaged

NAMES = pytest.mark.parametrize("name", VIEWS.names())
SHAPE = (32, 32, 3)


class Linear:
    """A model without an image in mind: embeddings that are not linear in the pixels, logits that are in them."""

    class_names, image_shape, resize = list("abcde"), SHAPE, "crop"

    def __init__(self, temperature=1.0):
        draw = np.random.default_rng(0)
        self.first = draw.normal(size=(np.prod(SHAPE), 7)) / 500
        self.second = draw.normal(size=(7, 5))
        self.temperature = temperature

    def logits(self, images):
        return self.embed(images) @ self.second

    def embed(self, images):
        return np.tanh(images.reshape(len(images), -1) @ self.first)

    def probabilities(self, images):
        assert images.dtype == np.uint8
        assert images.flags.c_contiguous
        return softmax(self.logits(images) / self.temperature)

    def probabilities_and_embeddings(self, images):
        return self.probabilities(images), self.embed(images).astype("float32")


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (6, *SHAPE), "uint8")


def airbench(model, images):
    """The logits of `infer_mirror_translate` of airbench94.py, line by line."""

    def mirror(inputs):
        return 0.5 * model.logits(inputs) + 0.5 * model.logits(inputs[:, :, ::-1])

    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    translated = [mirror(padded[:, 0:32, 0:32]), mirror(padded[:, 2:34, 2:34])]
    return 0.5 * mirror(images) + 0.5 * np.mean(translated, axis=0)


def test_flip_shift_is_that_of_airbench(images):
    model = Linear()
    found = averaged(model, "flip_shift").probabilities(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(airbench(model, images)), atol=1e-6)
    assert np.abs(found - model.probabilities(images)).max() > 0.01


def test_flip_is_the_mean_with_the_mirror_image(images):
    model = Linear()
    mean = (model.logits(images) + model.logits(images[:, :, ::-1])) / 2
    found = averaged(model, "flip").probabilities(images)
    np.testing.assert_allclose(found, softmax(mean), atol=1e-6)
    np.testing.assert_allclose(found, averaged(model, "flip").probabilities(images[:, :, ::-1]), atol=1e-6)


@NAMES
def test_the_logits_of_the_mean_embeddings_are_the_mean_logits(images, name):
    model = Linear()
    probabilities, embeddings = averaged(model, name).probabilities_and_embeddings(images)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(softmax(embeddings.astype("float64") @ model.second), probabilities, atol=1e-5)
    np.testing.assert_allclose(averaged(model, name).probabilities(images), probabilities, atol=1e-7)


@NAMES
def test_a_temperature_before_or_after_is_the_same(images, name):
    after = with_temperature(averaged(Linear(), name).probabilities(images), 2.5)
    np.testing.assert_allclose(averaged(Linear(2.5), name).probabilities(images), after, atol=1e-6)


@NAMES
@pytest.mark.parametrize(("side", "by"), [(1, 1), (8, 1), (32, 1), (64, 2), (224, 7)])
def test_views_are_whole_images_whose_weights_sum_to_one(name, side, by):
    images = np.random.default_rng(2).integers(0, 256, (2, side, side + 2, 1), "uint8")
    weights, views = zip(*VIEWS.get(name)(images), strict=True)
    assert sum(weights) == 1
    assert all(view.shape == images.shape and view.dtype == np.uint8 for view in views)
    np.testing.assert_array_equal(views[0], images)
    if name == "flip_shift" and side > 1:
        np.testing.assert_array_equal(views[2][:, by:, by:], images[:, :-by, :-by])  # down and right
        np.testing.assert_array_equal(views[4][:, :-by, :-by], images[:, by:, by:])


def test_a_probability_of_zero_is_no_infinity(images):
    class Sure(Linear):
        def probabilities(self, images):
            return np.eye(5, dtype="float32")[images[:, 0, 0, 0] % 5]

    found = averaged(Sure(), "flip").probabilities(images)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_none_is_the_model_itself():
    model = Linear()
    assert averaged(model, None) is model
    wrapped = averaged(model, "flip")
    assert (wrapped.class_names, wrapped.image_shape, wrapped.resize) == (model.class_names, SHAPE, "crop")
