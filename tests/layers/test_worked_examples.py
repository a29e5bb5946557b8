"""The teaching article's examples that can be done by hand, by our layers; docs/looking-inside.md shows them."""

import keras
import numpy as np
from keras import layers, ops

from kcnn.kernels import kernels
from kcnn.layers.conv import FastConv2D
from kcnn.models._blocks import conv

IMAGE = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]], "float32")
KERNEL = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], "float32")
FEATURES = [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


def batch(array):
    return np.asarray(array, "float32")[None, ..., None]


def plain(output):
    return ops.convert_to_numpy(output)[0, ..., 0]


def stock(image):
    layer = layers.Conv2D(1, 3, use_bias=False)
    layer.build(image.shape)
    layer.set_weights([KERNEL[..., None, None]])
    return layer


def test_the_convolution_of_5x5_by_3x3():
    image = batch(IMAGE)
    layer = stock(image)
    np.testing.assert_array_equal(plain(layer(image)), FEATURES)
    np.testing.assert_array_equal(plain(FastConv2D(layer)(image, training=True)), FEATURES)
    tensors = map(ops.convert_to_tensor, (image, KERNEL[..., None, None]))
    np.testing.assert_array_equal(plain(kernels().conv(*tensors, None, (1, 1), (0, 0), "float32")), FEATURES)


def test_the_largest_of_2x2():
    # The article prints 3 for this window, whose largest number is 4.
    image = batch([[1, 3], [2, 4]])
    np.testing.assert_array_equal(plain(layers.MaxPooling2D(2)(image)), [[4]])
    np.testing.assert_array_equal(plain(kernels().max_pool(ops.convert_to_tensor(image), (2, 2), (2, 2))), [[4]])


def test_the_walk_of_shapes():
    """3 x 224 x 224 becomes 32 x 224 x 224, then 32 x 112 x 112; channels come last here."""
    pixels = keras.Input((224, 224, 3))
    convolved = conv(pixels, 32, name="conv")
    pooled = layers.MaxPooling2D(2)(convolved)
    assert convolved.shape == (None, 224, 224, 32)
    assert pooled.shape == (None, 112, 112, 32)
    found = keras.Model(pixels, [convolved, pooled]).predict_on_batch(np.zeros((1, 224, 224, 3), "float32"))
    assert [each.shape for each in found] == [(1, 224, 224, 32), (1, 112, 112, 32)]
