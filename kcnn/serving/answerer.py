"""Probabilities for a batch of any size, of a model that may be compiled for each size."""

import numpy as np


class Answerer:
    """Answers batches by what `kcnn.opened.open_model` returned.

    Args:
        opened: It has `image_shape` and `probabilities(images)`.
        most: Images in a batch.
        padded: Whether batches are filled up to a power of two, since a new size would be compiled first.
    """

    def __init__(self, opened, *, most, padded):
        self._opened = opened
        self._most = most
        self._padded = padded

    def __call__(self, images):
        """Return a list of float32 (K,) for a list of uint8 (H, W, C)."""
        batch = np.zeros((self._size(len(images)), *self._opened.image_shape), "uint8")
        np.stack(images, out=batch[: len(images)])
        return list(self._opened.probabilities(batch)[: len(images)])

    def warm_up(self):
        """Answer a batch of each size once, so that no request waits for a compiler."""
        for size in self.sizes():
            self._opened.probabilities(np.zeros((size, *self._opened.image_shape), "uint8"))

    def sizes(self):
        """Return the powers of two below `most`, and `most`."""
        return [2**power for power in range((self._most - 1).bit_length())] + [self._most]

    def _size(self, count):
        return next(size for size in self.sizes() if size >= count) if self._padded else count
