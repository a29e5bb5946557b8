"""Pictures to augment and one way to run a layer on NumPy arrays."""

import keras
import numpy as np
import pytest

from kcnn.registry import AUGMENTATIONS


@pytest.fixture(scope="session")
def noise():
    """Return `noise(*shape)`: random pixels, the same ones each time."""
    return lambda *shape: np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


@pytest.fixture(scope="session")
def photos():
    """Two photographs, uint8 (2, 96, 128, 3)."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    return np.stack([np.asarray(Image.fromarray(image).resize((128, 96))) for image in load_sample_images().images])


@pytest.fixture(scope="session")
def make():
    """Return `make(entry, **options)`: the registered layer, named after its entry."""
    return lambda entry, **options: AUGMENTATIONS.get(entry)(**{"name": entry, **options})


@pytest.fixture(scope="session")
def apply():
    """Return `apply(layer, images, position=0..)`: the augmented images as a NumPy array."""

    def run(layer, images, position=None, training=True):
        position = np.arange(len(images)) if position is None else position
        result = layer(images, np.asarray(position, dtype="int32"), training=training)
        return keras.ops.convert_to_numpy(result)

    return run
