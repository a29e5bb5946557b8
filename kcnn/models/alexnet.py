"""AlexNet: five convolutions and three dense layers, in the two forms in which it was published."""

from typing import Literal

import keras
from keras import layers

from kcnn.models._blocks import (
    check_fractions,
    conv,
    dense_relu_dropout,
    local_response_norm,
    logits,
    pixels,
    relu,
    small_stem,
)

WIDTHS = {"one_tower": (64, 192, 384, 256, 256), "two_towers": (96, 256, 384, 384, 256)}
SIZES = (11, 5, 3, 3, 3)
POOLED = (1, 2, 5)  # the convolutions with a pooling behind them
SPLIT = (2, 4, 5)  # those whose two halves lay on two GPUs, which did not see each other
UNITS = 4096


def alexnet(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    form: Literal["one_tower", "two_towers"] = "one_tower",
    stem: Literal["auto", "small", "large"] = "auto",
    dropout: float = 0.5,
    name="alexnet",
):
    """AlexNet of Krizhevsky et al. (2012) in the one-tower form of Krizhevsky (2014): 61.1 M parameters.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 63 with the large stem, 15 with the small.
        num_classes: At least 2.
        mean, std: One number a channel for pixels from 0 to 1, or `None`.
        form: `"one_tower"` is that of Krizhevsky (2014), "One weird trick", footnote 1; `"two_towers"` that of
            Krizhevsky et al. (2012), section 3.5: local response normalisation behind the first two convolutions, and
            two groups of channels in three of them.
        stem: `"large"` is the papers', an 11x11 convolution with stride 4. `"small"` is a 5x5 convolution with stride
            1 for images whose pixels are few; `"auto"` takes it below 128 of them.
        dropout: Rate in front of the two hidden dense layers.
        name: Name of the model.

    Returns:
        A functional model from float32 pixels 0..255 to float32 logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: On an option out of its range, or an image too small for the poolings.
    """
    if form not in WIDTHS:
        raise ValueError(f"`form` must be 'one_tower' or 'two_towers'. Received: form={form!r}")
    check_fractions(dropout=dropout)
    small, split = small_stem(stem, input_shape), form == "two_towers"
    size = {"downsampling": 8, "smallest": 15} if small else {"downsampling": 32, "smallest": 63, "large_stem": True}
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, **size)

    # --- Convolutions ---
    for index, (filters, size) in enumerate(zip(WIDTHS[form], SIZES, strict=True), start=1):
        place = "stem" if index == 1 else f"block{index}"
        if index == 1:
            first = {"kernel_size": 5} if small else {"kernel_size": size, "strides": 4, "pad": 2}
            x = conv(x, filters, use_bias=True, name=f"{place}_conv", **first)
        else:
            groups = 2 if split and index in SPLIT else 1
            x = conv(x, filters, size, groups=groups, use_bias=True, name=f"{place}_conv")
        x = relu(x, name=f"{place}_relu")
        if split and index <= 2:
            x = local_response_norm(x, name=f"{place}_norm")
        if index in POOLED:
            x = layers.MaxPooling2D(3, strides=2, name="features" if index == len(SIZES) else f"{place}_pool")(x)

    # --- Classifier ---
    x = layers.Flatten(name="head_flatten")(x)
    x = layers.Dropout(dropout, name="head_dropout")(x)
    x = dense_relu_dropout(x, UNITS, dropout=dropout, index=1)
    x = dense_relu_dropout(x, UNITS, dropout=None, index=2)
    outputs = logits(x, num_classes, initialization="narrow")
    return keras.Model(inputs, outputs, name=name)
