"""Flip, crop and translate against slow references, their statistics, and fusing them."""

import keras
import numpy as np
import pytest
from scipy import stats

from kcnn import random
from kcnn.augment._index_map import IndexMap
from kcnn.augment.fuse import FusedIndexMap, fuse

PAD_MODES = {"zero": "constant", "reflect": "reflect", "edge": "edge"}


def test_flips_mirror_the_right_axis(make, apply, noise):
    images = noise(3, 5, 7, 3)
    np.testing.assert_array_equal(apply(make("horizontal_flip", probability=1.0), images), images[:, :, ::-1])
    np.testing.assert_array_equal(apply(make("vertical_flip", probability=1.0), images), images[:, ::-1])
    np.testing.assert_array_equal(apply(make("vertical_flip", probability=0.0), images), images)


def test_a_flip_that_alternates_shows_both_sides_in_two_epochs(make, noise):
    images, every = noise(4000, 1, 3, 1), np.arange(4000)
    flip = make("horizontal_flip", alternate=True)
    epochs = [flip.transform(images, every + 4000 * epoch, every, epoch) for epoch in range(4)]
    mirrored = [(epoch == images[:, :, ::-1]).all(axis=(1, 2, 3)) for epoch in epochs]
    lopsided = (images != images[:, :, ::-1]).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(epochs[0], epochs[2])
    np.testing.assert_array_equal(epochs[1], epochs[3])
    assert (mirrored[0] != mirrored[1])[lopsided].all()
    assert stats.binomtest(int(mirrored[0][lopsided].sum()), int(lopsided.sum()), 0.5).pvalue > 1e-3
    # An image's own draw, wherever in an epoch it comes.
    some = np.array([7, 3999, 5])
    np.testing.assert_array_equal(flip.transform(images[some], every[:3], some, 1), epochs[1][some])
    with pytest.raises(ValueError, match="input pipeline"):
        flip(images, every, training=True)


@pytest.mark.parametrize("fill", PAD_MODES)
def test_crop_is_pad_and_crop(fill, make, apply, noise):
    images, padding = noise(50, 9, 12, 3), 4
    layer = make("crop", padding=padding, fill=fill)
    position = np.arange(50, dtype="int32")
    rows = random.integers(layer.draw("rows", position), 2 * padding + 1)
    columns = random.integers(layer.draw("columns", position), 2 * padding + 1)
    result = apply(layer, images, position)
    for image, row, column, found in zip(images, rows, columns, result, strict=True):
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode=PAD_MODES[fill])
        np.testing.assert_array_equal(found, padded[row : row + 9, column : column + 12])


@pytest.mark.parametrize("fill", PAD_MODES)
def test_padding_beyond_the_size_of_the_image(fill, make, apply, noise):
    images, padding = noise(20, 3, 4, 1), 11
    result = apply(make("crop", padding=padding, fill=fill), images)
    position = np.arange(20, dtype="int32")
    rows = random.integers(make("crop").draw("rows", position), 2 * padding + 1)
    columns = random.integers(make("crop").draw("columns", position), 2 * padding + 1)
    for image, row, column, found in zip(images, rows, columns, result, strict=True):
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode=PAD_MODES[fill])
        np.testing.assert_array_equal(found, padded[row : row + 3, column : column + 4])


def test_translate_moves_up_to_its_fraction(make, apply):
    image = np.arange(1, 101, dtype="uint8").reshape(1, 10, 10, 1)
    result = apply(make("translate", height=0.2, width=0.3), image.repeat(4000, axis=0))
    # The pixel in the middle tells the shift.
    row, column = np.divmod(result[:, 5, 5, 0].astype(int) - 1, 10)
    assert set(row - 5) == set(range(-2, 3))
    assert set(column - 5) == set(range(-3, 4))


def test_flip_rate(make, apply):
    images = np.tile(np.array([[[[0], [1]]]], dtype="uint8"), (20000, 1, 1, 1))
    for probability in (0.1, 0.5):
        flipped = apply(make("horizontal_flip", probability=probability), images)[:, 0, 0, 0].sum()
        assert stats.binomtest(int(flipped), 20000, probability).pvalue > 1e-3


def test_crop_offsets_are_uniform(make, apply):
    image = np.arange(1, 26, dtype="uint8").reshape(1, 5, 5, 1)
    middle = apply(make("crop", padding=2), image.repeat(25000, axis=0))[:, 2, 2, 0]
    assert stats.chisquare(np.bincount(middle, minlength=26)[1:]).pvalue > 1e-3


def chain(make, fills):
    return [
        make("crop", padding=3, fill=fills[0], name="a"),
        make("horizontal_flip", name="b"),
        make("translate", height=0.4, width=0.6, fill=fills[1], name="c"),
        make("vertical_flip", name="d"),
        make("crop", padding=9, fill=fills[2], name="e"),
    ]


@pytest.mark.parametrize("first", PAD_MODES)
@pytest.mark.parametrize("second", PAD_MODES)
@pytest.mark.parametrize("third", PAD_MODES)
def test_fused_equals_one_after_the_other(first, second, third, make, apply, noise):
    images = noise(16, 8, 11, 3)
    layers = chain(make, (first, second, third))
    (fused,) = fuse(layers)
    expected = images
    for layer in layers:
        expected = apply(layer, expected)
    np.testing.assert_array_equal(apply(fused, images), expected)


def test_fuse_merges_neighbours_only(make):
    flip, crop, cutout = make("horizontal_flip"), make("crop"), make("cutout")
    fused, middle, last = fuse([flip, crop, cutout, make("vertical_flip")])
    assert isinstance(fused, FusedIndexMap)
    assert fused.layers == [flip, crop]
    assert middle is cutout
    assert isinstance(last, IndexMap)
    assert not isinstance(last, FusedIndexMap)
    assert fuse([]) == []


def test_fused_layer_round_trips(make, apply, noise):
    (fused,) = fuse(chain(make, ("zero", "edge", "reflect")))
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(fused))
    images = noise(6, 8, 8, 3)
    np.testing.assert_array_equal(apply(copy, images), apply(fused, images))
