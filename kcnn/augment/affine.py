"""Rotate, zoom and shear each image about its centre in one resampling."""

from typing import Literal

import keras
import numpy as np
from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._base import Augmentation
from kcnn.augment._fill import FILLS
from kcnn.augment._resample import ONE, resample

# An odd number of steps from -1 to 1, so that "no change" is one of them.
STEPS = np.linspace(-1, 1, 1025)


@keras.saving.register_keras_serializable(package="kcnn")
class Affine(Augmentation):
    """Rotates, zooms and shears an image about its centre, each by an even draw up to its option.

    Args:
        rotation: Degrees, 0 to 180.
        zoom: Fraction of the size, 0 to 0.75: 0.2 draws a scale from 0.8 to 1.2.
        shear: Degrees, 0 to 45.
        fill: "zero" (black before normalisation), "reflect" (without repeating the border) or "edge".
    """

    def __init__(
        self,
        *,
        rotation: float = 15.0,
        zoom: float = 0.1,
        shear: float = 0.0,
        fill: Literal["zero", "reflect", "edge"] = "zero",
        seed=0,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.rotation = _check.number("rotation", rotation, 0, 180)
        self.zoom = _check.number("zoom", zoom, 0, 0.75)
        self.shear = _check.number("shear", shear, 0, 45)
        self.fill = _check.choice("fill", fill, FILLS)

    def augment(self, images, position):
        return resample(images, self.matrix(position), self.fill)

    def matrix(self, position):
        """Return the map from the result to the input, int32 (B, 6), as `resample` takes it."""
        angle = np.radians(self.rotation * STEPS)
        cos = self._pick(np.cos(angle), "rotation", position)
        sin = self._pick(np.sin(angle), "rotation", position)
        slope = self._pick(np.tan(np.radians(self.shear * STEPS)), "shear", position)
        scale = self._pick(1 / (1 + self.zoom * STEPS), "zoom", position)
        # Backwards: undo the rotation, then the shear, then the zoom. |cos + slope * sin| <= sqrt(2) and
        # scale <= 4 keep each product below 2**31.
        xx = _product(cos + _product(slope, sin), scale)
        xy = _product(sin - _product(slope, cos), scale)
        yx, yy = _product(-sin, scale), _product(cos, scale)
        zero = ops.zeros_like(xx)
        return ops.stack([xx, xy, zero, yx, yy, zero], axis=1)

    def _pick(self, values, purpose, position):
        table = np.round(values * ONE).astype("int32")
        return ops.take(table, random.integers(self.draw(purpose, position), len(table)), axis=0)

    def get_config(self):
        options = {"rotation": self.rotation, "zoom": self.zoom, "shear": self.shear, "fill": self.fill}
        return {**super().get_config(), **options}


def _product(a, b):
    return ops.right_shift(a * b + ONE // 2, 14)
