"""Batch normalisation for training, in the framework's own kernel."""

import keras
from keras import ops

from kcnn.kernels import kernels


class FusedBatchNormalization(keras.layers.Layer):
    """Trains a stock `BatchNormalization` layer, whose variables it shares, on feature maps (B, H, W, C).

    Args:
        norm: The stock layer, built, with its channels last.
        bias: Bias (C,) of the convolution in front, which then leaves it out: it moves the mean and nothing else, and
            its gradient is zero, which the sums over a batch give only to rounding.
        relu: Whether to do the work of a rectifier behind it too.
    """

    def __init__(self, norm, bias=None, *, relu=False, **kwargs):
        super().__init__(name=norm.name, dtype=norm.dtype_policy, **kwargs)
        self.norm = norm
        self.bias = bias
        self.relu = relu

    @staticmethod
    def serves(layer):
        """Whether a layer is one that this one can train."""
        if type(layer) is not keras.layers.BatchNormalization:
            return False
        return len(layer.input.shape) == 4 and layer.axis in (-1, 3) and not layer.renorm

    def call(self, x, training=False):
        norm = self.norm
        if not training or not norm.trainable:
            y = norm(x, training=False)
            return ops.relu(y) if self.relu else y
        x = ops.cast(x, self.compute_dtype)
        channels = x.shape[-1]
        scale = ops.convert_to_tensor(norm.gamma) if norm.scale else ops.ones(channels)
        offset = ops.convert_to_tensor(norm.beta) if norm.center else ops.zeros(channels)
        if self.bias is not None:
            offset = offset + 0.0 * self.bias  # a gradient of zero instead of none
        y, mean, variance = kernels().batch_norm(x, scale, offset, norm.epsilon, self.relu)
        if self.bias is not None:
            mean = mean + self.bias
        kept = norm.momentum
        norm.moving_mean.assign(norm.moving_mean * kept + mean * (1.0 - kept))
        norm.moving_variance.assign(norm.moving_variance * kept + variance * (1.0 - kept))
        return y

    def compute_output_spec(self, x, training=False):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)
