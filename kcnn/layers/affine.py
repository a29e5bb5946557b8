"""Batch normalisation at inference: a scale and an offset."""

import numpy as np
from keras import ops


def scale_and_offset(norm):
    """Return the two float64 vectors that a stock `BatchNormalization` multiplies by, and then adds."""
    mean, variance, gamma, beta = (
        None if each is None else ops.convert_to_numpy(each).astype("float64")
        for each in (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
    )
    scale = 1 / np.sqrt(variance + norm.epsilon)
    scale = scale if gamma is None else scale * gamma
    return scale, (0 if beta is None else beta) - mean * scale
