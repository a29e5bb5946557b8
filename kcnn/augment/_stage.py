"""One stage of an automatic augmentation policy: each image has its own operation, all run in the same graph.

An operation is a row of settings: an affine matrix, what its look-up table is made of, and two blend factors.
Settings at their neutral values change nothing, bit for bit, so one pass serves every operation.
"""

import functools

import numpy as np
from keras import ops

from kcnn import random
from kcnn.augment._colour import UNCHANGED, blend, grey, mean_grey
from kcnn.augment._resample import ONE, PIXEL, resample

NEUTRAL = {
    "xx": ONE, "xy": 0, "x": 0, "yx": 0, "yy": ONE, "y": 0,
    "gain": UNCHANGED,  # brightness and contrast: blend with black or with the mean grey
    "contrast": 0,  # 1: blend with the mean grey
    "mask": 255,  # posterize: the bits that stay
    "threshold": 256,  # solarize: invert from this level on
    "autocontrast": 0,
    "equalize": 0,
    "saturation": UNCHANGED,
    "sharpness": UNCHANGED,
}  # fmt: skip
COLUMN = {name: place for place, name in enumerate(NEUTRAL)}


def _factor(magnitude):
    return round(UNCHANGED * (1 + magnitude))


# Operation -> (magnitude, image height, image width) -> the settings that are not neutral.
# Shears hold the top left corner, as AutoAugment and torchvision define them; translations are in pixels.
OPERATIONS = {
    "identity": lambda m, h, w: {},
    "shear_x": lambda m, h, w: {"xy": round(m * ONE), "x": round(m * h / 2 * PIXEL)},
    "shear_y": lambda m, h, w: {"yx": round(m * ONE), "y": round(m * w / 2 * PIXEL)},
    "translate_x": lambda m, h, w: {"x": -int(m) * PIXEL},
    "translate_y": lambda m, h, w: {"y": -int(m) * PIXEL},
    "rotate": lambda m, h, w: {
        "xx": round(np.cos(np.radians(m)) * ONE), "xy": round(-np.sin(np.radians(m)) * ONE),
        "yx": round(np.sin(np.radians(m)) * ONE), "yy": round(np.cos(np.radians(m)) * ONE),
    },
    "brightness": lambda m, h, w: {"gain": _factor(m)},
    "contrast": lambda m, h, w: {"gain": _factor(m), "contrast": 1},
    "saturation": lambda m, h, w: {"saturation": _factor(m)},
    "sharpness": lambda m, h, w: {"sharpness": _factor(m)},
    "posterize": lambda m, h, w: {"mask": 256 - (1 << 8 - round(m))},
    "solarize": lambda m, h, w: {"threshold": int(np.ceil(m))},
    "autocontrast": lambda m, h, w: {"autocontrast": 1},
    "equalize": lambda m, h, w: {"equalize": 1},
    "invert": lambda m, h, w: {"threshold": 0},
}  # fmt: skip


@functools.lru_cache(maxsize=32)
def settings_table(rows, height, width):
    """Return the settings of each `(operation, magnitude)` in the tuple `rows`, int32 (len(rows), settings)."""
    settings = [NEUTRAL | OPERATIONS[name](magnitude, height, width) for name, magnitude in rows]
    return np.array([list(row.values()) for row in settings], dtype="int32")


def draw_settings(layer, purpose, position, space, height, width):
    """Return an int32 (B, settings) tensor: an even draw of the operation, the magnitude and the sign.

    Args:
        layer: The augmentation whose draws these are.
        purpose: Names the draw.
        space: Operation -> (magnitudes, whether they are signed); the same number of magnitudes everywhere.
    """
    count = len(next(iter(space.values()))[0])
    rows = tuple(
        (name, sign * magnitude)
        for name, (magnitudes, signed) in space.items()
        for magnitude in magnitudes
        for sign in (1, -1 if signed else 1)
    )
    operation = random.integers(layer.draw(f"{purpose}/operation", position), len(space))
    magnitude = random.integers(layer.draw(f"{purpose}/magnitude", position), count)
    sign = random.integers(layer.draw(f"{purpose}/sign", position), 2)
    row = (operation * count + magnitude) * 2 + sign
    return ops.take(settings_table(rows, height, width), row, axis=0)


