"""Mirror images left to right or top to bottom."""

import keras
from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._index_map import IndexMap


@keras.saving.register_keras_serializable(package="kcnn")
class HorizontalFlip(IndexMap):
    """Mirrors an image left to right with a given probability.

    Args:
        probability: From 0 to 1.
    """

    def __init__(self, *, probability: float = 0.5, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.probability = _check.number("probability", probability, 0, 1)

    def source(self, position, rows, columns, height, width):
        flipped = random.below(self.draw("flip", position), self.probability)[:, None]
        return rows, ops.where(flipped, width - 1 - columns, columns)

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}


@keras.saving.register_keras_serializable(package="kcnn")
class VerticalFlip(IndexMap):
    """Mirrors an image top to bottom with a given probability.

    Args:
        probability: From 0 to 1.
    """

    def __init__(self, *, probability: float = 0.5, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.probability = _check.number("probability", probability, 0, 1)

    def source(self, position, rows, columns, height, width):
        flipped = random.below(self.draw("flip", position), self.probability)[:, None]
        return ops.where(flipped, height - 1 - rows, rows), columns

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}
