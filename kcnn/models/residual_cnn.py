"""Small residual networks: the article's block, stacked; He et al.'s ResNets and plain nets for CIFAR."""

from typing import Literal

import keras
from keras import layers

from kcnn.models._blocks import check_counts, check_epsilon, check_fractions, conv, logits, norm, pixels, relu

# He et al. (2015), section 4.2: three stages, and in each of them n blocks of two layers.
CIFAR_WIDTHS = (16, 32, 64)


# --- The article's block ---


def residual_cnn(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    widths: tuple[int, ...] = (32, 64, 128),
    blocks: int = 2,
    dropout: float = 0.0,
    norm_epsilon: float = 1e-5,
    norm_momentum: float = 0.9,
    initialization: Literal["he_normal", "keras", "pytorch"] = "he_normal",
    name="residual_cnn",
):
    """The article's ResidualBlock, stacked in stages that each open with a convolution of their own.

    The article shows the block alone, which keeps size and channels. Here a 3x3 convolution (with stride 2
    from the second stage on) sets both at the opening of a stage, so that every block is the article's, with
    nothing on its shortcut.

    Args:
        input_shape: `(height, width, channels)`; height and width at least `2**(len(widths) - 1)`.
        num_classes: At least 2.
        mean, std: One number a channel for pixels from 0 to 1, or `None`.
        widths: Filters of each stage.
        blocks: Residual blocks of each stage.
        dropout: Rate at which features are dropped before the logits.
        norm_epsilon, norm_momentum: Of the batch normalisations, in Keras terms.
        initialization: `"he_normal"`, `"keras"` or `"pytorch"`, as in `simple_cnn`.
        name: Name of the model.

    Returns:
        A functional model from float32 pixels 0..255 to float32 logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: On an option out of its range, or an image too small for the stages.
    """
    if not isinstance(widths, tuple | list) or not widths:
        raise ValueError(
            "`widths` must be a list with the filters of each stage, for instance [32, 64, 128]. "
            f"Received: widths={widths!r}"
        )
    check_counts(blocks=blocks, **{f"widths[{index}]": width for index, width in enumerate(widths)})
    check_fractions(dropout=dropout, norm_momentum=norm_momentum)
    check_epsilon(norm_epsilon=norm_epsilon)

    def conv_norm(x, filters, place, index, strides=1):
        x = conv(x, filters, strides=strides, initialization=initialization, name=f"{place}_conv{index}")
        return norm(x, epsilon=norm_epsilon, momentum=norm_momentum, name=f"{place}_norm{index}")

    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=2 ** (len(widths) - 1))
    for stage, filters in enumerate(widths, start=1):
        # --- Opening: sets size and channels ---
        x = conv_norm(x, filters, f"stage{stage}", 1, strides=1 if stage == 1 else 2)
        x = relu(x, name=f"stage{stage}_relu1")

        # --- Residual blocks ---
        for block in range(1, blocks + 1):
            place = f"stage{stage}_block{block}"
            shortcut = x
            x = conv_norm(x, filters, place, 1)
            x = relu(x, name=f"{place}_relu1")
            x = conv_norm(x, filters, place, 2)
            x = layers.Add(name=f"{place}_add")([x, shortcut])
            x = relu(x, name="features" if (stage, block) == (len(widths), blocks) else f"{place}_relu2")

    # --- Classifier ---
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    outputs = logits(x, num_classes, initialization=initialization)
    return keras.Model(inputs, outputs, name=name)


# --- The CIFAR networks of He et al. ---


def resnet20(input_shape, num_classes, *, mean=None, std=None, name="resnet20"):
    """ResNet-20 of He et al. (2015), section 4.2: 0.27 M parameters."""
    return _cifar_net(input_shape, num_classes, 20, residual=True, mean=mean, std=std, name=name)


def resnet32(input_shape, num_classes, *, mean=None, std=None, name="resnet32"):
    """ResNet-32 of He et al. (2015), section 4.2: 0.46 M parameters."""
    return _cifar_net(input_shape, num_classes, 32, residual=True, mean=mean, std=std, name=name)


