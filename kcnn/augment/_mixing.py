"""Augmentations that mix each image with its neighbour in the batch, and the labels in the same measure."""

import functools

import numpy as np
from keras import ops

from kcnn import random
from kcnn.augment import _check
from kcnn.augment._base import Augmentation

LAMBDA_ONE = 256
QUANTILES = 4096


class Mixing(Augmentation):
    """Mixes an image with the one before it in the batch; the first image's partner is the last.

    The image half runs in the training graph; `mix_labels` is the label half, for NumPy arrays in the input
    pipeline. Both compute from the same draws, so they agree bit for bit.

    Args:
        alpha: Both parameters of the Beta distribution of the share that an image keeps, 0.01 to 100.
        probability: The share of images that are mixed at all, 0 to 1.
    """

    def __init__(self, *, alpha=1.0, probability=1.0, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.alpha = _check.number("alpha", alpha, 0.01, 100)
        self.probability = _check.number("probability", probability, 0, 1)

    def kept(self, position):
        """Return the share of itself that each image keeps, float32 (B,), for int32 NumPy `position`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement `kept`.")

    def mix_labels(self, labels, position):
        """Return `labels` mixed as the images are.

        Args:
            labels: float32 (B, classes), one-hot or mixed already; NumPy.
            position: int32 (B,); NumPy, the same as the images' own.
        """
        labels = np.asarray(labels, dtype="float32")
        kept = self.kept(np.asarray(position, dtype="int32"))[:, None]
        return labels * kept + np.roll(labels, 1, axis=0) * (np.float32(1) - kept)

    def draw_lambda(self, position):
        """Return a draw from Beta(alpha, alpha) in 1/256, or 256 where nothing is mixed, int32 (B,)."""
        xp = np if isinstance(position, np.ndarray) else ops
        index = random.integers(self.draw("lambda", position), QUANTILES)
        mixed = random.below(self.draw("probability", position), self.probability)
        return xp.where(mixed, xp.take(beta_quantiles(self.alpha), index, axis=0), LAMBDA_ONE)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "probability": self.probability}


@functools.cache
def beta_quantiles(alpha):
    """Return evenly spaced quantiles of Beta(alpha, alpha) in 1/256, int32 (4096,)."""
    from scipy import stats  # slow to import, and only mixing needs it

    quantiles = stats.beta.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, alpha, alpha)
    return np.round(quantiles * LAMBDA_ONE).astype("int32")


def partners(images):
    """Return the image before each image, the last one for the first."""
    return ops.roll(images, 1, axis=0)
