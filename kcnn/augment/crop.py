"""Pad an image, then cut a window of the old size out of it at a random place."""

from typing import Literal

import keras

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._fill import FILLS
from kcnn.augment._index_map import IndexMap, shift


@keras.saving.register_keras_serializable(package="kcnn")
class Crop(IndexMap):
    """Pads each side by `padding` pixels and crops back to the old size, as torchvision's `RandomCrop` does.

    Args:
        padding: Pixels, 0 to 1024. Each of the `2 * padding + 1` offsets in a direction is equally likely.
        fill: "zero" (black before normalisation), "reflect" (without repeating the border) or "edge".
    """

    def __init__(self, *, padding: int = 4, fill: Literal["zero", "reflect", "edge"] = "zero", seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.padding = _check.integer("padding", padding, 0, 1024)
        self.fill = _check.choice("fill", fill, FILLS)

    @property
    def leaves_black(self):
        return self.fill == "zero"

    def source(self, position, rows, columns, height, width):
        offsets = 2 * self.padding + 1
        down = random.integers(self.draw("rows", position), offsets) - self.padding
        right = random.integers(self.draw("columns", position), offsets) - self.padding
        return shift(rows, down, height, self.fill), shift(columns, right, width, self.fill)

    def get_config(self):
        return {**super().get_config(), "padding": self.padding, "fill": self.fill}
