"""Colour arithmetic against Pillow and colorsys."""

import colorsys

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from kcnn import random
from kcnn.augment import _colour, _stage
from kcnn.augment.hue import turn_hue
from kcnn.augment.trivial_augment import WIDE


def stage(rows, images):
    table = _stage.settings_table(tuple(rows), *images.shape[1:3])
    tensors = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(table)
    return keras.ops.convert_to_numpy(_stage.apply_stage(*tensors, "zero"))


def pillow(function, image):
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return np.asarray(function(picture)).reshape(image.shape)


@pytest.fixture(scope="module")
def pictures(photos, noise):
    """Photographs, noise, and images that break careless code: flat, two-valued, and with a narrow range."""
    flat, two = np.full((96, 128, 3), 77), np.zeros((96, 128, 3))
    two[:3, :3] = 255
    narrow = 100 + noise(96, 128, 3) % 7
    return np.stack([*photos, noise(96, 128, 3), flat, two, narrow]).astype("uint8")


EXACT = {
    ("identity", 0): lambda i: i,
    ("invert", 0): ImageOps.invert,
    ("equalize", 0): ImageOps.equalize,
    **{("posterize", bits): lambda i, bits=bits: ImageOps.posterize(i, bits) for bits in (1, 2, 5, 8)},
    **{("solarize", level): lambda i, level=level: ImageOps.solarize(i, level) for level in (0, 100, 128.0, 255)},
}
NEAR = {
    ("autocontrast", 0): ImageOps.autocontrast,
    **{
        (name, change): lambda i, kind=kind, change=change: kind(i).enhance(1 + change)
        for name, kind in {
            "brightness": ImageEnhance.Brightness,
            "contrast": ImageEnhance.Contrast,
            "saturation": ImageEnhance.Color,
            "sharpness": ImageEnhance.Sharpness,
        }.items()
        for change in (-0.99, -0.3, 0.5, 0.99)
    },
}


@pytest.mark.parametrize("case", EXACT, ids=str)
def test_integer_operations_equal_pillow(case, pictures):
    for images in (pictures, pictures[..., :1]):
        found = stage([case] * len(images), images)
        for image, result in zip(images, found, strict=True):
            np.testing.assert_array_equal(result, pillow(EXACT[case], image))


@pytest.mark.parametrize("case", NEAR, ids=str)
def test_blends_are_near_pillow(case, pictures):
    # Pillow cuts off where we round, our factors are rounded to 1/256, and its smoothing rounds before the blend.
    found = stage([case] * len(pictures), pictures).astype(int)
    for image, result in zip(pictures, found, strict=True):
        assert np.abs(result - pillow(NEAR[case], image)).max() <= 2


def test_smooth_equals_pillow(pictures):
    found = keras.ops.convert_to_numpy(_stage.smooth(keras.ops.convert_to_tensor(pictures.astype("int32"))))
    for image, result in zip(pictures, found, strict=True):
        assert np.abs(result - pillow(lambda i: i.filter(ImageFilter.SMOOTH), image)).max() <= 1


def test_grey_equals_pillow(pictures):
    found = keras.ops.convert_to_numpy(_colour.grey(keras.ops.convert_to_tensor(pictures.astype("int32"))))
    for image, result in zip(pictures, found, strict=True):
        np.testing.assert_array_equal(result[..., 0], np.asarray(Image.fromarray(image).convert("L")))


def test_operations_in_one_batch_do_not_touch_each_other(photos):
    rows = [(name, magnitudes[15]) for name, (magnitudes, _) in WIDE.items()]
    images = np.repeat(photos[:1], 6, axis=0)
    untouched = set()
    for some in (rows[:6], rows[6:12], rows[-6:]):
        found = stage(some, images)
        np.testing.assert_array_equal(stage(some[::-1], images)[::-1], found)
        same = (found == images).all(axis=(1, 2, 3))
        untouched |= {name for (name, _), unchanged in zip(some, same, strict=True) if unchanged}
    assert untouched == {"identity"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_enhancing_layers_are_near_pillow(name, kind, make, apply, photos):
    layer, position = make(name, factor=0.8), np.arange(8, dtype="int32")
    drawn = 1 + 0.8 * _colour.STEPS[random.integers(layer.draw("factor", position), len(_colour.STEPS))]
    images = np.tile(photos, (4, 1, 1, 1))
    for image, factor, result in zip(images, drawn, apply(layer, images, position).astype(int), strict=True):
        assert np.abs(result - pillow(lambda i, factor=factor: kind(i).enhance(factor), image)).max() <= 2


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_no_change_is_exact(name, make, apply, noise):
    images = noise(4, 16, 16, 3)
    np.testing.assert_array_equal(apply(make(name, factor=0.0), images), images)


def turned(images, turn):
    turn = keras.ops.full((len(images), 1, 1), turn, dtype="int32")
    return keras.ops.convert_to_numpy(turn_hue(keras.ops.convert_to_tensor(images), turn))


@pytest.mark.parametrize("turn", [1, 100, 341, 512, 900, 1023])
def test_hue_against_colorsys(turn, noise):
    image = noise(1, 20, 20, 3)
    found = turned(image, turn)[0].reshape(-1, 3).astype(int)
    for pixel, result in zip(image.reshape(-1, 3) / 255, found, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected = np.array(colorsys.hsv_to_rgb((hue + turn / 1024) % 1, saturation, value)) * 255
        assert np.abs(result - expected).max() <= 1


def test_hue_turned_half_way_twice_is_the_image(noise):
    images = noise(2, 32, 32, 3)
    np.testing.assert_array_equal(turned(turned(images, 512), 512), images)
    np.testing.assert_array_equal(turned(images, 0), images)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 33), (3000, 3000)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_grey_is_rounded_and_never_overflows(size, channels):
    images = np.random.default_rng(0).integers(200, 256, (1, *size, channels), dtype="int32")
    found = keras.ops.convert_to_numpy(_colour.mean_grey(keras.ops.convert_to_tensor(images)))
    grey = keras.ops.convert_to_numpy(_colour.grey(keras.ops.convert_to_tensor(images))).astype("int64")
    count = size[0] * size[1]
    assert found.shape == (1, 1, 1, 1)
    assert found.item() == (grey.sum() + count // 2) // count
