"""Mean and standard deviation of the training images, exact and the same however they are stored."""

from collections.abc import Sequence

import numpy as np

from kcnn import random
from kcnn.data.dataset import Split

SAMPLE = 10_000  # images; the standard error of a mean is then below 0.003
CHUNK = 2**21  # bytes of pixels that are counted at once; counting takes eight times as many
FLOOR = 1 / 255  # a channel that never changes must not divide by zero


def measure(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, in units of 0..1.

    They are taken over at most 10,000 images, those with the lowest hashes of their names, in integers.
    """
    indices = lowest(split.names, SAMPLE)
    total = squares = pixels = 0
    step = max(CHUNK // split.images[indices[:1]].size, 1)
    for start in range(0, len(indices), step):
        images = split.images[indices[start : start + step]]
        flat = images.reshape(-1, images.shape[-1])
        counts = np.stack([np.bincount(channel, minlength=256) for channel in flat.T])
        total = total + counts @ np.arange(256)
        squares = squares + counts @ np.arange(256) ** 2
        pixels += len(flat)
    mean, std = [], []
    for first, second in zip(total.tolist(), squares.tolist(), strict=True):
        mean.append(first / pixels / 255)
        variance = (pixels * second - first * first) / (pixels * pixels)  # exact until this division
        std.append(max(variance**0.5 / 255, FLOOR))
    return tuple(mean), tuple(std)


def sample(split: Split, count: int) -> np.ndarray:
    """Return at most `count` images of a split, uint8 (n, H, W, C): those with the lowest hashes of their names."""
    return split.images[lowest(split.names, count)]


def lowest(names: Sequence[str], count: int) -> np.ndarray:
    """Return the indices, ascending, of the `count` names with the lowest hashes."""
    if len(names) <= count:
        return np.arange(len(names))
    order = sorted(range(len(names)), key=lambda index: (random.fraction(0, "sample", names[index]), names[index]))
    return np.sort(np.array(order[:count]))
