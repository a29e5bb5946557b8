"""Shift images by whole pixels, up to a fraction of their size."""

from typing import Literal

import keras

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._fill import FILLS
from kcnn.augment._index_map import IndexMap, shift


@keras.saving.register_keras_serializable(package="kcnn")
class Translate(IndexMap):
    """Shifts an image up or down and left or right by whole pixels.

    Args:
        height: The largest vertical shift as a fraction of the height, 0 to 1.
        width: The largest horizontal shift as a fraction of the width, 0 to 1.
        fill: "zero" (black before normalisation), "reflect" (without repeating the border) or "edge".
    """

    def __init__(
        self,
        *,
        height: float = 0.125,
        width: float = 0.125,
        fill: Literal["zero", "reflect", "edge"] = "zero",
        seed=0,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.height = _check.number("height", height, 0, 1)
        self.width = _check.number("width", width, 0, 1)
        self.fill = _check.choice("fill", fill, FILLS)

    @property
    def leaves_black(self):
        return self.fill == "zero"

    def source(self, position, rows, columns, height, width):
        largest_down, largest_right = round(self.height * height), round(self.width * width)
        down = random.integers(self.draw("rows", position), 2 * largest_down + 1) - largest_down
        right = random.integers(self.draw("columns", position), 2 * largest_right + 1) - largest_right
        return shift(rows, down, height, self.fill), shift(columns, right, width, self.fill)

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width, "fill": self.fill}
