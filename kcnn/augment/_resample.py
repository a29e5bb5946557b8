"""Affine resampling with bilinear weights in fixed-point int32, exact and alike on every backend."""

from keras import ops

from kcnn.augment._fill import fold_inside

# Matrix entries have 14 fractional bits: with entries below 4 and images up to 2048 pixels the
# sums stay below 2**30. Offsets count 2**-15 pixels, weights 2**-8.
ONE = 1 << 14
PIXEL = 1 << 15
WEIGHT_ONE = 256


def resample(images, matrix, fill):
    """Return `images` with each pixel taken from where its affine `matrix` points, bilinearly.

    Args:
        images: uint8 (B, H, W, C), H and W at most 2048.
        matrix: int32 (B, 6): xx, xy, x, yx, yy, y. With coordinates that count from the image's centre, the
            result at (u, v) is the input at column (xx * u + xy * v) / ONE + x / PIXEL and
            row (yx * u + yy * v) / ONE + y / PIXEL.
        fill: "zero", "reflect" or "edge".
    """
    _, height, width, channels = images.shape
    batch = ops.shape(images)[0]
    # Twice the distance from the centre is an integer for even and odd sizes alike.
    u = ops.arange(1 - width, width, 2, dtype="int32")[None, None, :]
    v = ops.arange(1 - height, height, 2, dtype="int32")[None, :, None]
    # Not `matrix[:, i, None, None]`: where the matrix is a stack, TensorFlow's graph optimiser loses the new axes.
    xx, xy, x, yx, yy, y = (ops.reshape(matrix[:, i], (-1, 1, 1)) for i in range(6))
    columns = xx * u + (xy * v + (x + (width - 1) * ONE))
    rows = yx * u + (yy * v + (y + (height - 1) * ONE))

    border = 1 if fill == "zero" else 0
    left, weight_x = _split(_inside(columns, width, fill))
    top, weight_y = _split(_inside(rows, height, fill))
    packed = _pack_neighbours(images, border)
    stride = width + 2 * border
    image = ops.arange(batch, dtype="int32")[:, None, None] * ((height + 2 * border) * stride)
    index = image + (top + border) * stride + (left + border)
    four = ops.take(ops.reshape(packed, (-1, channels)), index, axis=0)
    four = ops.reshape(four, (-1, height, width, channels))

    # Two 16-bit halves at once: the upper pair of pixels below, the lower pair above.
    weight_x, weight_y = weight_x[..., None], weight_y[..., None]
    left_pair = ops.bitwise_and(four, 0x00FF00FF)
    right_pair = ops.bitwise_and(ops.right_shift(four, 8), 0x00FF00FF)
    pair = left_pair * (WEIGHT_ONE - weight_x) + right_pair * weight_x
    upper = ops.bitwise_and(pair, 0xFFFF)
    lower = ops.bitwise_and(ops.right_shift(pair, 16), 0xFFFF)
    blended = upper * (WEIGHT_ONE - weight_y) + lower * weight_y
    return ops.cast(ops.right_shift(blended + 0x8000, 16), "uint8")


def _inside(coordinates, size, fill):
    rounded = ops.right_shift(coordinates + 64, 7)  # 2**-15 to 2**-8 pixels
    if fill == "zero":  # one black pixel on each side
        return ops.clip(rounded, -WEIGHT_ONE, size * WEIGHT_ONE)
    return fold_inside(rounded, size, fill, unit=WEIGHT_ONE)


def _split(coordinates):
    return ops.right_shift(coordinates, 8), ops.bitwise_and(coordinates, 0xFF)


def _pack_neighbours(images, border):
    # A pixel, its right, lower and lower right neighbour in one int32, so that one gather brings all four.
    # What the extra row and column hold does not matter: the last pixel's neighbours have weight 0.
    padded = ops.pad(images, ((0, 0), (border, border + 1), (border, border + 1), (0, 0)))
    padded = ops.cast(padded, "int32")
    row = ops.bitwise_or(padded[:, :, :-1], ops.left_shift(padded[:, :, 1:], 8))
    return ops.bitwise_or(row[:, :-1], ops.left_shift(row[:, 1:], 16))
