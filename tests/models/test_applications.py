"""What keras.applications has, too: with the same weights it gives the same numbers."""

import keras
import numpy as np
import pytest
from families import unsettled

from kcnn.initial import initialize, undrawn
from kcnn.pretrained.imagenet import with_weights
from kcnn.registry import MODELS

NAMES = {
    "vgg16": "VGG16",
    "resnet50": "ResNet50",
    "efficientnet_b0": "EfficientNetB0",
    "convnext_tiny": "ConvNeXtTiny",
    "vgg19": "VGG19",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "resnet50_v2": "ResNet50V2",
    "resnet101_v2": "ResNet101V2",
    "resnet152_v2": "ResNet152V2",
    **{f"efficientnet_b{n}": f"EfficientNetB{n}" for n in range(1, 8)},
    **{f"efficientnet_v2_{size.lower()}": f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")},
    **{f"convnext_{size.lower()}": f"ConvNeXt{size}" for size in ("Small", "Base", "Large", "XLarge")},
}
FAST = list(NAMES)[:4]
OWN_PREPROCESSING = "efficientnet_b"  # its first layers divide by 255, and cannot be left out


@pytest.fixture
def float64():
    """Where random statistics make numbers larger from block to block, dozens of blocks amplify rounding, too."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("size", [pytest.param(64, marks=pytest.mark.slow), 75])
@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_equal_weights_give_equal_logits(name, size, images, request):
    if name.startswith("efficientnet_v2") and name != "efficientnet_v2_b0":
        if keras.backend.backend() == "jax":
            pytest.skip("float32 is too coarse for so many blocks, and JAX has no other unless it is told at its start")
        request.getfixturevalue("float64")
    shape = (size, size, 3)
    options = {"include_preprocessing": False} if name.startswith(("efficientnet_v2", "convnext")) else {}
    large = {} if name.startswith("vgg") else {"stem": "large"}
    rng = np.random.default_rng(0)
    with undrawn():
        ours = MODELS.get(name)(shape, 10, **large)
        theirs = getattr(keras.applications, NAMES[name])(
            weights=None, input_shape=shape, classes=10, classifier_activation=None, **options
        )
    initialize(ours, 0)
    for weight in ours.weights:
        weight.assign(unsettled(weight, rng))
    x = images(2, *shape)
    for layer, other in zip(with_weights(ours), with_weights(theirs), strict=True):
        other.set_weights(layer.get_weights())
    normalised = keras.Model(ours.input, ours.get_layer("normalise").output).predict_on_batch(x)
    expected = theirs.predict_on_batch(x if name.startswith(OWN_PREPROCESSING) else normalised)
    received = ours.predict_on_batch(x)
    scale = np.abs(expected).max()
    assert np.isfinite(scale)
    assert scale > 0
    np.testing.assert_allclose(received / scale, expected / scale, atol=1e-5)
    assert np.ptp(expected[0] - expected[1]) > 1e-4 * scale, "the images make no difference"
