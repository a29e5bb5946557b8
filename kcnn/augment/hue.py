"""Turn the colours of images round the colour circle."""

import keras
import numpy as np
from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._base import Augmentation
from kcnn.augment._colour import STEPS

# The colour circle in 1/TURN.
TURN = 1024


@keras.saving.register_keras_serializable(package="kcnn")
class Hue(Augmentation):
    """Adds a drawn angle to the hue of each pixel and keeps its largest and smallest channel values.

    Images that do not have three channels pass unchanged.

    Args:
        factor: The largest turn as a fraction of the colour circle, 0 to 0.5.
    """

    def __init__(self, *, factor: float = 0.05, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.factor = _check.number("factor", factor, 0, 0.5)

    def augment(self, images, position):
        if images.shape[-1] != 3:
            return images
        table = np.round(TURN * self.factor * STEPS).astype("int32") % TURN
        turn = ops.take(table, random.integers(self.draw("factor", position), len(table)), axis=0)
        return turn_hue(images, turn[:, None, None])

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def turn_hue(images, turn):
    """Return uint8 `images` (B, H, W, 3) with their hue turned by `turn` / 1024 of the circle, 0 to 1023.

    The colour circle is a hexagon whose sides are `spread` = max - min grey levels long, so that the hue is
    an integer from 0 to 6 * spread and the way there and back is exact.
    """
    pixels = ops.cast(images, "int32")
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    lightest, darkest = ops.max(pixels, axis=-1), ops.min(pixels, axis=-1)
    spread = lightest - darkest
    circle = 6 * spread
    hue = ops.where(
        lightest == red,
        green - blue,
        ops.where(lightest == green, blue - red + 2 * spread, red - green + 4 * spread),
    )
    hue = hue + ops.right_shift(circle * turn + TURN // 2, 10)
    hue = ops.where(hue < 0, hue + circle, ops.where(hue >= circle, hue - circle, hue))
    # Each channel rises, stays, falls and stays: the distance from its own corner of the hexagon decides.
    new_red = ops.clip(ops.abs(hue - 3 * spread) - spread, 0, spread)
    new_green = ops.clip(2 * spread - ops.abs(hue - 2 * spread), 0, spread)
    new_blue = ops.clip(2 * spread - ops.abs(hue - 4 * spread), 0, spread)
    turned = ops.stack([darkest + new_red, darkest + new_green, darkest + new_blue], axis=-1)
    return ops.cast(turned, "uint8")
