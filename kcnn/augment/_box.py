"""Rectangles inside images: where they lie and which pixels they hold."""

import numpy as np
from keras import ops

from kcnn import random


def integers_below(draw, limits):
    """Map bits to integers in [0, limits) for int32 `limits` of the same shape, each at most 32767.

    NumPy arrays stay NumPy arrays.
    """
    xp = np if isinstance(draw, np.ndarray) else ops
    high = xp.bitwise_and(xp.right_shift(draw, 16), 0xFFFF)
    return xp.right_shift(high * limits, 16)


def centred(draw_row, draw_column, heights, widths, height, width):
    """Return top, bottom, left, right (int32, (B,)) of boxes around any pixel, cut off at the border.

    Args:
        draw_row, draw_column: Random bits, (B,).
        heights, widths: Sizes of the boxes before they are cut off: integers or int32 (B,).
        height, width: The size of the image.
    """
    xp = np if isinstance(draw_row, np.ndarray) else ops
    top = random.integers(draw_row, height) - heights // 2
    left = random.integers(draw_column, width) - widths // 2
    bottom, right = xp.minimum(top + heights, height), xp.minimum(left + widths, width)
    return xp.maximum(top, 0), bottom, xp.maximum(left, 0), right


def inside(top, bottom, left, right, height, width):
    """Return whether each pixel lies in its image's box, bool (B, height, width, 1)."""
    row = ops.arange(height, dtype="int32")[None]
    column = ops.arange(width, dtype="int32")[None]
    in_rows = ops.logical_and(row >= top[:, None], row < bottom[:, None])
    in_columns = ops.logical_and(column >= left[:, None], column < right[:, None])
    return ops.logical_and(in_rows[:, :, None], in_columns[:, None, :])[..., None]
