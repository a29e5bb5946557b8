"""Hide one square of each image."""

import keras
import numpy as np
from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._base import Augmentation
from kcnn.augment._box import centred, inside


@keras.saving.register_keras_serializable(package="kcnn")
class Cutout(Augmentation):
    """Hides a square whose centre is any pixel, cut off at the border (DeVries & Taylor 2017).

    Args:
        size: The side of the square in pixels, 1 to 2048.
        probability: The share of images in which a square is hidden, 0 to 1.
        level: The grey that is put there, 0 to 255. The paper hides with 0 after normalisation, which is the
            mean of the data: 128 is near to that.
    """

    def __init__(self, *, size: int = 16, probability: float = 1.0, level: int = 128, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.size = _check.integer("size", size, 1, 2048)
        self.probability = _check.number("probability", probability, 0, 1)
        self.level = _check.integer("level", level, 0, 255)

    def augment(self, images, position):
        _, height, width, _ = images.shape
        row, column = self.draw("row", position), self.draw("column", position)
        hidden = inside(*centred(row, column, self.size, self.size, height, width), height, width)
        chosen = random.below(self.draw("probability", position), self.probability)
        hidden = ops.logical_and(hidden, chosen[:, None, None, None])
        return ops.where(hidden, np.uint8(self.level), images)

    def get_config(self):
        options = {"size": self.size, "probability": self.probability, "level": self.level}
        return {**super().get_config(), **options}
