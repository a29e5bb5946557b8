"""What every registered model must compute."""

import keras
import numpy as np
import pytest
from families import each_model_with_weights

from kcnn.registry import MODELS


def as_float32(x):
    return keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))


@each_model_with_weights
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_are_finite(name, channels, build, images):
    logits = as_float32(build(name, channels)(images(2, 32, 32, channels)))
    assert logits.shape == (2, 10)
    assert np.isfinite(logits).all()
    assert np.ptp(logits[0] - logits[1]) > 0, "the logits do not depend on the image"


@each_model_with_weights
def test_saved_model_loads_in_plain_keras(name, build, images, tmp_path):
    model = build(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = images(2, 32, 32, 3)
    np.testing.assert_allclose(as_float32(loaded(x)), as_float32(model(x)), rtol=1e-5, atol=1e-5)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


@each_model_with_weights
def test_both_ends_stay_float32_under_mixed_precision(name, images, mixed_bfloat16):
    model = MODELS.get(name)((32, 32, 3), 10)
    computes = {layer.name: layer.compute_dtype for layer in model.layers[1:]}
    assert {name for name, dtype in computes.items() if dtype == "float32"} == {"normalise", "logits"}
    assert set(computes.values()) == {"float32", "bfloat16"}
    # 100.3 would be 100.5 in bfloat16.
    normalised = keras.Model(model.input, model.get_layer("normalise").output)(np.full((1, 32, 32, 3), 100.3))
    np.testing.assert_allclose(as_float32(normalised), 100.3 / 255, rtol=1e-6)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    logits = model(images(2, 32, 32, 3))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(as_float32(logits)).all()
