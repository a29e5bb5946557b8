"""Mirror images left to right or top to bottom."""

import keras
import numpy as np
from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._index_map import IndexMap


@keras.saving.register_keras_serializable(package="kcnn")
class HorizontalFlip(IndexMap):
    """Mirrors an image left to right with a given probability.

    Args:
        probability: The share of images that are mirrored, 0 to 1.
        alternate: Draw once for each image, whether it is mirrored in the first, third, ... epoch or in the others
            (Jordan 2024, section 3.6), so that two epochs show both sides of each. It then runs in the input
            pipeline, since only there it is known which image is which.
    """

    def __init__(self, *, probability: float = 0.5, alternate: bool = False, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.probability = _check.number("probability", probability, 0, 1)
        self.alternate = _check.boolean("alternate", alternate)

    @property
    def in_pipeline(self):
        return self.alternate

    def source(self, position, rows, columns, height, width):
        if self.alternate:
            raise ValueError("A flip that alternates runs in the input pipeline, through `transform`.")
        flipped = random.below(self.draw("flip", position), self.probability)[:, None]
        return rows, ops.where(flipped, width - 1 - columns, columns)

    def transform(self, pixels, position, images, epoch):
        """Return the pixels (B, H, W, C) of an epoch, those of `images`, indices (B,), as they alternate."""
        first = random.below(self.draw("flip", np.asarray(images, "int32")), self.probability)
        flipped = first != bool(epoch % 2)
        return np.where(flipped[:, None, None, None], pixels[:, :, ::-1], pixels)

    def get_config(self):
        return {**super().get_config(), "probability": self.probability, "alternate": self.alternate}


@keras.saving.register_keras_serializable(package="kcnn")
class VerticalFlip(IndexMap):
    """Mirrors an image top to bottom with a given probability.

    Args:
        probability: The share of images that are mirrored, 0 to 1.
    """

    def __init__(self, *, probability: float = 0.5, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.probability = _check.number("probability", probability, 0, 1)

    def source(self, position, rows, columns, height, width):
        flipped = random.below(self.draw("flip", position), self.probability)[:, None]
        return ops.where(flipped, height - 1 - rows, rows), columns

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}
