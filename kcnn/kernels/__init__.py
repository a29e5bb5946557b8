"""What each framework has a kernel for, and Keras spells out or copies for: one file a framework, the same functions.

`DIRECT` says whether the Python of a layer runs at each step, and not only when a step is compiled.
`KEEP_FREED_MEMORY` says whether steps are faster where the C library keeps the memory that they free.
`conv(x, kernel, bias, strides, padding, dtype)` convolves `x` (B, H, W, C), with `padding` (rows, columns) of zeros at
each side, with `kernel` (h, w, C, F) and adds `bias` (F,) or None, all in `dtype`, a name such as "bfloat16".
`batch_norm(x, scale, offset, epsilon, shortcut, relu, dtype)` returns the normalised `x` (B, H, W, C), in `dtype`, plus
`shortcut` if it is not None, and then with what is negative cut off if `relu`; and the float32 mean and variance (C,)
of each channel of `x`, the variance that of the population. `scale` and `offset` (C,) are float32 or None.
`move(variable, value, momentum)` sets a Keras variable to `momentum * variable + (1 - momentum) * value`.
`max_pool(x, size, strides)` returns the largest of each window of `x` (B, H, W, C), which is not padded.
`subsample(x, strides)` returns every n-th row and column of `x` (B, H, W, C), the first included.
`gelu(x)` returns x times the share of a normal distribution below it, computed in float32.
`adam(variables, gradients, momentums, velocities, step, rate, beta_1, beta_2, epsilon, l2)` updates Keras variables in
place, as Algorithm 1 of Kingma & Ba (2015), with `l2 * variable` added to each gradient; `step` counts from 1. It is
None where the framework has no such kernel.
`sgd(variables, gradients, velocities, rate, momentum, nesterov, l2)` likewise: `velocity` becomes
`momentum * velocity - rate * gradient`, which is added to the variable, or with `nesterov`
`momentum * velocity - rate * gradient` of that new velocity.
`feed(batches, start)` returns what `fit` takes the training batches from number `start` on from.
"""

import importlib

import keras


def kernels():
    """Return the module of the framework that Keras runs on."""
    return importlib.import_module(f"{__name__}.{keras.config.backend()}")
