"""How every registered model is built: its layers, names, options and refusals."""

import inspect
import re

import keras
import numpy as np
import pytest
from families import each_model, outline
from keras.src.applications.convnext import LayerScale

from kcnn.models._blocks import NORM_EPSILON, NORM_MOMENTUM
from kcnn.registry import MODELS

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def layer_names(model):
    return [layer.name for layer in model.layers]


@each_model
def test_takes_float32_pixels_and_gives_float32_logits(name):
    model = outline(name)
    (pixels,) = model.inputs
    assert (pixels.name, pixels.shape, pixels.dtype) == ("pixels", (None, 32, 32, 3), "float32")
    logits = model.layers[-1]
    assert (logits.name, type(logits)) == ("logits", keras.layers.Dense)
    assert logits.activation is keras.activations.linear
    assert logits.output is model.outputs[0]
    assert (model.output.shape, model.output.dtype) == ((None, 10), "float32")
    assert model.name == name


@each_model
def test_features_are_the_last_feature_map(name):
    model = outline(name)
    spatial = [layer.name for layer in model.layers if len(layer.output.shape) == 4]
    assert spatial[-1] == "features"


@each_model
def test_normalise_applies_mean_and_standard_deviation(name, images):
    model = outline(name, mean=MEAN, std=STD)
    layer = model.get_layer("normalise")
    assert type(layer) is keras.layers.Rescaling
    config = layer.get_config()
    assert (len(config["scale"]), len(config["offset"])) == (3, 3)
    x = images(2, 32, 32, 3)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), (x / 255 - MEAN) / STD, atol=1e-5)
    plain = outline(name).get_layer("normalise")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(plain(x)), x / 255, atol=1e-6)


@each_model
@pytest.mark.parametrize("channels", [1, 4])
def test_channels_of_the_image_change_the_first_kernel_alone(name, channels):
    colour, other = outline(name), outline(name, (32, 32, channels))
    assert other.input_shape == (None, 32, 32, channels)
    first = next(layer for layer in other.layers if layer.weights).kernel
    assert first.shape[2] == channels
    per_channel = first.shape[0] * first.shape[1] * first.shape[3]
    assert colour.count_params() - other.count_params() == (3 - channels) * per_channel


@each_model
def test_options_are_readable_and_plumbing_is_not_an_option(name):
    options = MODELS.options(name)
    assert not {"mean", "std", "name"} & set(options)
    parameters = inspect.signature(MODELS.get(name)).parameters
    assert list(parameters)[:2] == ["input_shape", "num_classes"]
    assert {"mean", "std", "name"} <= set(parameters)
    assert all(option.default == parameters[key].default for key, option in options.items())
    assert options.get("norm_epsilon") is None or options["norm_epsilon"].default == NORM_EPSILON
    assert options.get("norm_momentum") is None or options["norm_momentum"].default == NORM_MOMENTUM
    assert MODELS.summary(name).endswith(".")


@each_model
def test_only_stock_layers(name):
    # `operations` would also show a bare `x + y`, which has no name from its place.
    for operation in outline(name).operations:
        assert isinstance(operation, keras.Layer), operation
        assert not isinstance(operation, keras.Model), "models are flat"
        # LayerScale of keras.applications loads wherever Keras does.
        assert type(operation).__module__.startswith("keras.src.layers.") or type(operation) is LayerScale, operation


@each_model
def test_names_come_from_the_place(name):
    names = layer_names(outline(name))
    assert len(set(names)) == len(names)
    place = r"pixels|normalise|features|logits|(stem|head|block\d+|stage\d+(_block\d+)?)_[a-z_]+\d?(_pad)?"
    assert [n for n in names if not re.fullmatch(place, n)] == []
    other = outline(name, name="other")
    assert layer_names(other) == names, "names depend on what was built before"
    assert other.name == "other"


@each_model
@pytest.mark.parametrize("size", [32, 161])
def test_padding_is_by_hand_where_strides_exceed_one(name, size):
    for layer in outline(name, (size, size, 3)).layers:
        strides = getattr(layer, "strides", 1)
        if strides not in (1, (1, 1)):
            assert layer.padding == "valid", layer.name
        elif hasattr(layer, "kernel_size") and layer.padding == "same":
            # It is the same everywhere for an odd kernel alone.
            assert all(size % 2 == 1 for size in layer.kernel_size), layer.name


@each_model
def test_initialisers_are_those_that_can_be_drawn_elsewhere(name):
    known = ("VarianceScaling", "HeNormal", "GlorotUniform", "RandomUniform", "RandomNormal", "TruncatedNormal")
    known += ("Zeros", "Ones")
    for layer in outline(name).layers:
        for attribute, value in vars(layer).items():
            if attribute.endswith("_initializer") and value is not None:
                assert type(value).__name__ in known, f"{layer.name}.{attribute}"


@each_model
@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (((2, 32, 3), 10), {}, r"too small: .* Received: input_shape=\(2, 32, 3\)"),
        (((3, 32, 32), 10), {}, r"read as \(height, width, channels\)"),
        (((32, 32), 10), {}, r"three whole numbers.* Received: input_shape=\(32, 32\)"),
        (((32, 32, 0), 10), {}, "three whole numbers"),
        (((None, None, 3), 10), {}, "three whole numbers"),
        ((32, 10), {}, "three whole numbers"),
        (((32, 32, 3), 1), {}, "at least 2.* Received: num_classes=1"),
        (((32, 32, 3), 10.0), {}, "Received: num_classes=10.0"),
        (((32, 32, 3), 10), {"mean": [0.5]}, r"`mean` .* each of the 3 channels.* Received: mean=\[0.5\]"),
        (((32, 32, 3), 10), {"mean": 0.5}, "`mean` must have one finite number"),
        (((32, 32, 3), 10), {"std": [1, 1, float("nan")]}, "`std` must have one finite number"),
        (((32, 32, 3), 10), {"std": [0.2, 0.2, 0.0]}, "`std` must be greater than 0"),
    ],
)
def test_mistakes_are_explained(name, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.get(name)(*arguments, **options)


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="channels_last"):
            MODELS.get("simple_cnn")((32, 32, 3), 10)
    finally:
        keras.config.set_image_data_format("channels_last")
