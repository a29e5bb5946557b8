"""Pictures of maps: what a page lays over an image is what is drawn over it here."""

import numpy as np
import pytest

from kcnn.explain.pictures import COVER, enlarged, heatmap, overlay, veil


@pytest.mark.parametrize("channels", [1, 3])
def test_a_veil_over_a_grey_image_is_the_overlay(channels):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (16, 24, channels), "uint8")
    heat = draw.random((16, 24), "float32")
    grey = np.asarray(enlarged(pixels).convert("L").convert("RGB"), "float64")
    layer = np.asarray(veil(heat), "float64")
    cover = COVER * layer[..., 3:] / 255
    found = grey * (1 - cover) + layer[..., :3] * cover
    assert np.abs(found - np.asarray(overlay(pixels, heat), "float64")).max() < 1.5
    np.testing.assert_array_equal(layer[..., :3], np.asarray(heatmap(heat)))


def test_nothing_hides_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), "uint8")
    heat = np.zeros((8, 8), "float32")
    assert not np.asarray(veil(heat))[..., 3].any()
    np.testing.assert_array_equal(overlay(pixels, heat), enlarged(pixels).convert("L").convert("RGB"))
