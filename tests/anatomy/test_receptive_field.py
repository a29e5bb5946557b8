"""Receptive fields: against which pixels a value truly depends on, and against published numbers."""

import keras
import numpy as np
import pytest
from keras import layers

from kcnn.anatomy.graph import calls
from kcnn.anatomy.receptive_field import receptive_fields
from kcnn.initial import shapes_only
from kcnn.registry import MODELS


def fields(model):
    made = calls(model)
    return {call.name: field for call, field in zip(made, receptive_fields(made), strict=True)}


def seen(model, side):
    """Return how many pixels, along height and along width, move the value in the middle of the output."""
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    lines = np.zeros((2 * side, side, side, 1), "float32")
    for place in range(side):
        lines[place, place] = 1  # a row that is lit
        lines[side + place, :, place] = 1  # a column
    answers = np.asarray(keras.ops.convert_to_numpy(model(lines)))
    middle = answers[:, answers.shape[1] // 2, answers.shape[2] // 2].reshape(2, side, -1)
    return tuple(int(np.ptp(np.flatnonzero(axis.any(axis=-1)))) + 1 for axis in middle)


def chain(x):
    x = layers.Conv2D(1, (3, 5), padding="same", use_bias=False)(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.Conv2D(1, 3, dilation_rate=2, padding="same", use_bias=False)(x)
    return layers.AveragePooling2D(2)(x)


def branches(x):
    x = layers.Conv2D(2, 3, padding="same", use_bias=False)(x)
    near = layers.Conv2D(2, 1, strides=2, use_bias=False)(x)
    far = layers.Conv2D(2, 5, padding="same", use_bias=False)(x)
    far = layers.SeparableConv2D(2, (3, 7), strides=(2, 2), padding="same", use_bias=False)(far)
    both = layers.Add()([near, far])
    beside = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(both)
    return layers.Concatenate()([both, beside])


def up_and_down(x):
    x = layers.Conv2D(1, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.UpSampling2D(2)(x)
    return layers.Conv2D(1, 3, strides=2, padding="same", use_bias=False)(x)


@pytest.mark.parametrize("network", [chain, branches])
def test_it_is_the_extent_of_the_pixels_that_matter(network):
    inputs = keras.Input((61, 61, 1))
    model = keras.Model(inputs, network(inputs))
    *_, (_, last) = fields(model).items()
    assert last.size == seen(model, 61)
    assert not last.whole


def test_strides_multiply_and_enlarging_divides_them():
    inputs = keras.Input((64, 64, 1))
    strides = [field.stride for field in fields(keras.Model(inputs, up_and_down(inputs))).values()]
    assert strides == [(1, 1), (2, 2), (1, 1), (2, 2)]


def test_resizing_divides_the_sizes():
    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(2, 3, padding="same", name="conv")(layers.Resizing(16, 16, name="smaller")(inputs))
    found = fields(keras.Model(inputs, x))["conv"]
    assert (found.size, found.stride) == ((9, 9), (4, 4))  # from the first of three places to the last, by fours


def test_a_gate_sees_all_and_leaves_the_size_of_the_windows():
    inputs = keras.Input((16, 16, 4), name="pixels")
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="squeeze")(gate)
    x = layers.Multiply(name="excite")([x, gate])
    found = fields(keras.Model(inputs, layers.Dense(2, name="logits")(layers.Flatten(name="flat")(x))))
    assert (found["conv"].size, found["conv"].whole) == ((3, 3), False)
    assert (found["squeeze"].size, found["squeeze"].whole) == (None, True)
    assert (found["excite"].size, found["excite"].stride, found["excite"].whole) == ((3, 3), (1, 1), True)
    assert (found["logits"].size, found["logits"].stride, found["logits"].whole) == (None, None, True)


def test_norms_that_mix_places_are_told_from_those_that_do_not():
    inputs = keras.Input((8, 8, 4))
    x = layers.LayerNormalization(name="within")(inputs)
    x = layers.BatchNormalization(name="batch")(x)
    x = layers.LayerNormalization(axis=(1, 2, 3), name="across")(x)
    found = fields(keras.Model(inputs, x))
    assert [found[name].whole for name in ("within", "batch", "across")] == [False, False, True]


def test_channels_that_are_padded_by_transposing_leave_the_field_alone():
    with shapes_only():
        found = fields(MODELS.get("resnet20")((32, 32, 3), 10))
    # He et al.'s stem and 3 x 3 blocks of two 3x3 convolutions, by Araujo et al.'s formula.
    strides = [1] * 7 + [2] + [1] * 5 + [2] + [1] * 5
    size = jump = 1
    for stride in strides:
        size, jump = size + 2 * jump, jump * stride
    assert (found["features"].size, found["features"].stride) == ((size, size), (jump, jump))


def test_channels_that_are_pooled_leave_the_field_alone():
    with shapes_only():
        one, two = (fields(MODELS.get("alexnet")((224, 224, 3), 10, form=form)) for form in ("one_tower", "two_towers"))
    assert two["stem_norm_scale"] == one["stem_relu"]
    assert two["features"] == one["features"]


@pytest.mark.parametrize(
    ("name", "published"),
    [("alexnet", 195), ("vgg16", 212), ("resnet50", 483), ("MobileNet", 315)],  # Araujo et al., table
)
def test_published_numbers(name, published):
    with shapes_only():
        if name in MODELS.table:
            model = MODELS.get(name)((224, 224, 3), 1000)
        else:
            model = getattr(keras.applications, name)(weights=None)
    sizes = [field.size for field in fields(model).values() if field.size is not None]
    assert sizes[-1] == (published, published)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "published"), [("resnet101", 1027), ("resnet152", 1507), ("InceptionV3", 1311)])
def test_more_published_numbers(name, published):
    test_published_numbers(name, published)
