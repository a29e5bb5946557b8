"""Dropout whose mask is a function of the image's place in the training: the same on every backend."""

import keras
import numpy as np
from keras import ops

from kcnn import random


class PositionalDropout(keras.layers.Layer):
    """Drops what `keras.layers.Dropout` would drop, but draws the mask from the position of each image.

    Args:
        rate: Share of the values that become zero, 0 to below 1; the others are divided by `1 - rate`.
        noise_shape: As in Keras: axes of size 1 share one decision. `None` decides each value on its own.
        seed: Any integer; the layer's name tells it from other layers of the same seed.
    """

    def __init__(self, rate, *, noise_shape=None, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.noise_shape = noise_shape
        self.seed = seed

    @classmethod
    def of(cls, layer, *, seed):
        """Return the stand-in of a stock `Dropout` or `SpatialDropout2D` layer."""
        noise_shape = layer.noise_shape
        if isinstance(layer, keras.layers.SpatialDropout2D):
            noise_shape = (None, 1, 1, None)
        return cls(layer.rate, noise_shape=noise_shape, seed=seed, name=layer.name, dtype=layer.dtype_policy)

    def call(self, x, position, training=False):
        if not training or self.rate == 0:
            return x
        keep = ops.logical_not(self.dropped(position, x.shape))
        return x * (ops.cast(keep, x.dtype) * (1.0 / (1.0 - self.rate)))

    def dropped(self, position, shape):
        """Return booleans, true for what is dropped, that broadcast against an input of `shape`.

        Args:
            position: int32 (b,), the place of each image in the training.
            shape: Of the input, the batch first.
        """
        shape = self._mask_shape(shape)
        draw = random.bits(random.key(self.seed, self.name, "mask"), position)
        elements = random.fold(draw[:, None], np.arange(int(np.prod(shape)), dtype="int32")[None, :])
        return ops.reshape(random.below(elements, self.rate), (-1, *shape))

    def _mask_shape(self, shape):
        noise = self.noise_shape or (None,) * len(shape)
        return [full if wanted is None else wanted for full, wanted in zip(shape[1:], noise[1:], strict=True)]

    def compute_output_spec(self, x, position, training=False):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "seed": self.seed,
        }
