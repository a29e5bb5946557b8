"""Which architectures the default suite looks at, one of each family, and networks without memory for their weights."""

import functools

import keras
import pytest

from kcnn.initial import shapes_only
from kcnn.registry import MODELS

# One of each kind stands for it; what is slow differs from it in width and depth.
SMALL = ("simple_cnn", "residual_cnn", "resnet20", "plain20", "resnet18", "wide_resnet16_8", "airbench94")
# To draw, save and run 25 M weights takes seconds; tests/test_architectures.py does so.
LARGE = ("alexnet", "vgg11", "googlenet", "resnet50", "efficientnet_b0", "convnext_tiny")


def _each_model(fast):
    names = [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in MODELS.names()]
    return pytest.mark.parametrize("name", names)


each_model = _each_model(SMALL + LARGE)
each_model_with_weights = _each_model(SMALL)


@functools.cache
def outline(name, input_shape=(32, 32, 3), num_classes=10, /, **options):
    """Return a network to look at, the same one each time: its weights have shapes and no values."""
    with shapes_only():
        return MODELS.get(name)(input_shape, num_classes, **options)


def unsettled(weight, rng):
    """Return values that leave no norm, scale or bias at the constants it starts from."""
    if len(weight.shape) > 1:
        return keras.ops.convert_to_numpy(weight)
    if weight.name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, weight.shape)
    return rng.normal(0, 0.1, weight.shape)
