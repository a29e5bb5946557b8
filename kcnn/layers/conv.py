"""Convolution for training, without copies and without a bias that counts for nothing."""

import keras
from keras import ops

from kcnn.kernels import kernels


class FastConv2D(keras.layers.Layer):
    """Trains a stock `Conv2D`, whose variables it shares.

    Args:
        conv: The stock layer, built.
        norm: The stock batch normalisation that alone takes its output, or None. It takes away what the bias adds, so
            the bias is left out: see `FusedBatchNormalization`.
    """

    def __init__(self, conv, norm=None, **kwargs):
        super().__init__(name=conv.name, dtype=conv.dtype_policy, **kwargs)
        self.conv = conv
        self.norm = norm

    @staticmethod
    def serves(layer):
        """Whether a layer is one that this one can train."""
        return (
            type(layer) is keras.layers.Conv2D
            and layer.activation is keras.activations.linear
            and layer.data_format == "channels_last"
            and layer.dilation_rate == (1, 1)
            and layer.groups == 1
            and (
                layer.padding == "valid"
                # Where strides exceed 1, or sizes are even, frameworks pad differently.
                or (layer.padding == "same" and layer.strides == (1, 1) and all(n % 2 for n in layer.kernel_size))
            )
        )

    def call(self, x, training=False):
        conv = self.conv
        if not training:
            return conv(x)
        biased = conv.use_bias and not (self.norm is not None and self.norm.trainable)
        bias = ops.cast(conv.bias, self.compute_dtype) if biased else None
        kernel = ops.cast(conv.kernel, self.compute_dtype)
        return kernels().conv(ops.cast(x, self.compute_dtype), kernel, bias, conv.strides, conv.padding == "same")

    def compute_output_spec(self, x, training=False):
        return keras.KerasTensor(self.conv.compute_output_shape(x.shape), dtype=self.compute_dtype)
