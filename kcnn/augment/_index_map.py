"""Augmentations that only move whole pixels: a source row for each row, a source column for each column."""

from keras import ops

from kcnn.augment._base import Augmentation
from kcnn.augment._fill import fold_inside

# The source of a pixel that lies outside the image and stays black.
OUTSIDE = -1


class IndexMap(Augmentation):
    """A map from the rows and columns of the result to those of the input, one an image.

    Neighbouring index maps compose to one (`kcnn.augment.fuse`), so that any number costs one gather.
    """

    # Whether `source` ever returns OUTSIDE.
    leaves_black = False

    def source(self, position, rows, columns, height, width):
        """Return where the given `rows` (B, H) and `columns` (B, W) of the result come from.

        Entries that are OUTSIDE on the way in may be mapped to anything: the caller restores them.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement `source`.")

    def augment(self, images, position):
        return gather(images, position, [self])


def shift(coordinates, offset, size, fill):
    """Return `coordinates + offset`, what then lies outside of [0, size) treated as `fill` says."""
    moved = coordinates + offset[:, None]
    if fill != "zero":
        return fold_inside(moved, size, fill)
    return ops.where(ops.logical_and(moved >= 0, moved < size), moved, OUTSIDE)


def gather(images, position, maps):
    """Apply index maps, in order, to uint8 `images` (B, H, W, C) with a single gather."""
    _, height, width, channels = images.shape
    batch = ops.shape(images)[0]
    rows = ops.tile(ops.arange(height, dtype="int32")[None], (batch, 1))
    columns = ops.tile(ops.arange(width, dtype="int32")[None], (batch, 1))
    # From the result back to the input, so the last map comes first.
    for layer in reversed(maps):
        new_rows, new_columns = layer.source(position, rows, columns, height, width)
        rows = ops.where(rows < 0, OUTSIDE, new_rows)
        columns = ops.where(columns < 0, OUTSIDE, new_columns)

    image = ops.arange(batch, dtype="int32")[:, None]
    lines = image * height + ops.maximum(rows, 0)
    index = lines[:, :, None] * width + ops.maximum(columns, 0)[:, None, :]
    moved = ops.take(ops.reshape(images, (-1, channels)), index, axis=0)
    moved = ops.reshape(moved, (-1, height, width, channels))
    if not any(layer.leaves_black for layer in maps):
        return moved
    inside = ops.logical_and(rows[:, :, None] >= 0, columns[:, None, :] >= 0)
    return moved * ops.cast(inside, "uint8")[..., None]
