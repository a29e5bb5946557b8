"""Affine resampling against SciPy and Pillow."""

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from kcnn import random
from kcnn.augment import _stage
from kcnn.augment._resample import ONE, PIXEL, resample
from kcnn.augment.affine import STEPS

SCIPY_MODES = {"zero": "grid-constant", "reflect": "mirror", "edge": "nearest"}


def reference(image, matrix, fill):
    """Bilinear resampling in float64."""
    height, width, _ = image.shape
    xx, xy, x, yx, yy, y = matrix / np.array([ONE, ONE, PIXEL] * 2)
    v, u = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    columns = xx * u + xy * v + x + (width - 1) / 2
    rows = yx * u + yy * v + y + (height - 1) / 2
    channels = [
        ndimage.map_coordinates(channel, [rows, columns], order=1, mode=SCIPY_MODES[fill])
        for channel in np.moveaxis(image.astype("float64"), -1, 0)
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("fill", SCIPY_MODES)
@pytest.mark.parametrize("shape", [(24, 33, 3), (32, 32, 1)], ids=str)
def test_against_scipy(shape, fill, make, apply, noise):
    images, position = noise(12, *shape), np.arange(12, dtype="int32")
    layer = make("affine", rotation=180.0, zoom=0.5, shear=40.0, fill=fill)
    matrix = keras.ops.convert_to_numpy(layer.matrix(keras.ops.convert_to_tensor(position)))
    result = apply(layer, images, position).astype("float64")
    for image, row, found in zip(images, matrix, result, strict=True):
        # Weights have 8 bits, so on noise a pixel may be off by 255 / 512 in each direction, and by rounding.
        assert np.abs(found - reference(image, row, fill)).max() < 1.6


def test_matrix_undoes_rotation_shear_and_zoom(make):
    layer = make("affine", rotation=170.0, zoom=0.75, shear=45.0)
    position = np.arange(500, dtype="int32")
    found = keras.ops.convert_to_numpy(layer.matrix(keras.ops.convert_to_tensor(position))).reshape(-1, 2, 3)

    def drawn(purpose):
        return STEPS[random.integers(layer.draw(purpose, position), len(STEPS))]

    angles, slopes = np.radians(170 * drawn("rotation")), np.tan(np.radians(45 * drawn("shear")))
    scales = 1 + 0.75 * drawn("zoom")
    for matrix, angle, slope, scale in zip(found, angles, slopes, scales, strict=True):
        rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        forward = rotate @ np.array([[1, slope], [0, 1]]) * scale
        np.testing.assert_allclose(matrix[:, :2] / ONE @ forward, np.eye(2), atol=6e-4)
        assert not matrix[:, 2].any()


def test_no_change_is_exact(make, apply, noise):
    for shape in [(7, 32, 32, 3), (7, 31, 17, 3), (1, 1, 1, 3)]:
        images = noise(*shape)
        layer = make("affine", rotation=0.0, zoom=0.0, shear=0.0)
        np.testing.assert_array_equal(apply(layer, images), images)


@pytest.mark.parametrize("fill", SCIPY_MODES)
def test_large_images_do_not_overflow(fill, noise):
    # The corner cases of the promise: 2048 pixels, a fourfold reduction, turned by 45 degrees.
    image = noise(1, 2048, 2048, 1)
    entry = round(4 * np.sqrt(0.5) * ONE)
    matrix = np.array([[entry, -entry, 0, entry, entry, 0]], dtype="int32")
    tensors = keras.ops.convert_to_tensor(image), keras.ops.convert_to_tensor(matrix)
    found = keras.ops.convert_to_numpy(resample(*tensors, fill)).astype("float64")[0]
    assert np.abs(found - reference(image[0], matrix[0], fill)).max() < 1.6


def stage(name, magnitude, images):
    table = _stage.settings_table(((name, magnitude),) * len(images), *images.shape[1:3])
    tensors = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(table)
    return keras.ops.convert_to_numpy(_stage.apply_stage(*tensors, "zero"))


AFFINE, BILINEAR = Image.Transform.AFFINE, Image.Resampling.BILINEAR
PILLOW = {
    ("shear_x", 0.3): lambda i: i.transform(i.size, AFFINE, (1, 0.3, 0, 0, 1, 0), BILINEAR),
    ("shear_y", -0.99): lambda i: i.transform(i.size, AFFINE, (1, 0, 0, -0.99, 1, 0), BILINEAR),
    ("translate_x", 5): lambda i: i.transform(i.size, AFFINE, (1, 0, -5, 0, 1, 0), BILINEAR),
    ("translate_y", -7): lambda i: i.transform(i.size, AFFINE, (1, 0, 0, 0, 1, 7), BILINEAR),
    ("rotate", 30): lambda i: i.rotate(30, BILINEAR),
    ("rotate", -135): lambda i: i.rotate(-135, BILINEAR),
}


@pytest.mark.parametrize("case", PILLOW, ids=str)
def test_stage_geometry_against_pillow(case, photos):
    images = np.tile(photos, (3, 1, 1, 1))  # as many as in test_colour.py, which spares JAX to compile again
    found = stage(*case, images).astype(int)
    for image, result in zip(images[:2], found[:2], strict=True):
        expected = np.asarray(PILLOW[case](Image.fromarray(image))).astype(int)
        difference = np.abs(result - expected).max(axis=-1)
        # Pillow cuts off hard at the border of the image where we fade to black within one pixel.
        border = ndimage.binary_dilation(expected.max(axis=-1) == 0, iterations=2, border_value=1)
        assert difference[~border].max() <= 2
        assert (~border).mean() > 0.25
