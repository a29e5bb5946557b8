"""What JAX compiles well."""

import functools
import math

import jax
import jax.numpy as jnp

DIRECT = KEEP_FREED_MEMORY = False
# So many images at a time give a convolution's gradient on a CPU; more, where the parts would be too many to compile.
IMAGES, PARTS = 16, 64


def conv(x, kernel, bias, strides, padding, dtype):
    x = _conv(x.astype(dtype), kernel.astype(dtype), strides, padding)
    return x if bias is None else x + bias.astype(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x, kernel, strides, padding):
    sides = [(size, size) for size in padding]
    return jax.lax.conv_general_dilated(x, kernel, strides, sides, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _forward(x, kernel, strides, padding):
    return _conv.fun(x, kernel, strides, padding), (x, kernel)


def _backward(strides, padding, kept, gradient):
    """Return the gradients of the images and of the kernel.

    To XLA the kernel's gradient is a convolution whose channels are the images, and on a CPU an image takes the longer
    the more there are. So the gradients of a few images each are added up, spelled out, since in a loop XLA convolves
    without matrix products.
    """
    x, kernel = kept
    (of_x,) = jax.vjp(lambda x: _conv.fun(x, kernel, strides, padding), x)[1](gradient)
    images = max(IMAGES, math.ceil(len(x) / PARTS)) if jax.default_backend() == "cpu" else len(x)
    of_kernel = 0.0
    for start in range(0, len(x), images):
        part = slice(start, start + images)
        back = jax.vjp(functools.partial(_conv.fun, x[part], strides=strides, padding=padding), kernel)[1]
        of_kernel += back(gradient[part])[0].astype(jnp.float32)
    return of_x, of_kernel.astype(kernel.dtype)


_conv.defvjp(_forward, _backward)


def batch_norm(x, scale, offset, epsilon, shortcut, relu, dtype):
    wide = x.astype(dtype).astype(jnp.float32)
    # Both sums in one pass over x. What a variance loses so is 1e-7 times mean^2 / variance of itself.
    mean, square = wide.mean((0, 1, 2)), jnp.square(wide).mean((0, 1, 2))
    variance = jnp.maximum(square - jnp.square(mean), 0)
    factor = jax.lax.rsqrt(variance + epsilon)
    factor = factor if scale is None else scale * factor
    y = (wide * factor + ((0.0 if offset is None else offset) - mean * factor)).astype(dtype)
    if shortcut is not None:
        y = y + shortcut.astype(dtype)
    return jax.nn.relu(y) if relu else y, mean, variance


def move(variable, value, momentum):
    variable.assign(variable * momentum + value * (1.0 - momentum))


def max_pool(x, size, strides):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, *size, 1), (1, *strides, 1), "VALID")


def subsample(x, strides):
    return x[:, :: strides[0], :: strides[1]]


def gelu(x):
    return jax.nn.gelu(x.astype(jnp.float32), approximate=False).astype(x.dtype)


adam = sgd = None  # what Keras spells out is compiled to one loop


def feed(batches, start):
    return batches.iterate(start)