def resnet44(input_shape, num_classes, *, mean=None, std=None, name="resnet44"):
    """ResNet-44 of He et al. (2015), section 4.2: 0.66 M parameters."""
    return _cifar_net(input_shape, num_classes, 44, residual=True, mean=mean, std=std, name=name)


def resnet56(input_shape, num_classes, *, mean=None, std=None, name="resnet56"):
    """ResNet-56 of He et al. (2015), section 4.2: 0.85 M parameters."""
    return _cifar_net(input_shape, num_classes, 56, residual=True, mean=mean, std=std, name=name)


def resnet110(input_shape, num_classes, *, mean=None, std=None, name="resnet110"):
    """ResNet-110 of He et al. (2015), section 4.2: 1.7 M parameters."""
    return _cifar_net(input_shape, num_classes, 110, residual=True, mean=mean, std=std, name=name)


def plain20(input_shape, num_classes, *, mean=None, std=None, name="plain20"):
    """The 20-layer net of He et al. (2015), section 4.2, without shortcuts."""
    return _cifar_net(input_shape, num_classes, 20, residual=False, mean=mean, std=std, name=name)


def plain56(input_shape, num_classes, *, mean=None, std=None, name="plain56"):
    """The 56-layer net of He et al. (2015), section 4.2, without shortcuts: worse than plain20."""
    return _cifar_net(input_shape, num_classes, 56, residual=False, mean=mean, std=std, name=name)


def plain110(input_shape, num_classes, *, mean=None, std=None, name="plain110"):
    """The 110-layer net of He et al. (2015), section 4.2, without shortcuts, which hardly trains."""
    return _cifar_net(input_shape, num_classes, 110, residual=False, mean=mean, std=std, name=name)


def _cifar_net(input_shape, num_classes, layer_count, *, residual, mean, std, name):
    # One layer is the stem, one the logits; the rest are 3 stages of n blocks of 2 layers.
    blocks = (layer_count - 2) // (2 * len(CIFAR_WIDTHS))
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=4)

    # --- Stem ---
    x = conv(x, CIFAR_WIDTHS[0], name="stem_conv")
    x = norm(x, name="stem_norm")
    x = relu(x, name="stem_relu")

    # --- Stages ---
    for stage, filters in enumerate(CIFAR_WIDTHS, start=1):
        for block in range(1, blocks + 1):
            place = f"stage{stage}_block{block}"
            strides = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            x = conv(x, filters, strides=strides, name=f"{place}_conv1")
            x = norm(x, name=f"{place}_norm1")
            x = relu(x, name=f"{place}_relu1")
            x = conv(x, filters, name=f"{place}_conv2")
            x = norm(x, name=f"{place}_norm2")
            if residual:
                if strides > 1:
                    shortcut = subsample_and_pad(shortcut, filters, name=f"{place}_shortcut")
                x = layers.Add(name=f"{place}_add")([x, shortcut])
            last = (stage, block) == (len(CIFAR_WIDTHS), blocks)
            x = relu(x, name="features" if last else f"{place}_relu2")

    # --- Classifier ---
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    outputs = logits(x, num_classes, initialization="he_normal")
    return keras.Model(inputs, outputs, name=name)


def subsample_and_pad(x, filters, *, name):
    """Option A's shortcut without parameters: `x[:, ::2, ::2]`, with zeros for the channels it lacks."""
    # A pool over one pixel copies it. The average's gradient is cheaper than the maximum's, and NaN passes.
    x = layers.AveragePooling2D(1, strides=2, name=f"{name}_subsample")(x)
    # ZeroPadding2D pads the two axes in the middle, so channels go there and back. Every exporter knows
    # transposes and pads; and zeros made as `0 * x` would not be zeros where x is not finite.
    extra = filters - x.shape[-1]
    x = layers.Permute((1, 3, 2), name=f"{name}_channels_in")(x)
    x = layers.ZeroPadding2D(((0, 0), (0, extra)), name=f"{name}_pad")(x)
    return layers.Permute((1, 3, 2), name=f"{name}_channels_out")(x)
