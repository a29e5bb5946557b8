"""Whether a map tells the truth: the class's probability while pixels go, or come, in the map's order."""

import numpy as np
from scipy.ndimage import gaussian_filter

STEPS = 32
BLUR = 1 / 8  # standard deviation of the blur, as a share of the image's shorter side


def deletion(network, images, classes, maps, *, steps=STEPS):
    """Return float32 (B, steps + 1): the probability as the pixels turn black, those with the largest values first.

    Petsiuk et al. (2018), section 3.3. The sooner it falls, the better the map: a small mean is good.
    """
    return _curves(network, images, np.zeros_like(images), classes, maps, steps)


def insertion(network, images, classes, maps, *, steps=STEPS):
    """Return float32 (B, steps + 1): the probability as a blurred image becomes sharp, largest values first.

    Petsiuk et al. (2018), section 3.3. The sooner it rises, the better the map: a large mean is good.
    """
    sigma = BLUR * min(images.shape[1:3])
    blurred = gaussian_filter(images, sigma=(0, sigma, sigma, 0), mode="nearest")
    return _curves(network, blurred, images, classes, maps, steps)


def area(curve):
    """Return the area below a curve (..., steps + 1) whose steps span 0 to 1, by the trapezoidal rule."""
    return (curve[..., 1:] + curve[..., :-1]).mean(axis=-1) / 2


def _curves(network, start, end, classes, maps, steps):
    found = []
    for before, after, chosen, values in zip(start, end, classes, maps, strict=True):
        # The rank of each pixel; equal values go in the order of reading.
        ranks = np.empty(values.size, "int64")
        ranks[np.argsort(-values.ravel(), kind="stable")] = np.arange(values.size)
        changed = np.round(np.linspace(0, values.size, steps + 1))
        masks = ranks.reshape(1, *values.shape) < changed[:, None, None]
        found.append(network.probabilities(np.where(masks[..., None], after, before))[:, chosen])
    return np.stack(found).astype("float32")
