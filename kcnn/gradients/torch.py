"""PyTorch: autograd by the one input."""

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
