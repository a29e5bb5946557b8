"""Erase a rectangle of random area, shape and place."""

import functools
import math
from typing import Literal

import keras
import numpy as np
from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._base import Augmentation
from kcnn.augment._box import inside, integers_below

FILLS = ("noise", "grey", "black")


@keras.saving.register_keras_serializable(package="kcnn")
class RandomErasing(Augmentation):
    """Erases a rectangle that lies wholly inside the image (Zhong et al. 2017).

    Args:
        probability: The share of images that lose a rectangle, 0 to 1.
        area: Smallest and largest share of the image, each above 0 and at most 1, drawn evenly.
        aspect: Smallest and largest height / width, drawn evenly on a logarithmic scale.
        fill: "noise" (each pixel random, the paper's best), "grey" (128) or "black".
    """

    def __init__(
        self,
        *,
        probability: float = 0.5,
        area: tuple[float, float] = (0.02, 0.33),
        aspect: tuple[float, float] = (0.3, 3.3),
        fill: Literal["noise", "grey", "black"] = "noise",
        seed=0,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.probability = _check.number("probability", probability, 0, 1)
        self.area = _check.interval("area", area, 0.0001, 1)
        self.aspect = _check.interval("aspect", aspect, 0.01, 100)
        self.fill = _check.choice("fill", fill, FILLS)

    def build(self, images_shape, position_shape):
        box_sizes(self.area, self.aspect, *images_shape[1:3])  # raises where none fits, before anything is trained

    def augment(self, images, position):
        _, height, width, channels = images.shape
        sizes = box_sizes(self.area, self.aspect, height, width)
        size = ops.take(sizes, random.integers(self.draw("size", position), len(sizes)), axis=0)
        top = integers_below(self.draw("row", position), height - size[:, 0] + 1)
        left = integers_below(self.draw("column", position), width - size[:, 1] + 1)
        erased = inside(top, top + size[:, 0], left, left + size[:, 1], height, width)
        chosen = random.below(self.draw("probability", position), self.probability)
        erased = ops.logical_and(erased, chosen[:, None, None, None])
        return ops.where(erased, self._content(position, height, width, channels), images)

    def _content(self, position, height, width, channels):
        if self.fill != "noise":
            return np.uint8(128 if self.fill == "grey" else 0)
        # One draw a pixel; three of its four bytes serve as the channels.
        counter = np.arange(height * width * math.ceil(channels / 3), dtype="int32")
        noise = random.fold(self.draw("noise", position)[:, None], counter[None])
        noise = ops.stack([ops.bitwise_and(ops.right_shift(noise, bits), 255) for bits in (0, 8, 16)], axis=-1)
        noise = ops.reshape(noise, (-1, height, width, 3 * math.ceil(channels / 3)))
        return ops.cast(noise[..., :channels], "uint8")

    def get_config(self):
        options = {
            "probability": self.probability,
            "area": self.area,
            "aspect": self.aspect,
            "fill": self.fill,
        }
        return {**super().get_config(), **options}


@functools.lru_cache(maxsize=32)
def box_sizes(area, aspect, height, width):
    """Return the heights and widths that fit into the image, equally likely, int32 (n, 2).

    The paper draws area and aspect again until the box fits; a grid of 64 by 64 draws without those that do
    not fit has the same distribution.
    """
    shares = np.linspace(*area, 64)[:, None]
    aspects = np.geomspace(*aspect, 64)[None, :]
    heights = np.round(np.sqrt(shares * height * width * aspects))
    widths = np.round(np.sqrt(shares * height * width / aspects))
    fits = (heights <= height) & (widths <= width)
    sizes = np.stack([heights[fits], widths[fits]], axis=1).astype("int32")
    if not len(sizes):
        raise ValueError(
            "No box with this `area` and `aspect` fits into the image. "
            f"Received: area={area}, aspect={aspect}, image of {height} x {width}"
        )
    return np.maximum(sizes, 1)
