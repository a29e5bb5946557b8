import hashlib

import keras
import numpy as np
import pytest
from keras import ops

from kcnn.layers.dropout import PositionalDropout

POSITION = np.arange(64, dtype="int32")


def mask(layer, shape=(64, 10, 10, 8), position=POSITION):
    return ops.convert_to_numpy(layer(np.ones(shape, "float32"), position, training=True))


def test_inference_changes_nothing():
    x = np.random.default_rng(0).normal(size=(4, 7)).astype("float32")
    layer = PositionalDropout(0.5, name="d")
    assert np.array_equal(ops.convert_to_numpy(layer(x, POSITION[:4])), x)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_the_share_and_the_scale_are_those_of_dropout(rate):
    values = mask(PositionalDropout(rate, name="d"))
    assert abs((values == 0).mean() - rate) < 0.01
    np.testing.assert_allclose(values[values != 0], 1 / (1 - rate), rtol=1e-6)


def test_whole_maps_are_dropped_where_the_stock_layer_does():
    layer = PositionalDropout.of(keras.layers.SpatialDropout2D(0.4, name="d"), seed=0)
    values = mask(layer)
    assert (values == values[:, :1, :1, :]).all()
    assert abs((values[:, 0, 0] == 0).mean() - 0.4) < 0.08


def test_a_noise_shape_is_obeyed():
    layer = PositionalDropout.of(keras.layers.Dropout(0.5, noise_shape=(None, 1, 1, 1), name="d"), seed=0)
    values = mask(layer)
    assert (values == values[:, :1, :1, :1]).all()


def test_the_mask_depends_on_the_position_and_not_on_the_batch():
    layer = PositionalDropout(0.5, name="d")
    whole = mask(layer)
    assert np.array_equal(mask(layer, (3, 10, 10, 8), POSITION[10:13]), whole[10:13])
    assert not np.array_equal(whole[0], whole[1])


def test_names_and_seeds_tell_masks_apart():
    masks = [mask(PositionalDropout(0.5, seed=s, name=n)) for s, n in ((0, "a"), (0, "b"), (1, "a"))]
    for one in range(3):
        for other in range(one):
            agreement = (masks[one] == masks[other]).mean()
            assert abs(agreement - 0.5) < 0.02


def test_the_mask_has_the_same_bits_on_every_backend():
    values = mask(PositionalDropout(0.3, seed=7, name="golden")) == 0
    assert (
        hashlib.sha256(np.packbits(values).tobytes()).hexdigest()
        == "a7731656ca80496a0528eec285d5fc3e77e7738a5ed1a80cc3f340be0b779868"
    )


def test_the_layer_is_rebuilt_from_its_configuration():
    layer = PositionalDropout(0.3, noise_shape=(None, 1, 1, None), seed=3, name="d")
    again = PositionalDropout.from_config(layer.get_config())
    assert np.array_equal(mask(again), mask(layer))


def test_half_precision_stays_half():
    layer = PositionalDropout(0.5, name="d", dtype="mixed_bfloat16")
    assert "bfloat16" in str(layer(ops.ones((2, 4), "bfloat16"), POSITION[:2], training=True).dtype)
