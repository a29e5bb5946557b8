"""The derivative of a function of an array: one file a framework, each with the same two functions.

`differentiate(function, variables)` returns a function `(x, *others) -> (values, gradients)` of NumPy arrays.
`function(x, *others)` takes tensors whose first axis is the batch and returns one number for each element of it, a
tensor (B,), written with Keras alone. `variables` are the Keras variables that it reads. `values` (B,) is what it
returned, and `gradients`, of the shape of `x`, the derivative of their sum by `x`: where no element of the batch
depends on another, as in a network at inference, that is the derivative of each value by its own element.

`widest_float()` is a context in which the framework computes in the dtype that it yields: "float64", or "float32" on a
device that has no other.
"""

import importlib

import keras


def differentiate(function, variables):
    """Return `(x, *others) -> (values, gradients)` in the framework that Keras runs on; see the top of this file."""
    return _framework().differentiate(function, variables)


def widest_float():
    """Return a context that yields the name of the widest dtype of the device; see the top of this file."""
    return _framework().widest_float()


def _framework():
    return importlib.import_module(f"{__name__}.{keras.config.backend()}")
