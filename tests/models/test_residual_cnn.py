"""The article's block, and the shortcuts and depth of He et al.'s CIFAR networks."""

import keras
import numpy as np
import pytest

from kcnn.models.residual_cnn import residual_cnn, subsample_and_pad


def kinds(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_options_reach_their_layers():
    model = residual_cnn((9, 8, 3), 4, widths=[4, 6], blocks=3, dropout=0.1, norm_epsilon=0.01, norm_momentum=0.5)
    assert [layer.filters for layer in kinds(model, keras.layers.Conv2D)] == [4] * 7 + [6] * 7
    assert not any(layer.use_bias for layer in kinds(model, keras.layers.Conv2D))
    assert len(kinds(model, keras.layers.Add)) == 6
    assert model.get_layer("features").output.shape == (None, 5, 4, 6)
    assert model.get_layer("head_dropout").rate == 0.1
    norms = kinds(model, keras.layers.BatchNormalization)
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(0.01, 0.5)}


def test_a_block_whose_convolutions_are_zero_is_the_identity(images):
    # The article: even if both convolutions learn nothing, the identity remains.
    model = residual_cnn((8, 8, 3), 2, widths=(4,), blocks=2)
    for layer in kinds(model, keras.layers.Conv2D)[1:]:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    ends = keras.Model(model.input, [model.get_layer("stage1_relu1").output, model.get_layer("features").output])
    first, last = ends(images(2, 8, 8, 3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(first), keras.ops.convert_to_numpy(last))


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1)])
def test_option_a_shortcut(size):
    inputs = keras.Input((*size, 3))
    shortcut = keras.Model(inputs, subsample_and_pad(inputs, 8, name="shortcut"))
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    x[0, 0, 0, 0], x[1, 0, 0, 1] = np.nan, np.inf
    expected = np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, 5)))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(shortcut(x)), expected)


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_depth_counts_the_layers_with_weights(depth, build):
    model = build(f"resnet{depth}")
    assert len(kinds(model, keras.layers.Conv2D)) + len(kinds(model, keras.layers.Dense)) == depth
    assert len(kinds(model, keras.layers.Add)) == (depth - 2) // 2
    assert model.get_layer("features").output.shape == (None, 8, 8, 64)


def test_plain_nets_have_no_shortcuts(build):
    model = build("plain20")
    assert not kinds(model, keras.layers.Add)
    with_weights = [layer.name for layer in model.layers if layer.weights]
    assert with_weights == [layer.name for layer in build("resnet20").layers if layer.weights]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": []}, "`widths` must be a list"),
        ({"widths": 32}, "`widths` must be a list .* Received: widths=32"),
        ({"widths": [32, 0]}, r"`widths\[1\]` .* Received: widths\[1\]=0"),
        ({"widths": [2] * 7}, "halves it 6 times"),
        ({"blocks": 0}, "`blocks`"),
        ({"dropout": "0.5"}, "`dropout` .* Received: dropout='0.5'"),
        ({"initialization": None}, "`initialization`"),
    ],
)
def test_mistakes_in_options_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        residual_cnn((32, 32, 3), 10, **options)
