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
        add: Stock `Add` layer of two inputs behind it whose work it does too, or None. This one is then called in its
            place, with the feature maps and their shortcut.
        relu: Whether to do the work of a rectifier behind it too.
    """

    def __init__(self, norm, bias=None, *, add=None, relu=False, **kwargs):
        # float32 and no casts by Keras: the kernel does them, and the bias counts in full.
        super().__init__(name=(add or norm).name, dtype="float32", autocast=False, **kwargs)
        self.norm = norm
        self.bias = bias
        self.place = None if add is None else [tensor is norm.output for tensor in add.input].index(True)
        self.relu = relu

    @staticmethod
    def serves(layer):
        """Whether a layer is one that this one can train."""
        if type(layer) is not keras.layers.BatchNormalization:
            return False
        return len(layer.input.shape) == 4 and layer.axis in (-1, 3) and not layer.renorm

    @staticmethod
    def adds(norm, layer):
        """Whether `layer`, behind `norm`, adds a shortcut to its output and does nothing else."""
        return (
            type(layer) is keras.layers.Add
            and len(layer.input) == 2
            and sum(tensor is norm.output for tensor in layer.input) == 1
            and layer.input[0].shape == layer.input[1].shape
            and layer.dtype_policy == norm.dtype_policy
        )

    def call(self, inputs, training=False):
        norm = self.norm
        x, shortcut = self._divided(inputs)
        if not training or not norm.trainable:
            y = norm(x, training=False)
            y = y if shortcut is None else ops.add(y, shortcut)
            return ops.relu(y) if self.relu else y
        scale = norm.gamma.value if norm.scale else None
        offset = norm.beta.value if norm.center else None
        if self.bias is not None:
            nothing = 0.0 * self.bias.value  # a gradient of zero instead of none
            offset = nothing if offset is None else offset + nothing
        y, mean, variance = kernels().batch_norm(
            x, scale, offset, norm.epsilon, shortcut, self.relu, norm.compute_dtype
        )
        if self.bias is not None:
            mean = mean + self.bias.value
        kernels().move(norm.moving_mean, mean, norm.momentum)
        kernels().move(norm.moving_variance, variance, norm.momentum)
        return y

    def _divided(self, inputs):
        """Return the feature maps and their shortcut, or None."""
        if self.place is None:
            return inputs, None
        return inputs[self.place], inputs[1 - self.place]

    def compute_output_spec(self, inputs, training=False):
        x = inputs if self.place is None else inputs[self.place]
        return keras.KerasTensor(x.shape, dtype=self.norm.compute_dtype)
