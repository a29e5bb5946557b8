"""RandAugment: several operations an image, of one strength."""

from typing import Literal

import keras
import numpy as np

from kcnn.augment import _check
from kcnn.augment._base import Augmentation
from kcnn.augment._fill import FILLS
from kcnn.augment._stage import apply_stage, draw_settings

BINS = 31


@keras.saving.register_keras_serializable(package="kcnn")
class RandAugment(Augmentation):
    """Applies `num_ops` of 14 operations in a row to each image (Cubuk et al. 2019; torchvision's space).

    Args:
        num_ops: Operations an image, 1 to 8. Each costs a pass over the batch.
        magnitude: Strength of all of them, 0 to 30.
        fill: What comes into view at the borders: "zero" (black), "reflect" or "edge".
    """

    def __init__(
        self,
        *,
        num_ops: int = 2,
        magnitude: int = 9,
        fill: Literal["zero", "reflect", "edge"] = "zero",
        seed=0,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.num_ops = _check.integer("num_ops", num_ops, 1, 8)
        self.magnitude = _check.integer("magnitude", magnitude, 0, BINS - 1)
        self.fill = _check.choice("fill", fill, FILLS)

    def augment(self, images, position):
        height, width = images.shape[1:3]
        operations = space(self.magnitude, height, width)
        for stage in range(self.num_ops):
            settings = draw_settings(self, f"stage{stage}", position, operations, height, width)
            images = apply_stage(images, settings, self.fill)
        return images

    def get_config(self):
        options = {"num_ops": self.num_ops, "magnitude": self.magnitude, "fill": self.fill}
        return {**super().get_config(), **options}


def space(magnitude, height, width):
    """Return operation -> (its one magnitude, whether it is signed) for images of this size."""
    share = magnitude / (BINS - 1)
    return {
        "identity": ([0], False),
        "shear_x": ([0.3 * share], True),
        "shear_y": ([0.3 * share], True),
        "translate_x": ([150 / 331 * width * share], True),
        "translate_y": ([150 / 331 * height * share], True),
        "rotate": ([30 * share], True),
        "brightness": ([0.9 * share], True),
        "saturation": ([0.9 * share], True),
        "contrast": ([0.9 * share], True),
        "sharpness": ([0.9 * share], True),
        "posterize": ([8 - np.round(4 * share)], False),
        "solarize": ([255 * (1 - share)], False),
        "autocontrast": ([0], False),
        "equalize": ([0], False),
    }
