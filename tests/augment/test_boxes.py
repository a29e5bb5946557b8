"""Cutout and random erasing: size, place and content of what is hidden."""

import numpy as np
import pytest
from scipy import stats

from kcnn.augment.random_erasing import box_sizes


def hidden(images):
    """Return which pixels differ from white, and per image the hidden height and width."""
    mask = (images != 255).any(axis=-1)
    return mask, mask.any(axis=2).sum(axis=1), mask.any(axis=1).sum(axis=1)


def white(count, height, width):
    return np.full((count, height, width, 1), 255, dtype="uint8")


def test_cutout_hides_one_square_cut_off_at_the_border(make, apply):
    result = apply(make("cutout", size=6, level=9), white(3000, 16, 20))
    mask, heights, widths = hidden(result)
    assert set(np.unique(result)) == {9, 255}
    np.testing.assert_array_equal(mask.sum(axis=(1, 2)), heights * widths)
    assert heights.max() == widths.max() == 6
    # A centre on the border leaves half of the square.
    assert heights.min() == widths.min() == 3
    # Any pixel is the centre equally often, so an inner pixel is hidden with 6 * 6 / (16 * 20).
    assert mask[:, 8, 10].mean() == pytest.approx(36 / 320, abs=0.02)


def test_cutout_probability(make, apply):
    touched = hidden(apply(make("cutout", probability=0.3), white(5000, 8, 8)))[0].any(axis=(1, 2))
    assert stats.binomtest(int(touched.sum()), 5000, 0.3).pvalue > 1e-3


def test_erased_boxes_follow_area_and_aspect(make, apply):
    layer = make("random_erasing", probability=1.0, area=(0.1, 0.3), aspect=(0.5, 2.0), fill="black")
    mask, heights, widths = hidden(apply(layer, white(2000, 40, 40)))
    np.testing.assert_array_equal(mask.sum(axis=(1, 2)), heights * widths)
    share, aspect = heights * widths / 1600, heights / widths
    assert share.min() > 0.09
    assert share.max() < 0.32
    assert aspect.min() > 0.45
    assert aspect.max() < 2.2
    assert share.mean() == pytest.approx(0.2, abs=0.01)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.05)


def test_noise_is_uniform_and_differs_between_channels(make, apply):
    layer = make("random_erasing", probability=1.0, area=(1.0, 1.0), aspect=(1.0, 1.0))
    result = apply(layer, np.zeros((8, 64, 64, 3), dtype="uint8"))
    assert stats.chisquare(np.bincount(result.ravel(), minlength=256)).pvalue > 1e-3
    channels = result.reshape(-1, 3).astype("float64").T
    assert np.abs(np.corrcoef(channels) - np.eye(3)).max() < 0.03


def test_boxes_that_cannot_fit_are_an_error():
    with pytest.raises(ValueError, match="No box with this `area` and `aspect` fits"):
        box_sizes((0.9, 1.0), (50.0, 100.0), 32, 32)
