"""Initial kernels that no initializer of Keras gives: the identity, and a whitening that is learned from images.

A builder sets one as the layer's `kernel_start`, beside the stock initializer, which is what a saved model knows.
`kcnn.initial.initialize` calls it as `(drawn, images)`: the kernel as drawn, and a function that returns images.
"""

import numpy as np

CHUNK = 2**18  # patches that are multiplied at once


def identity(kernel, images=None):
    """Return `kernel` (h, w, C, F) with the first of its F filters replaced by those that pass on a channel each."""
    kernel = kernel.copy()
    passed = min(kernel.shape[2:])
    kernel[..., :passed] = 0
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2, range(passed), range(passed)] = 1
    return kernel


def whitening(mean, std, epsilon):
    """Return the start of a first kernel (h, w, C, F) whose filters give numbers without correlation and of variance 1.

    Half of the filters are the directions in which patches of (h, w, C) pixels vary most, each divided by the root of
    its variance plus `epsilon`; the other half are their negatives. What is left over stays as it was drawn, as does
    all of it where there are no images.

    Args:
        mean, std: One number a channel for pixels from 0 to 1, by which the network normalises; None for 0 and 1.
        epsilon: Added to each variance, in normalised units.
    """

    def start(kernel, images=None):
        if images is None:
            return kernel
        values, directions = principal(images(), kernel.shape[:2], mean, std)
        scaled = directions / np.sqrt(values + epsilon)[:, None]
        half = min(kernel.shape[-1] // 2, len(scaled))
        filters = scaled[:half].T.reshape(*kernel.shape[:3], half).astype("float32")
        kernel = kernel.copy()
        middle = kernel.shape[-1] // 2
        kernel[..., :half], kernel[..., middle : middle + half] = filters, -filters
        return kernel

    return start


def principal(images, size, mean=None, std=None):
    """Return the principal directions of all patches of normalised images, the strongest first.

    The sums are of integers and exact, so that they depend neither on their order nor on threads.

    Args:
        images: uint8 (N, H, W, C).
        size: (h, w) of a patch.
        mean, std: One number a channel for pixels from 0 to 1; None for 0 and 1.

    Returns:
        The mean square along each direction, float64 (n,), and the directions (n, n), one a row, n being h * w * C. The
        sign of each is that of its first large component.
    """
    places, channels = size[0] * size[1], images.shape[-1]
    mean = np.tile(np.zeros(channels) if mean is None else mean, places)
    std = np.tile(np.ones(channels) if std is None else std, places)
    count, total, squares = 0, 0.0, 0.0
    step = max(CHUNK // (images.shape[1] * images.shape[2]), 1)
    for first in range(0, len(images), step):
        windows = np.lib.stride_tricks.sliding_window_view(images[first : first + step], size, axis=(1, 2))
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, places * channels).astype("float64")
        count, total, squares = count + len(patches), total + patches.sum(axis=0), squares + patches.T @ patches
    average, products = total / count / 255, squares / count / 255**2
    normalised = products - np.outer(mean, average) - np.outer(average, mean) + np.outer(mean, mean)
    values, vectors = np.linalg.eigh(normalised / np.outer(std, std))
    directions = vectors.T[::-1]
    large = np.abs(directions) >= np.abs(directions).max(axis=1, keepdims=True) / 2
    signs = np.sign(directions[np.arange(len(directions)), large.argmax(axis=1)])
    return np.maximum(values[::-1], 0), directions * signs[:, None]
