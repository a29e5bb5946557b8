"""Colour arithmetic on integers, after Pillow's ImageEnhance and ImageOps."""

import numpy as np
from keras import ops

# Factors count 1 / 256: a blend with factor UNCHANGED returns its first argument, bit for bit.
UNCHANGED = 256
STEPS = np.linspace(-1, 1, 1025)


def factors(largest_change):
    """Return a table of blend factors from 1 - change to 1 + change in 1/256, int32 (1025,)."""
    return np.round(UNCHANGED * (1 + largest_change * STEPS)).astype("int32")


def blend(values, other, factor):
    """Return `values * factor + other * (1 - factor)`, rounded and clipped to 0..255, all int32.

    Args:
        factor: In 1/256; above 256 it moves `values` away from `other`.
    """
    return ops.clip(ops.right_shift(values * factor + other * (UNCHANGED - factor) + 128, 8), 0, 255)


def grey(pixels):
    """Return the luma of int32 `pixels` (B, H, W, C) as (B, H, W, 1), with Pillow's ITU-R 601 weights.

    Images that do not have three channels are taken as grey already: the mean of their channels.
    """
    channels = pixels.shape[-1]
    if channels == 3:
        red, green, blue = pixels[..., :1], pixels[..., 1:2], pixels[..., 2:]
        return ops.right_shift(19595 * red + 38470 * green + 7471 * blue + 0x8000, 16)
    return pixels if channels == 1 else ops.sum(pixels, axis=-1, keepdims=True) // channels


def mean_grey(pixels):
    """Return the rounded mean luma of each image, int32 (B, 1, 1, 1)."""
    height, width = pixels.shape[1:3]
    rows = ops.sum(grey(pixels), axis=(2, 3), keepdims=True)
    # The sum of a large image is more than an int32 holds, so that each row is divided first, and what is left of it.
    whole, left = (ops.sum(part, axis=1, keepdims=True) for part in (rows // width, rows % width))
    return (whole + (left + height * width // 2) // width) // height
