"""The networks of the article beyond what every model must do: their options, their stems, their normalisation."""

import keras
import numpy as np
import pytest
from families import outline

from kcnn.initial import initialize, undrawn
from kcnn.registry import MODELS


@pytest.mark.parametrize(
    ("name", "size", "features"),
    [
        ("alexnet", 32, 3),
        ("alexnet", 127, 15),
        ("alexnet", 128, 3),
        ("alexnet", 224, 6),
        ("vgg16", 32, 1),
        ("googlenet", 32, 4),
        ("googlenet", 128, 4),
        ("resnet50", 32, 4),
        ("resnet50", 128, 4),
        ("resnet50_v2", 32, 4),
        ("resnet50_v2", 128, 4),
        ("efficientnet_b0", 32, 2),
        ("efficientnet_v2_b0", 32, 2),
        ("efficientnet_v2_b0", 128, 4),
        ("convnext_tiny", 16, 1),
        ("convnext_tiny", 28, 1),
        ("convnext_tiny", 32, 2),
        ("convnext_tiny", 128, 4),
    ],
)
def test_stem_follows_the_size_of_the_image(name, size, features):
    assert outline(name, (size, size, 3)).get_layer("features").output.shape[1:3] == (features, features)


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("alexnet", (62, 200, 3), {"stem": "large"}, "at least 63"),
        ("alexnet", (14, 14, 3), {}, "at least 15"),
        ("alexnet", (32, 32, 3), {"form": "three_towers"}, "Received: form='three_towers'"),
        ("googlenet", (32, 32, 3), {"form": "v2"}, "Received: form='v2'"),
        ("googlenet", (31, 31, 3), {"stem": "large"}, "at least 32"),
        ("vgg16", (31, 31, 3), {}, "at least 32"),
        ("resnet50", (31, 31, 3), {"stem": "large"}, "at least 32"),
        ("efficientnet_b0", (15, 15, 3), {}, "at least 16"),
        ("efficientnet_b0", (32, 32, 3), {"drop_path": 1.0}, "Received: drop_path=1.0"),
        ("convnext_tiny", (32, 32, 3), {"stem": "patch"}, "Received: stem='patch'"),
    ],
)
def test_mistakes_in_options_are_explained(name, shape, options, message):
    with pytest.raises(ValueError, match=message):
        outline(name, shape, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("alexnet", {"form": "two_towers"}),
        pytest.param("googlenet", {"form": "paper"}, marks=pytest.mark.slow),
    ],
)
def test_local_response_normalisation_is_saved_and_named_from_its_place(name, options, images, tmp_path):
    with undrawn():
        model = MODELS.get(name)((32, 32, 3), 10, **options)
    initialize(model, 0)
    powers = [operation.name for operation in model.operations if not isinstance(operation, keras.Layer)]
    assert len(powers) == 2
    assert all(power.endswith("_power") for power in powers)
    assert [operation.name for operation in outline(name, **options).operations] == [o.name for o in model.operations]
    model.save(tmp_path / "model.keras")
    x = images(2, 32, 32, 3)
    expected = model.predict_on_batch(x)
    received = keras.saving.load_model(tmp_path / "model.keras").predict_on_batch(x)
    np.testing.assert_allclose(received, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny"])
def test_depthwise_kernels_and_scales_are_initialised(name):
    with undrawn():
        model = MODELS.get(name)((32, 32, 3), 10)
    initialize(model, 0)
    for weight in model.weights:
        values = keras.ops.convert_to_numpy(weight)
        assert values.any() or weight.name in ("bias", "beta", "moving_mean"), weight.path


def test_a_weight_without_an_initializer_is_refused():
    inputs = keras.Input((4,))
    layer = keras.layers.Normalization(name="mysterious")
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(TypeError, match="'mysterious', a Normalization, declares no initializer"):
        initialize(model, 0)
