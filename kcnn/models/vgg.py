"""The networks of Simonyan & Zisserman (2014): nothing but 3x3 convolutions, pooled, and three dense layers."""

import keras
from keras import layers

from kcnn.models._blocks import check_fractions, conv, dense_relu_dropout, logits, norm, pixels, relu

WIDTHS = (64, 128, 256, 512, 512)  # of the stages
CONVOLUTIONS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
UNITS = 4096


def vgg11(
    input_shape, num_classes, *, mean=None, std=None, batch_norm: bool = False, dropout: float = 0.5, name="vgg11"
):
    """VGG-11, configuration A of Simonyan & Zisserman (2014), table 1: 132,863,336 parameters for ImageNet.

    Args:
        input_shape, num_classes, mean, std, name: As of every model.
        batch_norm: Normalise behind each convolution, which the paper had not yet.
        dropout: Rate behind the two hidden dense layers.
    """
    return _vgg(input_shape, num_classes, CONVOLUTIONS["vgg11"], batch_norm, dropout, mean=mean, std=std, name=name)


def vgg13(
    input_shape, num_classes, *, mean=None, std=None, batch_norm: bool = False, dropout: float = 0.5, name="vgg13"
):
    """VGG-13, configuration B of Simonyan & Zisserman (2014), table 1. Options as in `vgg11`."""
    return _vgg(input_shape, num_classes, CONVOLUTIONS["vgg13"], batch_norm, dropout, mean=mean, std=std, name=name)


def vgg16(
    input_shape, num_classes, *, mean=None, std=None, batch_norm: bool = False, dropout: float = 0.5, name="vgg16"
):
    """VGG-16, configuration D of Simonyan & Zisserman (2014), table 1. Options as in `vgg11`."""
    return _vgg(input_shape, num_classes, CONVOLUTIONS["vgg16"], batch_norm, dropout, mean=mean, std=std, name=name)


def vgg19(
    input_shape, num_classes, *, mean=None, std=None, batch_norm: bool = False, dropout: float = 0.5, name="vgg19"
):
    """VGG-19, configuration E of Simonyan & Zisserman (2014), table 1. Options as in `vgg11`."""
    return _vgg(input_shape, num_classes, CONVOLUTIONS["vgg19"], batch_norm, dropout, mean=mean, std=std, name=name)


def _vgg(input_shape, num_classes, convolutions, batch_norm, dropout, *, mean, std, name):
    check_fractions(dropout=dropout)
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=32)

    # --- Stages ---
    for stage, (filters, count) in enumerate(zip(WIDTHS, convolutions, strict=True), start=1):
        for index in range(1, count + 1):
            x = conv(x, filters, use_bias=True, name=f"stage{stage}_conv{index}")
            x = norm(x, name=f"stage{stage}_norm{index}") if batch_norm else x
            x = relu(x, name=f"stage{stage}_relu{index}")
        x = layers.MaxPooling2D(2, name="features" if stage == len(WIDTHS) else f"stage{stage}_pool")(x)

    # --- Classifier ---
    x = layers.Flatten(name="head_flatten")(x)
    for index in (1, 2):
        x = dense_relu_dropout(x, UNITS, dropout=dropout, index=index)
    outputs = logits(x, num_classes, initialization="narrow")
    return keras.Model(inputs, outputs, name=name)
