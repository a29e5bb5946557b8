"""The SavedModel's own decoding gives the pixels that kcnn's gives."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

from kcnn.data.decode import RESIZES, decode

SIZES = ((5, 9), (32, 24), (24, 32), (33, 90), (101, 37), (217, 233), (420, 400), (32, 40))  # (height, width)


@pytest.fixture(scope="module", autouse=True)
def _on_tensorflow():
    if keras.config.backend() != "tensorflow":
        pytest.skip("the graph is TensorFlow's")


def encoded(mode, size, kind, **options):
    """Return the bytes of a picture with smooth and with sharp parts."""
    rng = np.random.default_rng(sum(size))
    channels = len(Image.new(mode, (1, 1)).getbands())
    rough = rng.integers(0, 256, (4, 5, channels), "uint8").squeeze()
    image = Image.fromarray(rough).resize(size[::-1], Image.Resampling.BICUBIC)
    pixels = np.array(image)
    pixels[: size[0] // 2, : size[1] // 3] = rng.integers(0, 256, pixels[: size[0] // 2, : size[1] // 3].shape)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def decoded(contents, shape, resize):
    import tensorflow as tf

    from kcnn.formats._decode_graph import decoding

    return tf.function(decoding(shape, resize))(tf.constant(contents)).numpy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", RESIZES)
def test_it_gives_the_same_pixels(resize, channels):
    shape = (24, 32, channels)
    contents = [encoded("RGB", size, "JPEG", quality=85) for size in SIZES]
    contents += [encoded("L", size, "JPEG", quality=95) for size in SIZES[:4]]
    contents += [encoded("RGB", size, "JPEG", quality=75, progressive=True, subsampling=1) for size in SIZES[3:6]]
    contents += [encoded(mode, size, "PNG") for mode in ("RGB", "RGBA", "L", "LA") for size in SIZES[:5]]
    palette = io.BytesIO()
    Image.open(io.BytesIO(contents[4])).quantize(16).save(palette, "PNG", transparency=3)
    contents.append(palette.getvalue())
    expected = np.stack([decode(content, shape, resize) for content in contents])
    apart = np.abs(decoded(contents, shape, resize).astype(int) - expected)
    assert apart.max() <= 1
    for content, values in zip(contents, apart, strict=True):
        width, height = Image.open(io.BytesIO(content)).size
        shrinks_on_both_sides = height > shape[0] and width > shape[1]
        assert shrinks_on_both_sides or not values.any()
    assert (apart == 0).mean() > 0.95
