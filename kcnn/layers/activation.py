"""Activations for training, in one operation each way."""

import keras

from kcnn.kernels import kernels


class FastGelu(keras.layers.Layer):
    """Does what a stock `Activation("gelu")` does, and rounds its result alone where numbers have 16 bits.

    Args:
        activation: The stock layer.
    """

    def __init__(self, activation, **kwargs):
        super().__init__(name=activation.name, dtype=activation.dtype_policy, **kwargs)

    @staticmethod
    def serves(layer):
        """Whether a layer is one in whose place this one can stand."""
        return type(layer) is keras.layers.Activation and layer.activation is keras.activations.gelu

    def call(self, x):
        return kernels().gelu(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)
