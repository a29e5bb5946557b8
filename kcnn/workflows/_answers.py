"""The probabilities that a model gives to every image of a split."""

import numpy as np

from kcnn.errors import KcnnError

BATCH = 256
PIXELS = 2**25  # values in a batch at most, since corruptions take some copies of it in floats


def batch_size(image_shape):
    """Return how many images of (height, width, channels) a model is asked about at one time."""
    return max(min(BATCH, PIXELS // int(np.prod(image_shape))), 1)


def numbers(probabilities):
    """Return what a model answered; raise `KcnnError` where it is no number, as after a training that diverged."""
    if not np.isfinite(probabilities).all():
        raise KcnnError("The model answers with values that are no numbers (NaN or infinite): it is of no use.")
    return probabilities


def answers(model, split, progress=None, *, change=None, what="evaluating"):
    """Return float32 (N, K), the probabilities, and float32 (N,), the brightness 0..255 of each image.

    Args:
        model: A `Classifier`, or what answers as it does.
        split: A `kcnn.data.dataset.Split` of N images; read in batches, so that it may be larger than memory.
        progress: Called as `(done, total, what)`.
        change: Called as `(images, positions)`; what it returns is answered instead of `images`.
    """
    probabilities, brightness = [], []
    size = batch_size(model.image_shape)
    for start in range(0, len(split), size):
        positions = np.arange(start, min(start + size, len(split)))
        images = split.images[positions]
        if change:
            images = change(images, positions)
        brightness.append(images.mean(axis=(1, 2, 3), dtype="float32"))
        probabilities.append(numbers(model.probabilities(images)))
        if progress:
            progress(int(positions[-1]) + 1, len(split), what)
    return np.concatenate(probabilities), np.concatenate(brightness)
