"""What JAX compiles well."""

import jax
import jax.numpy as jnp

DIRECT = KEEP_FREED_MEMORY = False


def conv(x, kernel, bias, strides, padding, dtype):
    sides = [(size, size) for size in padding]
    x = jax.lax.conv_general_dilated(
        x.astype(dtype), kernel.astype(dtype), strides, sides, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return x if bias is None else x + bias.astype(dtype)


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
