"""Multiply-accumulates: layer by layer against what is written out by hand, and networks against their papers."""

import keras
import pytest
from keras import layers

from kcnn.anatomy.graph import calls
from kcnn.anatomy.macs import count_macs
from kcnn.initial import shapes_only
from kcnn.registry import MODELS


def of(layer, shape=(12, 10, 8)):
    inputs = keras.Input(shape)
    return count_macs(keras.Model(inputs, layer(inputs)))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: layers.Conv2D(5, 3, padding="same"), 12 * 10 * 3 * 3 * 8 * 5),
        (lambda: layers.Conv2D(5, 3), 10 * 8 * 3 * 3 * 8 * 5),
        (lambda: layers.Conv2D(5, (1, 7), strides=2, padding="same"), 6 * 5 * 7 * 8 * 5),
        (lambda: layers.Conv2D(6, 3, padding="same", groups=2), 12 * 10 * 3 * 3 * 4 * 6),
        (lambda: layers.Conv2D(5, 3, dilation_rate=2, padding="same"), 12 * 10 * 3 * 3 * 8 * 5),
        (lambda: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 12 * 10 * 3 * 3 * 8 * 2),
        (lambda: layers.SeparableConv2D(5, 3, padding="same"), 12 * 10 * (3 * 3 * 8 + 8 * 5)),
        (lambda: layers.Conv2DTranspose(5, 4, strides=2, padding="same"), 12 * 10 * 4 * 4 * 8 * 5),
        (lambda: layers.Dense(7), 12 * 10 * 8 * 7),
        (lambda: layers.EinsumDense("bhwc,cd->bhwd", (12, 10, 7)), 12 * 10 * 8 * 7),
        (lambda: layers.EinsumDense("bhwc,cde->bhwde", (12, 10, 3, 7)), 12 * 10 * 8 * 3 * 7),
        (lambda: layers.MaxPooling2D(2), 0),
        (lambda: layers.BatchNormalization(), 0),
        (lambda: layers.LayerNormalization(), 0),
        (lambda: layers.PReLU(), 0),
    ],
)
def test_a_layer_counts_as_by_hand(layer, expected):
    assert of(layer()) == expected


def test_bias_counts_as_nothing():
    assert of(layers.Conv2D(5, 3, use_bias=True)) == of(layers.Conv2D(5, 3, use_bias=False))


def test_a_shared_layer_works_twice_and_has_its_weights_once():
    shared = layers.Conv2D(4, 3, padding="same")
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, shared(shared(inputs)))
    assert count_macs(model) == 2 * 8 * 8 * 3 * 3 * 4 * 4
    assert [len(call.weights) for call in calls(model)] == [0, 2, 0]


def test_models_in_models_are_taken_apart():
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same", name="conv")], name="inner")
    inputs = keras.Input((8, 8, 4), name="pixels")
    model = keras.Model(inputs, layers.Flatten(name="flat")(inner(inner(inputs))))
    assert [call.name for call in calls(model)] == ["pixels", "inner/conv", "inner/conv", "flat"]
    assert count_macs(model) == 2 * 8 * 8 * 3 * 3 * 4 * 4
    assert sum(len(call.weights) for call in calls(model)) == 2


# --- Networks, written out ---


def conv(places, size, inputs, outputs):
    return places * size * size * inputs * outputs


def test_simple_cnn_by_hand():
    with shapes_only():
        model = MODELS.get("simple_cnn")((32, 32, 3), 10)
    blocks = [
        conv(32 * 32, 3, 3, 32),
        conv(32 * 32, 3, 32, 32),
        conv(16 * 16, 3, 32, 64),
        conv(16 * 16, 3, 64, 64),
        conv(8 * 8, 3, 64, 128),
    ]
    assert count_macs(model) == sum(blocks) + 4 * 4 * 128 * 512 + 512 * 10 == 30_249_984


def resnet18_macs(classes):
    count = conv(112 * 112, 7, 3, 64) + 4 * conv(56 * 56, 3, 64, 64)
    for places, width in ((28 * 28, 128), (14 * 14, 256), (7 * 7, 512)):
        count += conv(places, 3, width // 2, width) + conv(places, 1, width // 2, width)
        count += 3 * conv(places, 3, width, width)
    return count + 512 * classes


def test_resnet18_by_hand():
    with shapes_only():
        model = MODELS.get("resnet18")((224, 224, 3), 1000)
    assert count_macs(model) == resnet18_macs(1000) == 1_814_073_344  # torchvision: 1.814 G


def vgg16_macs():
    count, inputs = 0, 3
    for side, width, convolutions in ((224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3)):
        for _ in range(convolutions):
            count += conv(side * side, 3, inputs, width)
            inputs = width
    return count + 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000


def resnet50_macs(stride_in_the_first):
    """Count ResNet-50 with the stride of a stage in its first 1x1, as in the paper and in Keras, or in the 3x3."""
    count, inputs = conv(112 * 112, 7, 3, 64), 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        places = (56 // 2**stage) ** 2
        before = places if stage == 0 or stride_in_the_first else 4 * places
        count += conv(before, 1, inputs, width) + conv(places, 1, inputs, 4 * width)
        count += (blocks - 1) * conv(places, 1, 4 * width, width)
        count += blocks * (conv(places, 3, width, width) + conv(places, 1, width, 4 * width))
        inputs = 4 * width
    return count + 2048 * 1000


def test_the_models_of_imagenet_by_hand():
    with shapes_only():
        vgg16, resnet50 = (MODELS.get(name)((224, 224, 3), 1000) for name in ("vgg16", "resnet50"))
    assert count_macs(vgg16) == vgg16_macs() == 15_470_264_320
    assert count_macs(resnet50) == resnet50_macs(stride_in_the_first=True) == 3_857_973_248
    assert resnet50_macs(stride_in_the_first=False) == 4_089_184_256  # torchvision: 4.089 G
