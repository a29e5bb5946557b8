"""Batch normalisation for training whose sums are exact to the last few bits, where the framework's own are not."""

import keras
from keras import ops


class AccurateBatchNormalization(keras.layers.Layer):
    """Trains a stock `BatchNormalization` layer, whose variables it shares, on feature maps (B, H, W, C).

    TensorFlow's sums over the B x H x W numbers of a channel are poor on a CPU: of 131,072 numbers, what is normalised
    is wrong by 6e-6, fifty times as much as with PyTorch or JAX. Here each image is summed first and then the images,
    and what is spread over the batch on the way forward is gathered in the same two stages on the way back.

    Args:
        norm: The stock layer, built, with its channels last.
    """

    def __init__(self, norm, **kwargs):
        super().__init__(name=norm.name, dtype=norm.dtype_policy, **kwargs)
        self.norm = norm

    @classmethod
    def serves(cls, layer):
        """Whether a layer is one that this framework trains more accurately in this way."""
        return (
            keras.config.backend() == "tensorflow"
            and isinstance(layer, keras.layers.BatchNormalization)
            and len(layer.input.shape) == 4
            and layer.axis in (-1, 3)
        )

    def call(self, x, training=False):
        norm = self.norm
        if not training or not norm.trainable:
            return norm(x, training=False)
        batch, channels = ops.shape(x)[0], x.shape[-1]

        def spread(values):
            return ops.broadcast_to(ops.reshape(values, (1, 1, 1, channels)), (batch, 1, 1, channels))

        def mean_of(values):
            return ops.mean(ops.mean(values, axis=(1, 2)), axis=0)

        x = ops.cast(x, "float32")
        mean = mean_of(x)
        centred = x - spread(mean)
        variance = mean_of(ops.square(centred))
        kept = norm.momentum
        norm.moving_mean.assign(norm.moving_mean * kept + mean * (1.0 - kept))
        norm.moving_variance.assign(norm.moving_variance * kept + variance * (1.0 - kept))
        scale = ops.rsqrt(variance + norm.epsilon)
        if norm.scale:
            scale = scale * norm.gamma
        x = centred * spread(scale)
        if norm.center:
            x = x + spread(ops.convert_to_tensor(norm.beta))
        return ops.cast(x, self.compute_dtype)

    def compute_output_spec(self, x, training=False):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)
