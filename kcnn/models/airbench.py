"""The networks of Keller Jordan's airbench, made to be trained on CIFAR-10 in as little time as can be."""

import keras
from keras import layers

from kcnn.models._blocks import NORM_MOMENTUM, check_counts, kernel_initializer, logits, norm, pixels
from kcnn.models._starts import identity, whitening

WHITENED = 24  # filters: the 12 directions of patches of 2x2 pixels and 3 channels, and their negatives
WHITENING_EPSILON = 5e-4
SHORT_MOMENTUM = 0.6  # of the batch norms' statistics, for a training that has but hundreds of steps
LOGIT_SCALE = 1 / 9


def airbench94(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    widths: tuple[int, ...] = (64, 256, 256),
    name="airbench94",
):
    """The network of airbench94 (Jordan 2024, section 3): 1.97 M parameters, all but the logits' in convolutions.

    A frozen convolution of 2x2 whitens the pixels, then blocks of two convolutions each halve the map. Kernels start as
    the identity where they can, so that a block first passes on what it gets. Batch norms have no scale, and what goes
    into the logits is divided by 9.

    Args:
        input_shape: `(height, width, channels)`; height and width above `2**len(widths)`.
        num_classes: At least 2.
        mean, std: One number a channel for pixels from 0 to 1, or `None`.
        widths: Filters of each block.
        name: Name of the model.

    Returns:
        A functional model from float32 pixels 0..255 to float32 logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: On an option out of its range, or an image too small for the blocks.
    """
    return _airbench(
        input_shape, num_classes, mean=mean, std=std, widths=widths, residual=False, momentum=SHORT_MOMENTUM, name=name
    )


def airbench96(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    widths: tuple[int, ...] = (128, 512, 512),
    name="airbench96",
):
    """airbench94 twice as wide, with a third convolution and a shortcut in each block: 12.7 M parameters.

    The shortcut goes around the last two. For longer trainings. Source: the author's airbench96.py of June 2024.
    Arguments and errors are airbench94's.
    """
    return _airbench(
        input_shape, num_classes, mean=mean, std=std, widths=widths, residual=True, momentum=NORM_MOMENTUM, name=name
    )


def _airbench(input_shape, num_classes, *, mean, std, widths, residual, momentum, name):
    if not isinstance(widths, tuple | list) or not widths:
        raise ValueError(
            f"`widths` must be a list with the filters of each block, for instance [64, 256, 256]. Received: {widths!r}"
        )
    check_counts(**{f"widths[{index}]": width for index, width in enumerate(widths)})
    halved = 2 ** len(widths)
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=halved, smallest=halved + 1)

    # --- Stem: frozen but for its bias ---
    whitened = layers.Conv2D(WHITENED, 2, kernel_initializer=kernel_initializer("pytorch"), name="stem_conv")
    whitened.kernel_start = whitening(mean, std, WHITENING_EPSILON)
    x = whitened(x)
    whitened.kernel.trainable = False
    x = _gelu(x, name="stem_gelu")

    # --- Blocks ---
    for block, filters in enumerate(widths, start=1):
        place = f"block{block}"
        x = _conv(x, filters, name=f"{place}_conv1")
        x = layers.MaxPooling2D(2, name=f"{place}_pool")(x)
        x = norm(x, momentum=momentum, scale=False, name=f"{place}_norm1")
        x = shortcut = _gelu(x, name=f"{place}_gelu1")
        x = _conv(x, filters, name=f"{place}_conv2")
        x = norm(x, momentum=momentum, scale=False, name=f"{place}_norm2")
        if residual:
            x = _gelu(x, name=f"{place}_gelu2")
            x = _conv(x, filters, name=f"{place}_conv3")
            x = norm(x, momentum=momentum, scale=False, name=f"{place}_norm3")
            x = layers.Add(name=f"{place}_add")([x, shortcut])
        x = _gelu(x, name="features" if block == len(widths) else f"{place}_gelu{3 if residual else 2}")

    # --- Classifier ---
    x = layers.GlobalMaxPooling2D(name="head_pool")(x)  # the authors' pool of 3x3, for a last map of 3x3
    x = layers.Rescaling(LOGIT_SCALE, name="head_scale")(x)
    outputs = logits(x, num_classes, initialization="pytorch", use_bias=False)
    return keras.Model(inputs, outputs, name=name)


def _conv(x, filters, *, name):
    layer = layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer=kernel_initializer("pytorch"), name=name
    )
    layer.kernel_start = identity
    return layer(x)


def _gelu(x, *, name):
    return layers.Activation("gelu", name=name)(x)
