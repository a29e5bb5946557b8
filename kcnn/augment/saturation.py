"""Make the colours of images paler or stronger."""

import keras

from kcnn.augment._colour import grey
from kcnn.augment._enhance import Enhance


@keras.saving.register_keras_serializable(package="kcnn")
class Saturation(Enhance):
    """Blends an image with its grey version, as Pillow's `ImageEnhance.Color` does.

    Args:
        factor: The largest change, 0 to 1: 0.4 draws a factor from 0.6 to 1.4, each image its own.
    """

    def __init__(self, *, factor: float = 0.4, seed=0, **kwargs):
        super().__init__(factor=factor, seed=seed, **kwargs)

    def reference(self, pixels):
        return grey(pixels)
