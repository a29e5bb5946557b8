"""Replace a rectangle of each image by the same part of another one."""

import keras
import numpy as np
from keras import ops

from kcnn.augment._box import centred, inside
from kcnn.augment._mixing import LAMBDA_ONE, Mixing, partners


@keras.saving.register_keras_serializable(package="kcnn")
class CutMix(Mixing):
    """Pastes a rectangle of the image before it in the batch, label included (Yun et al. 2019).

    The rectangle has the image's shape, its centre is any pixel, and it is cut off at the border; the label
    is weighted by the area that is really pasted.

    Args:
        alpha: Both parameters of the Beta distribution of the image's own share, 0.01 to 100.
        probability: The share of images into which something is pasted, 0 to 1.
    """

    def __init__(self, *, alpha: float = 1.0, probability: float = 1.0, seed=0, **kwargs):
        super().__init__(alpha=alpha, probability=probability, seed=seed, **kwargs)

    def build(self, images_shape, position_shape):
        # The label half sees no images, but the pasted share depends on their size.
        self.image_size = tuple(images_shape[1:3])

    def augment(self, images, position):
        height, width = images.shape[1:3]
        pasted = inside(*self.boxes(position, height, width), height, width)
        return ops.where(pasted, partners(images), images)

    def kept(self, position):
        if not self.built:
            raise ValueError(
                "Labels can be mixed once the size of the images is known: call the layer on the images, or "
                "on a `keras.Input` of their shape, before `mix_labels`. "
                f"Received: {self.name!r}, a layer that is not built."
            )
        height, width = self.image_size
        top, bottom, left, right = self.boxes(position, height, width)
        area = ((bottom - top) * (right - left)).astype("float32")
        return np.float32(1) - area / np.float32(height * width)

    def boxes(self, position, height, width):
        """Return top, bottom, left and right of what is pasted, each int32 (B,); NumPy in, NumPy out."""
        xp = np if isinstance(position, np.ndarray) else ops
        side = np.sqrt(1 - np.arange(LAMBDA_ONE + 1) / LAMBDA_ONE)
        share = self.draw_lambda(position)
        heights = xp.take(np.round(side * height).astype("int32"), share, axis=0)
        widths = xp.take(np.round(side * width).astype("int32"), share, axis=0)
        row, column = self.draw("row", position), self.draw("column", position)
        return centred(row, column, heights, widths, height, width)
