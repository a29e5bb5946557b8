"""The derivative of a function of an array: one file a framework, each with the same one function.

`differentiate(function, variables)` returns a function `(x, *others) -> (values, gradients)` of NumPy arrays.
`function(x, *others)` takes tensors whose first axis is the batch and returns one number for each element of it, a
tensor (B,), written with Keras alone. `variables` are the Keras variables that it reads. `values` (B,) is what it
returned, and `gradients`, of the shape of `x`, the derivative of their sum by `x`: where no element of the batch
depends on another, as in a network at inference, that is the derivative of each value by its own element.
"""

import importlib

import keras


def differentiate(function, variables):
    """Return `(x, *others) -> (values, gradients)` in the framework that Keras runs on; see the top of this file."""
    return importlib.import_module(f"{__name__}.{keras.config.backend()}").differentiate(function, variables)
