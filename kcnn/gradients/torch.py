"""PyTorch: autograd by the one input."""

import contextlib

import keras
import numpy as np
import torch


def differentiate(function, variables):
    def differentiated(x, *others):
        x, *others = map(keras.ops.convert_to_tensor, (x, *others))
        x.requires_grad_(True)
        with torch.enable_grad():
            found = function(x, *others)
            (gradients,) = torch.autograd.grad(found.sum(), x, materialize_grads=True)
        return tuple(np.array(keras.ops.convert_to_numpy(each)) for each in (found, gradients))

    return differentiated


def widest_float():
    device = keras.ops.convert_to_tensor(0.0).device.type
    return contextlib.nullcontext("float32" if device == "mps" else "float64")
