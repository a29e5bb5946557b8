"""Convolution for training, without copies and without a bias that counts for nothing."""

import keras

from kcnn.kernels import kernels


class FastConv2D(keras.layers.Layer):
    """Trains a stock `Conv2D`, whose variables it shares.

    Args:
        conv: The stock layer, built.
        norm: The stock batch normalisation that alone takes its output, or None. It takes away what the bias adds, so
            the bias is left out: see `FusedBatchNormalization`.
        pad: The stock `ZeroPadding2D` in front whose work it does too, or None; one for which `pads` is true.
    """

    def __init__(self, conv, norm=None, pad=None, **kwargs):
        # float32 and no casts by Keras: the kernel does them.
        super().__init__(name=conv.name, dtype="float32", autocast=False, **kwargs)
        self.conv = conv
        self.norm = norm
        self.pad = pad
        same = conv.padding == "same"
        self.padding = tuple(n // 2 if same else 0 for n in conv.kernel_size)
        if pad:
            self.padding = tuple(before for before, _ in pad.padding)

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

    @staticmethod
    def pads(layer, behind):
        """Whether the layer `behind`, which this one can train, can be told to pad what `layer` does."""
        return (
            type(layer) is keras.layers.ZeroPadding2D
            and layer.data_format == "channels_last"
            and all(before == after for before, after in layer.padding)
            and FastConv2D.serves(behind)
            and behind.padding == "valid"
        )

    def call(self, x, training=False):
        conv = self.conv
        if not training:
            return conv(self.pad(x) if self.pad else x)
        biased = conv.use_bias and not (self.norm is not None and self.norm.trainable)
        bias = conv.bias.value if biased else None
        return kernels().conv(x, conv.kernel.value, bias, conv.strides, self.padding, self.conv.compute_dtype)

    def compute_output_spec(self, x, training=False):
        shape = self.pad.compute_output_shape(x.shape) if self.pad else x.shape
        return keras.KerasTensor(self.conv.compute_output_shape(shape), dtype=self.conv.compute_dtype)
