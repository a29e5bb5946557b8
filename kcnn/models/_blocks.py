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

SMALL_IMAGE = 128  # pixels; below this the stem "auto" is the small one


# --- Input and output ---


def pixels(input_shape, num_classes, *, mean, std, downsampling, smallest=None, large_stem=False):
    """Check the arguments that all builders share; return the input and the normalised pixels.

    Args:
        input_shape: `(height, width, channels)` of the images.
        num_classes: How many classes the logits will have, at least 2.
        mean, std: One number a channel, for pixels from 0 to 1; `None` stands for zeros and ones.
        downsampling: Pixels of the image to a pixel of the last feature map, along one axis.
        smallest: Height and width that an image must have at least, where that is not `downsampling`.
        large_stem: Whether the model has a stem for smaller images, and it is not the one that is taken.
    """
    height, width, channels = image_shape(input_shape)
    smallest = smallest or downsampling
    if min(height, width) < smallest:
        stem = "stem='small', " if large_stem else ""
        raise ValueError(
            f"The image is too small: this model halves it {downsampling.bit_length() - 1} times, so its "
            f"height and width must be at least {smallest}. "
            f"Received: input_shape={tuple(input_shape)}, read as (height, width, channels). "
            f"Use larger images, {stem}or a model that downsamples less."
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


def logits(x, num_classes, *, initialization, use_bias=True, name="logits"):
    """Return one number a class, in float32 whatever the precision of the rest, and without softmax."""
    return layers.Dense(
        num_classes,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer(initialization),
        bias_initializer=bias_initializer(initialization, x.shape[-1]),
        dtype="float32",
        name=name,
    )(x)


def small_stem(stem, input_shape):
    """Return whether the option `stem`, "auto", "small" or "large", means the stem for small images."""
    if stem not in ("auto", "small", "large"):
        raise ValueError(f"`stem` must be 'auto', 'small' or 'large'. Received: stem={stem!r}")
    height, width, _ = image_shape(input_shape)
    return stem == "small" or (stem == "auto" and min(height, width) < SMALL_IMAGE)


# --- Layers ---


def conv(x, filters, kernel_size=3, *, strides=1, pad=None, groups=1, use_bias=False, initialization="he_normal", name):
    """Convolve so that only `strides` changes the size: an odd size n becomes (n + 1) / 2 at stride 2.

    `pad` is how many zeros are added on each side where `strides` exceed 1: by default half of the kernel.
    """
    padding = "same"
    if strides > 1:
        # Padding by hand: "same" is not the same on every framework once strides exceed 1.
        padding = "valid"
        pad = kernel_size // 2 if pad is None else pad
        if pad:
            x = layers.ZeroPadding2D(pad, name=f"{name}_pad")(x)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer(initialization),
        bias_initializer=bias_initializer(initialization, kernel_size**2 * x.shape[-1] // groups),
        name=name,
    )(x)


def norm(x, *, epsilon=NORM_EPSILON, momentum=NORM_MOMENTUM, scale=True, name):
    return layers.BatchNormalization(epsilon=epsilon, momentum=momentum, scale=scale, name=name)(x)


def relu(x, *, name):
    return layers.Activation("relu", name=name)(x)


def dense_relu_dropout(x, units, *, dropout, index, name="head"):
    """A hidden dense layer of AlexNet and its kin; `dropout` None leaves it out."""
    x = layers.Dense(units, kernel_initializer=kernel_initializer("narrow"), name=f"{name}_dense{index}")(x)
    x = relu(x, name=f"{name}_relu{index}")
    return x if dropout is None else layers.Dropout(dropout, name=f"{name}_dropout{index}")(x)


def local_response_norm(x, *, name):
    """Divide by (2 + 0.0001 s)^0.75, s being the sum of the squares of 5 neighbouring channels.

    Krizhevsky et al. (2012), section 3.3. Keras has no such layer, so it is composed, the sums in float32.
    """
    squares = layers.Multiply(dtype="float32", name=f"{name}_square")([x, x])
    # A pooling in three dimensions sees the channels as one of them. It divides the sum by 5.
    squares = layers.Reshape((*x.shape[1:], 1), dtype="float32", name=f"{name}_volume")(squares)
    squares = layers.ZeroPadding3D(((0, 0), (0, 0), (2, 2)), dtype="float32", name=f"{name}_pad")(squares)
    means = layers.AveragePooling3D((1, 1, 5), strides=1, dtype="float32", name=f"{name}_mean")(squares)
    means = layers.Reshape(x.shape[1:], dtype="float32", name=f"{name}_map")(means)
    base = layers.Rescaling(5 * 1e-4, offset=2.0, dtype="float32", name=f"{name}_base")(means)
    # Keras has a power, which every backend loads, but no layer around it that could be given a name.
    factor = keras.ops.power(base, -0.75)
    factor._keras_history.operation.name = f"{name}_power"
    return layers.Multiply(name=f"{name}_scale")([x, factor])


# --- Initial weights ---


def kernel_initializer(initialization):
    """Return the initialiser of a kernel under the scheme named `initialization`."""
    if initialization == "he_normal":
        return initializers.HeNormal()
    if initialization == "narrow":  # of AlexNet's and VGG's papers, for the dense layers behind maxima
        return initializers.RandomNormal(stddev=0.01)
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
