"""Mixup and cutmix: the images and the labels tell the same story."""

import keras
import numpy as np
import pytest
from scipy import stats

from kcnn.augment.mixup import MixUp

COUNT = 64
POSITION = np.arange(COUNT, dtype="int32") + 500
LABELS = np.eye(COUNT, dtype="float32")
PARTNER = (np.arange(COUNT) - 1) % COUNT


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_lambda_follows_the_beta_distribution(alpha, make):
    drawn = make("mixup", alpha=alpha).draw_lambda(np.arange(20000, dtype="int32"))
    assert drawn.min() >= 0
    assert drawn.max() <= 256
    grid = np.arange(256)
    found = np.searchsorted(np.sort(drawn), grid, side="right") / 20000
    assert np.abs(found - stats.beta.cdf((grid + 0.5) / 256, alpha, alpha)).max() < 0.015


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_draws_agree_on_numpy_and_the_backend(name, make):
    layer = make(name)
    tensor = keras.ops.convert_to_tensor(POSITION)
    numpy, backend = layer.draw_lambda(POSITION), keras.ops.convert_to_numpy(layer.draw_lambda(tensor))
    assert isinstance(numpy, np.ndarray)
    np.testing.assert_array_equal(numpy, backend)
    if name == "cutmix":
        for first, second in zip(layer.boxes(POSITION, 20, 31), layer.boxes(tensor, 20, 31), strict=True):
            np.testing.assert_array_equal(first, keras.ops.convert_to_numpy(second))


def test_mixup_labels_weigh_what_the_images_hold(make, apply):
    # Every second image is white, so that its grey level after mixing tells the share.
    images = np.zeros((COUNT, 2, 2, 1), dtype="uint8")
    images[::2] = 255
    layer = make("mixup", alpha=1.0)
    result = apply(layer, images, POSITION)[:, 0, 0, 0]
    labels = layer.mix_labels(LABELS, POSITION)
    share = np.diag(labels) * 256
    np.testing.assert_array_equal(share, np.round(share))
    own, other = images[:, 0, 0, 0].astype(int), images[PARTNER, 0, 0, 0].astype(int)
    np.testing.assert_array_equal(result, (own * share + other * (256 - share) + 128) // 256)
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    np.testing.assert_array_equal(labels[np.arange(COUNT), PARTNER], 1 - np.diag(labels))


def test_cutmix_labels_weigh_the_pasted_area(make, apply, noise):
    images = np.arange(COUNT, dtype="uint8")[:, None, None, None] * np.ones((1, 20, 31, 3), dtype="uint8")
    layer = make("cutmix")
    result = apply(layer, images, POSITION)
    labels = layer.mix_labels(LABELS, POSITION)
    for index in range(COUNT):
        pasted = result[index, ..., 0] == PARTNER[index]
        kept = result[index, ..., 0] == index
        assert (pasted | kept).all()
        assert labels[index, index] == np.float32(1) - np.float32(pasted.sum()) / np.float32(20 * 31)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    assert len(np.unique(np.diag(labels))) > COUNT / 2


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_probability_leaves_the_others_alone(name, make, apply, noise):
    images = noise(COUNT, 16, 16, 3)
    layer = make(name, probability=0.5, alpha=1.0)
    result = apply(layer, images, POSITION)
    own = np.diag(layer.mix_labels(LABELS, POSITION))
    untouched = own == 1
    np.testing.assert_array_equal(result[untouched], images[untouched])
    assert 0.3 < untouched.mean() < 0.75
    for unchanged in (make(name, probability=0.0), make(name, probability=0)):
        np.testing.assert_array_equal(apply(unchanged, images), images)
        np.testing.assert_array_equal(unchanged.mix_labels(LABELS, POSITION), LABELS)


def test_mixing_twice_composes_in_order(make, apply):
    # Images whose pixels are their own labels: mixing them is mixing labels, within the rounding of a grey level.
    images = np.round(255 * np.eye(COUNT)).astype("uint8").reshape(COUNT, 8, 8, 1)
    labels = LABELS
    for layer in (make("mixup", alpha=1.0, name="first"), make("mixup", alpha=1.0, name="second")):
        images = apply(layer, images, POSITION)
        labels = layer.mix_labels(labels, POSITION)
    assert np.abs(images.reshape(COUNT, COUNT) - 255 * labels).max() <= 1
    np.testing.assert_array_equal(labels.sum(axis=1), 1)


def test_cutmix_needs_to_know_the_size_of_the_images(make):
    with pytest.raises(ValueError, match="once the size of the images is known"):
        make("cutmix").mix_labels(LABELS, POSITION)


def test_a_batch_of_one_is_its_own_partner(apply, noise):
    images = noise(1, 8, 8, 3)
    np.testing.assert_array_equal(apply(MixUp(name="mixup"), images), images)
