"""Subsampling for training: every n-th pixel, without copies."""

import keras

from kcnn.kernels import kernels


class Subsampling2D(keras.layers.Layer):
    """Does what a stock `AveragePooling2D` over one pixel does to feature maps (B, H, W, C).

    Args:
        pool: The stock layer.
    """

    def __init__(self, pool, **kwargs):
        super().__init__(name=pool.name, dtype=pool.dtype_policy, **kwargs)
        self.pool = pool

    @staticmethod
    def serves(layer):
        """Whether a layer is one in whose place this one can stand."""
        return (
            type(layer) is keras.layers.AveragePooling2D
            and tuple(layer.pool_size) == (1, 1)
            and layer.padding == "valid"
            and layer.data_format == "channels_last"
        )

    def call(self, x):
        return kernels().subsample(x, self.pool.strides)

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.pool.compute_output_shape(x.shape), dtype=self.compute_dtype)
