"""Images made worse at five strengths, to see how much accuracy that costs.

Strengths are those of CIFAR-10-C for small images and of ImageNet-C for larger ones: Hendrycks & Dietterich,
Benchmarking Neural Network Robustness to Common Corruptions and Perturbations (2019), as in the authors' files
make_cifar_c.py and corruptions.py.
"""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

from kcnn import random

SMALL_SIDE = 96  # pixels; CIFAR's strengths up to here, ImageNet's above
STRENGTHS = 5


def corrupt(images, name, strength, positions):
    """Return uint8 images of the same shape, made worse.

    Args:
        images: uint8 array (N, H, W, C), C being 1 or 3.
        name: One of `CORRUPTIONS`.
        strength: 1 to 5.
        positions: int32 array (N,), the place of each image in its split: its noise is a function of that.
    """
    function, small, large = CORRUPTIONS[name]
    amounts = small if max(images.shape[1:3]) <= SMALL_SIDE else large
    return function(images, amounts[strength - 1], positions)


def _noise(images, deviation, positions):
    """Gaussian noise on each value, of standard deviation `deviation` in units of 0..1."""
    draws = random.bits(random.key(0, "noise"), positions.astype("int32"))
    each = random.fold(draws[:, None], np.arange(np.prod(images.shape[1:]), dtype="int32"))
    normal = ndtri(random.uniform(each).astype("float64") + 2**-25).reshape(images.shape)  # never 0
    return _pixels(images + 255 * deviation * normal)


def _blur(images, deviation, positions):
    """Gaussian blur of `deviation` pixels."""
    return _pixels(gaussian_filter(images.astype("float32"), (0, deviation, deviation, 0), mode="nearest"))


def _brightness(images, amount, positions):
    """Raise the value of hue, saturation, value by `amount` in units of 0..1; the other two stay."""
    value = images.max(axis=3, keepdims=True).astype("float32")
    raised = np.minimum(value + 255 * amount, 255)
    return _pixels(np.where(value > 0, images * (raised / np.maximum(value, 1)), raised))


def _jpeg(images, quality, positions):
    """Encode as JPEG of `quality` and decode."""
    worse = np.empty_like(images)
    for index, pixels in enumerate(images):
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
        worse[index] = np.asarray(Image.open(file)).reshape(pixels.shape)
    return worse


def _pixels(values):
    return np.clip(np.rint(values), 0, 255).astype("uint8")


# Name -> function, strengths for small images, strengths for larger ones.
CORRUPTIONS = {
    "noise": (_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "blur": (_blur, (0.4, 0.6, 0.7, 0.8, 1.0), (1, 2, 3, 4, 6)),
    "brightness": (_brightness, (0.05, 0.10, 0.15, 0.20, 0.30), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}
