"""Pooling for training, without copies."""

import keras

from kcnn.kernels import kernels


class _Pooling2D(keras.layers.Layer):
    """Does what a stock pooling layer without padding does to feature maps (B, H, W, C).

    Args:
        pool: The stock layer, one that the class `serves`.
    """

    def __init__(self, pool, **kwargs):
        super().__init__(name=pool.name, dtype=pool.dtype_policy, **kwargs)
        self.pool = pool

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.pool.compute_output_shape(x.shape), dtype=self.compute_dtype)


class FastMaxPooling2D(_Pooling2D):
    """The largest of each window, in place of `MaxPooling2D`."""

    @staticmethod
    def serves(layer):
        """Whether a layer is one in whose place this one can stand."""
        return type(layer) is keras.layers.MaxPooling2D and _is_plain(layer)

    def call(self, x):
        return kernels().max_pool(x, self.pool.pool_size, self.pool.strides)


class Subsampling2D(_Pooling2D):
    """Every n-th pixel, in place of an `AveragePooling2D` over one pixel."""

    @staticmethod
    def serves(layer):
        """Whether a layer is one in whose place this one can stand."""
        return type(layer) is keras.layers.AveragePooling2D and tuple(layer.pool_size) == (1, 1) and _is_plain(layer)

    def call(self, x):
        return kernels().subsample(x, self.pool.strides)


def _is_plain(layer):
    return layer.padding == "valid" and layer.data_format == "channels_last"
