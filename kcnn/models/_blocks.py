"""What every model shares: input and logits, the layers between them, checks on a builder's arguments.

A block takes a tensor and returns one, and names every layer from its place, so that names never depend on
what was built before. All layers are stock Keras: a saved model loads where kcnn is not installed.
"""

import math
from numbers import Integral, Real

import keras
from keras import initializers, layers

# Epsilon and momentum of Caffe's and PyTorch's batch norm, with which the residual families were published.
# PyTorch counts momentum from the other side: its 0.1 is 0.9 here.
NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9


# --- Input and output ---


def pixels(input_shape, num_classes, *, mean, std, downsampling):
    """Check the arguments that all builders share; return the input and the normalised pixels.

    Args:
        input_shape: `(height, width, channels)` of the images.
        num_classes: How many classes the logits will have, at least 2.
        mean, std: One number a channel, for pixels from 0 to 1; `None` stands for zeros and ones.
        downsampling: Pixels of the image to a pixel of the last feature map, along one axis.
    """
    height, width, channels = image_shape(input_shape)
    if min(height, width) < downsampling:
        raise ValueError(
            f"The image is too small: this model halves it {downsampling.bit_length() - 1} times, so its "
            f"height and width must be at least {downsampling}. "
            f"Received: input_shape={tuple(input_shape)}, read as (height, width, channels). "
            "Use larger images, or a model that downsamples less."
        )
    if not _is_whole(num_classes) or num_classes < 2:
        raise ValueError(
            "`num_classes` must be a whole number of at least 2; two classes have two logits. "
            f"Received: num_classes={num_classes!r}"
        )
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "The models take images as (height, width, channels). Set `image_data_format` to 'channels_last' "
            f"in keras.json. Received: image_data_format={keras.config.image_data_format()!r}"
        )
    mean = _per_channel("mean", mean, channels, default=0.0)
    std = _per_channel("std", std, channels, default=1.0)
    if min(std) <= 0:
        raise ValueError(f"`std` must be greater than 0 in every channel. Received: std={std}")
    inputs = keras.Input((height, width, channels), dtype="float32", name="pixels")
    normalise = layers.Rescaling(
        scale=[1 / (255 * s) for s in std],
        offset=[-m / s for m, s in zip(mean, std, strict=True)],
        # float32 under mixed precision too: pixels are rounded once, for the first convolution, and not here.
        dtype="float32",
        name="normalise",
    )
    return inputs, normalise(inputs)


def logits(x, num_classes, *, initialization):
    """Return one number a class, in float32 whatever the precision of the rest, and without softmax."""
    return layers.Dense(
        num_classes,
        kernel_initializer=kernel_initializer(initialization),
        bias_initializer=bias_initializer(initialization, x.shape[-1]),
        dtype="float32",
        name="logits",
    )(x)


# --- Layers ---


def conv(x, filters, kernel_size=3, *, strides=1, use_bias=False, initialization="he_normal", name):
    """Convolve so that only `strides` changes the size: an odd size n becomes (n + 1) / 2 at stride 2."""
    padding = "same"
    if strides > 1:
        # Padding by hand: "same" is not the same on every framework once strides exceed 1.
        padding = "valid"
        if kernel_size > 1:
            x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer(initialization),
        bias_initializer=bias_initializer(initialization, kernel_size**2 * x.shape[-1]),
        name=name,
    )(x)


def norm(x, *, epsilon=NORM_EPSILON, momentum=NORM_MOMENTUM, name):
    return layers.BatchNormalization(epsilon=epsilon, momentum=momentum, name=name)(x)


def relu(x, *, name):
    return layers.Activation("relu", name=name)(x)


# --- Initial weights ---


def kernel_initializer(initialization):
    """Return the initialiser of a kernel under the scheme named `initialization`."""
    if initialization == "he_normal":
        return initializers.HeNormal()
    if initialization == "keras":
        return initializers.GlorotUniform()
    if initialization == "pytorch":
        # Its layers draw U(-b, b) with b = 1 / sqrt(fan_in), whose variance is 1 / (3 fan_in).
        return initializers.VarianceScaling(scale=1 / 3, mode="fan_in", distribution="uniform")
    raise ValueError(
        f"`initialization` must be 'he_normal', 'keras' or 'pytorch'. Received: initialization={initialization!r}"
    )


def bias_initializer(initialization, fan_in):
    """Return the initialiser of a bias beside a kernel of `fan_in` inputs an output."""
    if initialization == "pytorch":
        bound = 1 / math.sqrt(fan_in)
        return initializers.RandomUniform(-bound, bound)
    return initializers.Zeros()


# --- Checks on options ---


def check_counts(**options):
    """Raise `ValueError` unless every option is a whole number of at least 1."""
    for name, value in options.items():
        if not _is_whole(value) or value < 1:
            raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}")


def check_fractions(**options):
    """Raise `ValueError` unless every option is a number from 0 to below 1."""
    for name, value in options.items():
        if not _is_number(value) or not 0 <= value < 1:
            raise ValueError(f"`{name}` must be at least 0 and less than 1. Received: {name}={value!r}")


def check_epsilon(**options):
    """Raise `ValueError` unless every option is a number greater than 0."""
    for name, value in options.items():
        if not _is_number(value) or not value > 0:
            raise ValueError(f"`{name}` must be greater than 0. Received: {name}={value!r}")


def image_shape(input_shape):
    shape = tuple(input_shape) if isinstance(input_shape, tuple | list) else ()
    if len(shape) != 3 or not all(_is_whole(size) and size >= 1 for size in shape):
        raise ValueError(
            "`input_shape` must be three whole numbers, (height, width, channels), without the batch; "
            f"for instance (32, 32, 3). Received: input_shape={input_shape!r}"
        )
    return tuple(int(size) for size in shape)


def _per_channel(name, values, channels, *, default):
    if values is None:
        return [default] * channels
    values = list(values) if hasattr(values, "__iter__") else [values]
    if len(values) != channels or not all(_is_number(value) for value in values):
        raise ValueError(
            f"`{name}` must have one finite number for each of the {channels} channels of `input_shape`, "
            f"for pixels from 0 to 1. Received: {name}={values}"
        )
    return [float(value) for value in values]


def _is_whole(value):
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
