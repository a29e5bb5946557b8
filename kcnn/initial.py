"""Initial weights: each is drawn in NumPy from its layer's own initializer, so that every backend starts alike."""

import contextlib

import keras
import numpy as np
from keras import initializers
from keras.src.backend.common import global_state
from scipy.special import ndtri

from kcnn import random

# Standard deviation of a normal distribution cut at two of its standard deviations; Keras divides by it.
TRUNCATED_STD = 0.87962566103423978

RANDOM = (
    initializers.VarianceScaling,
    initializers.RandomUniform,
    initializers.TruncatedNormal,
    initializers.RandomNormal,
)


@contextlib.contextmanager
def undrawn():
    """While the block lasts, let layers be built with zeros for the weights that `initialize` will draw.

    Keras's own draws would be thrown away, and cost seconds on JAX, which compiles one for each shape of a kernel.
    """
    with contextlib.ExitStack() as stack:
        for family in RANDOM:
            stack.callback(setattr, family, "__call__", family.__call__)
            family.__call__ = _zeros
        yield


@contextlib.contextmanager
def shapes_only():
    """While the block lasts, let models be built without memory for their weights: to be looked at, not to be run."""
    registered = global_state.get_global_attribute("uninitialized_variables", [])
    global_state.set_global_attribute("uninitialized_variables", [])
    try:
        with undrawn(), keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # Keras holds what the scope left without values in a list, and would give them some when the next scope ends.
        global_state.set_global_attribute("uninitialized_variables", registered)


def _zeros(initializer, shape, dtype=None, **options):
    return keras.ops.zeros(shape, dtype=dtype)


def initialize(model, seed, images=None):
    """Set every weight of `model` that has an initializer to what `seed` and the weight's place give.

    The distribution is that of the Keras initializer which the layer declares; only the source of the
    randomness differs. Batch-norm statistics and other constants get their constant. Where a builder gave a layer a
    `kernel_start` (or that of another weight), it makes of what was drawn what the weight starts from.

    Args:
        model: A model whose layers are named from their place.
        seed: Any integer.
        images: Function that returns training images, uint8 (N, H, W, C), for starts that are learned from them.

    Raises:
        TypeError: A layer declares an initializer that this function does not know, or none for one of its weights.
    """
    for layer in model.layers:
        initializers_of = dict(_initializers(layer))
        for weight in layer.weights:
            name = next((name for name in initializers_of if getattr(layer, name, None) is weight), None)
            if name is None:
                raise TypeError(
                    f"The layer {layer.name!r}, a {type(layer).__name__}, declares no initializer for its weight "
                    f"{weight.name!r}, so it cannot be drawn alike on every backend."
                )
            key = random.key(seed, "initial", f"{layer.name}/{name}")
            value = draw(initializers_of[name], tuple(weight.shape), key)
            start = getattr(layer, f"{name}_start", None)
            weight.assign(start(value, images) if start else value)


def _initializers(layer):
    """Yield the attribute of each weight of a layer, and its initializer."""
    for attribute, initializer in vars(layer).items():
        if attribute.endswith("_initializer"):
            name = attribute.removesuffix("_initializer")
            yield ("kernel" if name == "depthwise" else name), initializer
    if type(layer).__name__ == "LayerScale":  # of keras.applications, which keeps the number alone
        yield "gamma", initializers.Constant(layer.init_values)


def draw(initializer, shape, key):
    """Return a float32 array of `shape` with the distribution of a Keras `initializer`.

    Args:
        initializer: A stock initializer: variance scaling and its kin, uniform, normal, truncated normal, constant.
        shape: Tuple of integers; kernels have (..., inputs, outputs).
        key: What `kcnn.random.key` returned.
    """
    if isinstance(initializer, initializers.VarianceScaling):
        return _variance_scaling(initializer, shape, key)
    if isinstance(initializer, initializers.RandomUniform):
        low, high = initializer.minval, initializer.maxval
        return (low + (high - low) * _uniform(shape, key)).astype("float32")
    if isinstance(initializer, initializers.TruncatedNormal):
        return (initializer.mean + initializer.stddev * _truncated(shape, key)).astype("float32")
    if isinstance(initializer, initializers.RandomNormal):
        return (initializer.mean + initializer.stddev * ndtri(_uniform(shape, key))).astype("float32")
    if isinstance(initializer, initializers.Zeros | initializers.Ones | initializers.Constant):
        return np.broadcast_to(np.asarray(keras.ops.convert_to_numpy(initializer(shape)), "float32"), shape)
    raise TypeError(
        "Expected a stock Keras initializer of the families variance scaling, uniform, normal, truncated normal or "
        f"constant, since others cannot be drawn alike on every backend. Received: {type(initializer).__name__}"
    )


def _variance_scaling(initializer, shape, key):
    receptive = int(np.prod(shape[:-2]))
    fan_in, fan_out = (shape[-2] * receptive, shape[-1] * receptive) if len(shape) > 1 else (shape[0], shape[0])
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[initializer.mode]
    variance = initializer.scale / max(1.0, fan)
    if initializer.distribution == "uniform":
        limit = np.sqrt(3.0 * variance)
        return (limit * (2.0 * _uniform(shape, key) - 1.0)).astype("float32")
    if initializer.distribution == "truncated_normal":
        return (np.sqrt(variance) / TRUNCATED_STD * _truncated(shape, key)).astype("float32")
    return (np.sqrt(variance) * ndtri(_uniform(shape, key))).astype("float32")


def _uniform(shape, key):
    """Return float64 in the open interval (0, 1), multiples of 2**-33."""
    counter = np.arange(int(np.prod(shape)), dtype="int32")
    unsigned = random.bits(key, counter).view("uint32").astype("float64")
    return ((unsigned + 0.5) / 2**32).reshape(shape)


def _truncated(shape, key):
    # The inverse of the normal distribution function over the part between -2 and 2.
    lower = 0.022750131948179195  # the normal distribution function at -2
    return ndtri(lower + (1.0 - 2.0 * lower) * _uniform(shape, key))
