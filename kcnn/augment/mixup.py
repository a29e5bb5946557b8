"""Blend each image with another one."""

import keras
import numpy as np
from keras import ops

from kcnn.augment._colour import blend
from kcnn.augment._mixing import LAMBDA_ONE, Mixing, partners


@keras.saving.register_keras_serializable(package="kcnn")
class MixUp(Mixing):
    """Blends an image, and its label, with the one before it in the batch (Zhang et al. 2017).

    Args:
        alpha: Both parameters of the Beta distribution of the image's own share, 0.01 to 100. The share is
            rounded to 1/256, so that labels mix exactly.
        probability: The share of images that are blended, 0 to 1.
    """

    def __init__(self, *, alpha: float = 0.2, probability: float = 1.0, seed=0, **kwargs):
        super().__init__(alpha=alpha, probability=probability, seed=seed, **kwargs)

    def augment(self, images, position):
        share = self.draw_lambda(position)[:, None, None, None]
        partner = ops.cast(partners(images), "int32")
        return ops.cast(blend(ops.cast(images, "int32"), partner, share), "uint8")

    def kept(self, position):
        return self.draw_lambda(position).astype("float32") / np.float32(LAMBDA_ONE)
