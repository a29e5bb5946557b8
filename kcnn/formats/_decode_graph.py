"""`kcnn.data.decode` as a TensorFlow graph: the same pixels, or one level off where an image shrinks on both sides.

What Pillow computes in integers is computed in floats that are whole numbers. What it cannot do is obey EXIF; and it
reads JPEG and PNG alone.
"""

import tensorflow as tf

BITS = 22  # of a weight behind the point, as in Pillow's ImagingResample
LUMA = (19595, 38470, 7471)  # of 65536, as in Pillow's convert("L")


def decoding(image_shape, resize):
    """Return the function `string (B,) -> uint8 (B, H, W, C)`."""
    height, width, channels = image_shape

    def decode_one(content):
        pixels = _rgb(content, 2 * max(height, width))
        pixels = _luma(pixels) if channels == 1 else pixels
        return tf.ensure_shape(tf.cast(_fit(pixels, height, width, resize), tf.uint8), image_shape)

    def decode(image_bytes):
        return tf.map_fn(decode_one, image_bytes, fn_output_signature=tf.TensorSpec(image_shape, tf.uint8))

    return decode


def _rgb(content, side):
    """Return float64 (h, w, 3) of whole numbers; a large JPEG at a half, a quarter or an eighth."""

    def jpeg():
        size = tf.io.extract_jpeg_shape(content)[:2]
        most = tf.reduce_min(size // side)
        ratio = tf.reduce_sum(tf.cast(most >= tf.constant([2, 4, 8]), tf.int32))

        def at(ratio):
            return lambda: tf.io.decode_jpeg(content, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

        return tf.switch_case(ratio, [at(1), at(2), at(4), at(8)])

    def other():
        pixels = tf.cast(tf.io.decode_png(content, channels=4), tf.int32)
        colour, alpha = pixels[..., :3], pixels[..., 3:]
        # On white, in the integers of Pillow's alpha_composite.
        blended = 128 * (colour * alpha + 255 * (255 - alpha)) + (128 << 7)
        blended = tf.bitwise.right_shift(tf.bitwise.right_shift(blended, 8) + blended, 8 + 7)
        return tf.cast(blended, tf.uint8)

    return tf.cast(tf.cond(tf.io.is_jpeg(content), jpeg, other), tf.float64)


def _luma(pixels):
    total = tf.reduce_sum(pixels * tf.constant(LUMA, tf.float64), axis=-1, keepdims=True)
    return tf.floor((total + 2**15) / 2**16)


def _fit(pixels, height, width, resize):
    size = tf.cast(tf.shape(pixels)[:2], tf.float64)
    old_height, old_width = size[0], size[1]
    top = left = tf.constant(0.0, tf.float64)
    new_height, new_width = height, width
    if resize == "crop":
        scale = tf.maximum(width / old_width, height / old_height)
        left = tf.maximum((old_width - width / scale) / 2, 0)
        top = tf.maximum((old_height - height / scale) / 2, 0)
    elif resize == "pad":
        scale = tf.minimum(width / old_width, height / old_height)
        new_height, new_width = (
            tf.cast(tf.maximum(tf.round(old * scale), 1), tf.int32) for old in (old_height, old_width)
        )
    across, down = _weights(old_width, left, new_width), _weights(old_height, top, new_height)
    # Each pass rounds, so their order counts. Where both sides shrink Pillow decides by costs; that is not followed.
    rows_first = tf.logical_and(size[0] > tf.cast(new_height, size.dtype), size[1] <= tf.cast(new_width, size.dtype))
    pixels = tf.cond(
        rows_first,
        lambda: _columns(_rows(pixels, down), across),
        lambda: _rows(_columns(pixels, across), down),
    )
    if resize != "pad":
        return pixels
    above, before = (height - new_height) // 2, (width - new_width) // 2
    return tf.pad(pixels, [[above, height - new_height - above], [before, width - new_width - before], [0, 0]])


def _weights(old, margin, new):
    """Return float64 (new, old): how much each old pixel counts for each new one, in units of 2**-BITS.

    The `margin` at both ends is cut off.
    """
    begin, end = tf.cast(margin, tf.float32), tf.cast(old - margin, tf.float32)  # single precision, as Pillow's box
    scale = tf.cast(end - begin, tf.float64) / tf.cast(new, tf.float64)
    centres = tf.cast(begin, tf.float64) + (tf.range(tf.cast(new, tf.float64), dtype=tf.float64) + 0.5) * scale
    distances = tf.abs(tf.range(old, dtype=tf.float64) + 0.5 - centres[:, None]) / tf.maximum(scale, 1)
    weights = tf.maximum(1 - distances, 0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    return tf.floor(weights * 2**BITS + 0.5)


def _columns(pixels, weights):
    return _rounded(tf.einsum("oi,hic->hoc", weights, pixels))


def _rows(pixels, weights):
    return _rounded(tf.einsum("oi,iwc->owc", weights, pixels))


def _rounded(sums):
    return tf.clip_by_value(tf.floor((sums + 2 ** (BITS - 1)) / 2**BITS), 0, 255)
