"""Models that several tests look at are built once."""

import functools

import keras
import numpy as np
import pytest
from families import SMALL

from kcnn.initial import initialize, undrawn
from kcnn.registry import MODELS


def _build(name, channels):
    with undrawn():
        model = MODELS.get(name)((32, 32, channels), 10)
    initialize(model, 0)
    return model


_kept = functools.cache(_build)


@pytest.fixture(scope="session")
def build():
    """Return `build(name, channels=3)`: the model for 32x32 images and 10 classes, the same one each time."""
    return lambda name, channels=3: (_kept if name in SMALL else _build)(name, channels)


@pytest.fixture(scope="session")
def images():
    """Return `images(*shape)`: pixels from 0 to 255 as float32, the same ones each time."""
    return lambda *shape: np.random.default_rng(0).integers(0, 256, shape).astype("float32")


@pytest.fixture
def mixed_bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)
