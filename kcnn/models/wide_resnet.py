"""The wide residual networks of Zagoruyko & Komodakis (2016): fewer layers, many more filters."""

import keras
from keras import layers

from kcnn.models._blocks import check_fractions, conv, logits, norm, pixels, relu

STEM_WIDTH = 16
BASE_WIDTHS = (16, 32, 64)  # of the stages, times the widening factor


def wide_resnet16_8(input_shape, num_classes, *, mean=None, std=None, dropout: float = 0.0, name="wide_resnet16_8"):
    """WRN-16-8 of Zagoruyko & Komodakis (2016): 11.0 M parameters.

    Args:
        input_shape, num_classes, mean, std, name: As of every model.
        dropout: Rate between the two convolutions of a block.
    """
    return _wide_resnet(input_shape, num_classes, 16, 8, dropout=dropout, mean=mean, std=std, name=name)


def wide_resnet28_10(input_shape, num_classes, *, mean=None, std=None, dropout: float = 0.0, name="wide_resnet28_10"):
    """WRN-28-10 of Zagoruyko & Komodakis (2016): 36.5 M parameters. `dropout` as in `wide_resnet16_8`."""
    return _wide_resnet(input_shape, num_classes, 28, 10, dropout=dropout, mean=mean, std=std, name=name)


def _wide_resnet(input_shape, num_classes, depth, widening, *, dropout, mean, std, name):
    # The paper counts the stem and the three projections as layers: depth = 6n + 4.
    blocks = (depth - 4) // 6
    check_fractions(dropout=dropout)
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=4)

    # --- Stem ---
    x = conv(x, STEM_WIDTH, name="stem_conv")

    # --- Stages ---
    for stage, base in enumerate(BASE_WIDTHS, start=1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, base * widening, strides=strides, dropout=dropout, name=f"stage{stage}_block{block}")
    x = norm(x, name="head_norm")
    x = relu(x, name="features")

    # --- Classifier ---
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    outputs = logits(x, num_classes, initialization="he_normal")
    return keras.Model(inputs, outputs, name=name)


def _block(x, filters, *, strides, dropout, name):
    """Normalise and activate before each convolution (He et al. 2016); project where the shape changes."""
    shortcut = x
    x = norm(x, name=f"{name}_norm1")
    x = relu(x, name=f"{name}_relu1")
    if strides > 1 or shortcut.shape[-1] != filters:
        # The projection shares the first activation, as in the authors' code.
        shortcut = conv(x, filters, 1, strides=strides, name=f"{name}_shortcut_conv")
    x = conv(x, filters, strides=strides, name=f"{name}_conv1")
    x = norm(x, name=f"{name}_norm2")
    x = relu(x, name=f"{name}_relu2")
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    x = conv(x, filters, name=f"{name}_conv2")
    return layers.Add(name=f"{name}_add")([x, shortcut])
