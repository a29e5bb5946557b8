"""Augmentations that blend each image with another version of itself by a drawn factor."""

from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._base import Augmentation
from kcnn.augment._colour import blend, factors


class Enhance(Augmentation):
    """Blends an image with `reference` by a factor drawn evenly from 1 - factor to 1 + factor.

    Args:
        factor: The largest change, 0 to 1: 0.4 draws a factor from 0.6 to 1.4.
    """

    def __init__(self, *, factor=0.4, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.factor = _check.number("factor", factor, 0, 1)

    def reference(self, pixels):
        """Return what an image turns into at factor 0, int32 that broadcasts against `pixels`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement `reference`.")

    def augment(self, images, position):
        table = factors(self.factor)
        drawn = ops.take(table, random.integers(self.draw("factor", position), len(table)), axis=0)
        pixels = ops.cast(images, "int32")
        blended = blend(pixels, self.reference(pixels), drawn[:, None, None, None])
        return ops.cast(blended, "uint8")

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
