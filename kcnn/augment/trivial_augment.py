"""TrivialAugment: one operation an image, of random strength."""

from typing import Literal

import keras
import numpy as np

from kcnn.augment import _check
from kcnn.augment._base import Augmentation
from kcnn.augment._fill import FILLS
from kcnn.augment._stage import apply_stage, draw_settings

BINS = 31

# Operation -> (magnitudes, whether they are signed): the wide space of the paper, as torchvision has it.
WIDE = {
    "identity": (np.zeros(BINS), False),
    "shear_x": (np.linspace(0, 0.99, BINS), True),
    "shear_y": (np.linspace(0, 0.99, BINS), True),
    "translate_x": (np.linspace(0, 32, BINS), True),
    "translate_y": (np.linspace(0, 32, BINS), True),
    "rotate": (np.linspace(0, 135, BINS), True),
    "brightness": (np.linspace(0, 0.99, BINS), True),
    "saturation": (np.linspace(0, 0.99, BINS), True),
    "contrast": (np.linspace(0, 0.99, BINS), True),
    "sharpness": (np.linspace(0, 0.99, BINS), True),
    "posterize": (8 - np.round(np.linspace(0, 6, BINS)), False),
    "solarize": (np.linspace(255, 0, BINS), False),
    "autocontrast": (np.zeros(BINS), False),
    "equalize": (np.zeros(BINS), False),
}


@keras.saving.register_keras_serializable(package="kcnn")
class TrivialAugment(Augmentation):
    """Applies one of 14 operations with one of 31 strengths to each image (Müller & Hutter 2021, wide space).

    Args:
        fill: What comes into view at the borders: "zero" (black), "reflect" or "edge".
    """

    def __init__(self, *, fill: Literal["zero", "reflect", "edge"] = "zero", seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.fill = _check.choice("fill", fill, FILLS)

    def augment(self, images, position):
        settings = draw_settings(self, "stage", position, WIDE, *images.shape[1:3])
        return apply_stage(images, settings, self.fill)

    def get_config(self):
        return {**super().get_config(), "fill": self.fill}
