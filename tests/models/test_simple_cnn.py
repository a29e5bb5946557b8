"""The article's SimpleCNN: layer for layer, and what its options change."""

import math

import keras
import pytest

from kcnn.models.simple_cnn import simple_cnn


def test_layers_are_the_articles(build):
    kinds = [type(layer).__name__ for layer in build("simple_cnn").layers]
    three = ["Conv2D", "BatchNormalization", "Activation"]
    assert kinds == [
        *["InputLayer", "Rescaling"],
        *[*three, *three, "MaxPooling2D", "SpatialDropout2D"],
        *[*three, *three, "MaxPooling2D", "SpatialDropout2D"],
        *[*three, "MaxPooling2D"],
        *["Flatten", "Dense", "Activation", "Dropout", "Dense"],
    ]
    assert build("simple_cnn").get_layer("features").output.shape == (None, 4, 4, 128)


def test_options_reach_their_layers():
    model = simple_cnn(
        (16, 24, 3),
        2,
        width=4,
        depth=2,
        units=7,
        block_dropout=0.1,
        dropout=0.2,
        norm_epsilon=0.01,
        norm_momentum=0.5,
    )
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [4, 4, 8]
    assert all(layer.use_bias for layer in convolutions)
    assert model.get_layer("features").output.shape == (None, 4, 6, 8)
    assert model.get_layer("head_dense").units == 7
    assert model.get_layer("block1_dropout").rate == 0.1
    assert model.get_layer("head_dropout").rate == 0.2
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(0.01, 0.5)}


def test_depth_one_is_the_last_block_alone():
    model = simple_cnn((4, 4, 1), 2, width=2, depth=1, units=3)
    assert [layer.name for layer in model.layers[2:6]] == [
        "block1_conv1",
        "block1_norm1",
        "block1_relu1",
        "features",
    ]


def test_pytorch_initialization_draws_within_one_over_root_fan_in():
    keras.utils.set_random_seed(0)
    model = simple_cnn((8, 8, 3), 10, initialization="pytorch")
    for name, fan_in in [("block1_conv1", 27), ("block2_conv2", 576), ("head_dense", 128), ("logits", 512)]:
        bound = 1 / math.sqrt(fan_in)
        for weight in model.get_layer(name).get_weights():
            assert abs(weight).max() <= bound, name
            assert abs(weight).max() > 0.5 * bound, name


def test_other_initializations_start_biases_at_zero():
    for initialization, kernel in [("keras", "GlorotUniform"), ("he_normal", "HeNormal")]:
        layer = simple_cnn((8, 8, 3), 10, initialization=initialization).get_layer("block1_conv1")
        assert type(layer.kernel_initializer).__name__ == kernel
        assert not layer.get_weights()[1].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 6}, r"halves it 6 times, .* at least 64"),
        ({"depth": 0}, "`depth` .* Received: depth=0"),
        ({"width": 1.5}, "`width` .* Received: width=1.5"),
        ({"units": True}, "`units` .* Received: units=True"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and less than 1. Received: dropout=1.0"),
        ({"block_dropout": -0.1}, "`block_dropout`"),
        ({"norm_epsilon": 0.0}, "`norm_epsilon` must be greater than 0"),
        ({"norm_momentum": 1}, "`norm_momentum`"),
        (
            {"initialization": "xavier"},
            "'he_normal', 'keras' or 'pytorch'. Received: initialization='xavier'",
        ),
    ],
)
def test_mistakes_in_options_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        simple_cnn((32, 32, 3), 10, **options)
