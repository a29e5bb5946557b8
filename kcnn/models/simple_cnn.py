"""The teaching article's SimpleCNN: pairs of convolutions, pooled, and two dense layers on top."""

from typing import Literal

import keras
from keras import layers

from kcnn.models._blocks import (
    bias_initializer,
    check_counts,
    check_epsilon,
    check_fractions,
    conv,
    kernel_initializer,
    logits,
    norm,
    pixels,
    relu,
)


def simple_cnn(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    width: int = 32,
    depth: int = 3,
    units: int = 512,
    block_dropout: float = 0.25,
    dropout: float = 0.5,
    norm_epsilon: float = 1e-5,
    norm_momentum: float = 0.9,
    initialization: Literal["he_normal", "keras", "pytorch"] = "he_normal",
    name="simple_cnn",
):
    """The article's SimpleCNN; with the defaults, its layers and its 1,194,282 trainable parameters.

    Only the initial weights differ: the article's are those of `initialization="pytorch"`.

    Args:
        input_shape: `(height, width, channels)`; height and width at least `2**depth`.
        num_classes: At least 2.
        mean, std: One number a channel for pixels from 0 to 1, or `None`.
        width: Filters of the first block; each later block has twice as many.
        depth: Blocks. Every block halves the image; the last has one convolution, the others two.
        units: Width of the dense layer before the logits.
        block_dropout: Rate at which whole feature maps are dropped after every block but the last.
        dropout: Rate at which units are dropped before the logits.
        norm_epsilon, norm_momentum: Of the batch normalisations, in Keras terms. The defaults are PyTorch's,
            whose momentum of 0.1 is 0.9 here; Keras's own are 1e-3 and 0.99.
        initialization: `"he_normal"` (for ReLU), `"keras"` (Glorot uniform) or `"pytorch"`, uniform within
            1 / sqrt(fan_in), for biases too, which the other two start at zero.
        name: Name of the model.

    Returns:
        A functional model from float32 pixels 0..255 to float32 logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: On an option out of its range, or an image too small for `depth`.
    """
    check_counts(width=width, depth=depth, units=units)
    check_fractions(block_dropout=block_dropout, dropout=dropout, norm_momentum=norm_momentum)
    check_epsilon(norm_epsilon=norm_epsilon)

    def conv_norm_relu(x, filters, block, index):
        x = conv(x, filters, use_bias=True, initialization=initialization, name=f"block{block}_conv{index}")
        x = norm(x, epsilon=norm_epsilon, momentum=norm_momentum, name=f"block{block}_norm{index}")
        return relu(x, name=f"block{block}_relu{index}")

    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=2**depth)

    # --- Blocks of two convolutions ---
    for block in range(1, depth):
        filters = width * 2 ** (block - 1)
        x = conv_norm_relu(x, filters, block, 1)
        x = conv_norm_relu(x, filters, block, 2)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        # Whole feature maps at a time, as PyTorch's Dropout2d.
        x = layers.SpatialDropout2D(block_dropout, name=f"block{block}_dropout")(x)

    # --- Last block: one convolution, no dropout ---
    x = conv_norm_relu(x, width * 2 ** (depth - 1), depth, 1)
    x = layers.MaxPooling2D(2, name="features")(x)

    # --- Classifier ---
    # The rows of the next kernel run over height, width, channel; in PyTorch over channel, height, width.
    # That is as good an order as any, but whoever copies weights from PyTorch must permute them.
    x = layers.Flatten(name="head_flatten")(x)
    x = layers.Dense(
        units,
        kernel_initializer=kernel_initializer(initialization),
        bias_initializer=bias_initializer(initialization, x.shape[-1]),
        name="head_dense",
    )(x)
    x = relu(x, name="head_relu")
    x = layers.Dropout(dropout, name="head_dropout")(x)
    outputs = logits(x, num_classes, initialization=initialization)
    return keras.Model(inputs, outputs, name=name)
