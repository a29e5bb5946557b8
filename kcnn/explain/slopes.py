"""Maps of pixels, from derivatives by the pixels themselves."""

import numpy as np
from scipy.special import ndtri

from kcnn import random


def smooth_grad(network, images, classes, *, samples: int = 50, noise: float = 0.15):
    """SmoothGrad: derivatives by the pixels, averaged over noisy copies of the image.

    Smilkov et al. (2017), with their 50 samples and 10 to 20 % of noise. The largest of the channels' magnitudes
    is shown, as in Simonyan et al. (2014). The noise is a function of the sample and the pixel alone.

    Args:
        samples: Copies.
        noise: Standard deviation of the noise, as a share of the range of each image.
    """
    grains = np.stack([_normal(sample, images.shape[1:]) for sample in range(samples)])
    found = []
    for image, chosen in zip(images, classes, strict=True):
        noisy = image + noise * (image.max() - image.min()) * grains
        slopes = network.pixel_gradients(noisy, np.repeat(chosen, samples))
        found.append(np.abs(slopes.mean(axis=0, dtype="float64")).max(axis=-1))
    return np.stack(found).astype("float32")


def integrated_gradients(network, images, classes, *, steps: int = 50):
    """Integrated gradients: the logit's way from a black image, divided among the pixels.

    Sundararajan et al. (2017), equation 3, by the midpoint rule; the paper finds 20 to 300 steps enough. The values
    of an image sum to its logit less that of the black image, and are negative where a pixel speaks against the class.

    Args:
        steps: Points between black and the image.
    """
    shares = ((np.arange(steps, dtype="float32") + 0.5) / steps)[:, None, None, None]
    found = []
    for image, chosen in zip(images, classes, strict=True):
        slopes = network.pixel_gradients(shares * image, np.repeat(chosen, steps))
        found.append((image * slopes.mean(axis=0, dtype="float64")).sum(axis=-1))
    return np.stack(found).astype("float32")


def _normal(sample, shape):
    """Return normally distributed float32 numbers, the same ones on each backend."""
    counters = np.arange(np.prod(shape), dtype="int32").reshape(shape)
    uniform = random.uniform(random.bits(random.key(0, "smooth_grad", sample), counters))
    return ndtri(uniform.astype("float64") + 2**-25).astype("float32")