def apply_stage(images, settings, fill):
    """Return uint8 `images` (B, H, W, C), each changed as its row of int32 `settings` (B, settings) says."""
    images = resample(images, settings[:, :6], fill)
    pixels = ops.cast(images, "int32")
    pixels = _look_up(lookup_tables(pixels, settings), pixels)

    def factor(name):
        return settings[:, COLUMN[name], None, None, None]

    if pixels.shape[-1] == 3:
        pixels = blend(pixels, grey(pixels), factor("saturation"))
    pixels = blend(pixels, smooth(pixels), factor("sharpness"))
    return ops.cast(pixels, "uint8")


def lookup_tables(pixels, settings):
    """Return what each grey level of each channel turns into, int32 (B, C, 256).

    Args:
        pixels: int32 (B, H, W, C).
        settings: int32 (B, settings).
    """

    def setting(name):
        return settings[:, COLUMN[name], None, None]

    levels = ops.arange(256, dtype="int32")[None, None, :]
    low = ops.min(pixels, axis=(1, 2))[:, :, None]
    high = ops.max(pixels, axis=(1, 2))[:, :, None]
    spread = high - low
    stretched = ops.clip((levels - low) * 255 // ops.maximum(spread, 1), 0, 255)
    table = ops.where(ops.logical_and(setting("autocontrast") > 0, spread > 0), stretched, levels)
    table = ops.where(setting("equalize") > 0, equalizing(histogram(pixels), high), table)
    table = blend(table, mean_grey(pixels)[:, 0] * setting("contrast"), setting("gain"))
    table = ops.bitwise_and(table, setting("mask"))
    return ops.where(table >= setting("threshold"), 255 - table, table)


def histogram(pixels):
    """Return how many pixels of each channel have each grey level, int32 (B, C, 256).

    A scatter of integer ones: the order in which they arrive cannot matter.
    """
    channels = pixels.shape[-1]
    index = ops.reshape(_table_index(pixels), (-1,))
    segments = ops.shape(pixels)[0] * channels * 256
    counts = ops.segment_sum(ops.ones_like(index), index, num_segments=segments)
    return ops.reshape(counts, (-1, channels, 256))


def equalizing(counts, highest):
    """Return the look-up table of Pillow's `ImageOps.equalize`, int32 (B, C, 256).

    Args:
        counts: The histogram, int32 (B, C, 256).
        highest: The largest grey level of each channel, int32 (B, C, 1).
    """
    levels = ops.arange(256, dtype="int32")
    total = ops.sum(counts, axis=-1, keepdims=True)
    at_highest = ops.sum(ops.where(levels == highest, counts, 0), axis=-1, keepdims=True)
    step = (total - at_highest) // 255
    before = ops.cumsum(counts, axis=-1) - counts
    table = ops.minimum((before + step // 2) // ops.maximum(step, 1), 255)
    return ops.where(step > 0, table, levels)


def smooth(pixels):
    """Return int32 `pixels` after Pillow's `ImageFilter.SMOOTH`; the outermost pixels stay what they are."""
    _, height, width, _ = pixels.shape
    if height < 3 or width < 3:
        return pixels
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * pixels[:, 1:-1, 1:-1]
    inner = (total + 6) // 13
    padded = ops.pad(inner, ((0, 0), (1, 1), (1, 1), (0, 0)))
    row = ops.arange(height, dtype="int32")[:, None]
    column = ops.arange(width, dtype="int32")[None, :]
    in_rows = ops.logical_and(row > 0, row < height - 1)
    in_columns = ops.logical_and(column > 0, column < width - 1)
    return ops.where(ops.logical_and(in_rows, in_columns)[None, :, :, None], padded, pixels)


def _look_up(tables, pixels):
    _, height, width, channels = pixels.shape
    found = ops.take(ops.reshape(tables, (-1,)), _table_index(pixels), axis=0)
    return ops.reshape(found, (-1, height, width, channels))


def _table_index(pixels):
    # Where each pixel's grey level is in the flattened (B, C, 256).
    channels = pixels.shape[-1]
    image = ops.arange(ops.shape(pixels)[0], dtype="int32")[:, None, None, None]
    return (image * channels + ops.arange(channels, dtype="int32")) * 256 + pixels
