"""Corruptions get worse with their strength, and are the same images everywhere."""

import colorsys
import hashlib

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kcnn.corruptions import CORRUPTIONS, STRENGTHS, corrupt


def photos(side, channels=3, count=6):
    """Return smooth random images, as photographs are."""
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[0:side, 0:side] * (2 * np.pi / side)
    turns = (rows, columns, 2 * columns, 3 * rows, 4 * (rows + columns), 6 * columns)
    waves = draw.normal(size=(count, channels, len(turns))) @ np.sin(np.stack(turns)).reshape(len(turns), -1)
    images = waves.reshape(count, channels, side, side).transpose(0, 2, 3, 1)
    return np.clip(110 + 30 * images, 0, 255).astype("uint8")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [32, 128])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_is_worse_than_the_one_before(name, side, channels):
    images = photos(side, channels)
    distances = []
    for strength in range(1, STRENGTHS + 1):
        worse = corrupt(images, name, strength, np.arange(len(images)))
        assert worse.shape == images.shape
        assert worse.dtype == np.uint8
        distances.append(np.abs(worse.astype(int) - images).mean())
    assert distances[0] > 0
    assert all(np.diff(distances) > 0), distances


def test_noise_has_its_deviation_and_depends_on_the_position_alone():
    grey = np.full((64, 32, 32, 3), 128, "uint8")
    noisy = corrupt(grey, "noise", 3, np.arange(64))
    assert (noisy.astype(float) - 128).std() == pytest.approx(0.08 * 255, rel=0.01)
    assert (noisy.astype(float) - 128).mean() == pytest.approx(0, abs=0.3)
    part = corrupt(grey[:3], "noise", 3, np.array([5, 17, 40]))
    np.testing.assert_array_equal(part, noisy[[5, 17, 40]])
    assert abs(np.corrcoef(noisy[0].ravel().astype(float), noisy[1].ravel().astype(float))[0, 1]) < 0.06


def test_the_bits_of_the_noise_stay():
    noisy = corrupt(np.full((4, 8, 8, 1), 128, "uint8"), "noise", 5, np.arange(4))
    assert hashlib.blake2b(noisy.tobytes(), digest_size=8).hexdigest() == "787a789ce9b1dd91"


def test_brightness_is_the_value_of_hsv():
    images = np.random.default_rng(0).integers(0, 256, (1, 6, 6, 3)).astype("uint8")
    images[0, 0, 0] = 0
    bright = corrupt(images, "brightness", 5, np.arange(1))
    for before, after in zip(images.reshape(-1, 3), bright.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        expected = np.array(colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1))) * 255
        np.testing.assert_allclose(after, expected, atol=0.51)


def test_blur_keeps_flat_images():
    flat = np.full((2, 16, 16, 3), 77, "uint8")
    np.testing.assert_array_equal(corrupt(flat, "blur", 5, np.arange(2)), flat)


@pytest.mark.parametrize(("side", "blur", "noise"), [(96, 1.0, 0.04), (97, 6, 0.08)])
def test_strengths_are_those_of_the_images_size(side, blur, noise):
    images = photos(side).astype("float32")
    alone = [gaussian_filter(images[n, ..., c], blur, mode="nearest") for n in range(6) for c in range(3)]
    expected = np.moveaxis(np.reshape(alone, (6, 3, side, side)), 1, -1)
    np.testing.assert_allclose(corrupt(photos(side), "blur", 5, np.arange(6)), expected, atol=0.51)
    grey = np.full((16, side, side, 1), 128, "uint8")
    noisy = corrupt(grey, "noise", 1, np.arange(16)).astype(float)
    assert (noisy - 128).std() == pytest.approx(255 * noise, rel=0.02)
