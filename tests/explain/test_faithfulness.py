"""Deletion and insertion."""

import numpy as np
from scipy.ndimage import gaussian_filter

from kcnn.explain.faithfulness import area, deletion, insertion
from kcnn.explain.network import TakenApart


def test_areas_of_lines_are_known():
    np.testing.assert_allclose(area(np.array([[1.0, 1, 1], [0, 0.5, 1], [1, 0, 0]])), [1, 0.5, 0.25])


def test_curves_go_from_the_image_to_black_and_to_the_image(linear, images, classes):
    network = TakenApart(linear[0])
    maps = np.random.default_rng(0).random((5, 8, 8))

    def probability(pixels):
        logits = network.logits(pixels)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return shares[np.arange(5), classes]

    gone, come = (curve(network, images, classes, maps, steps=7) for curve in (deletion, insertion))
    assert gone.shape == come.shape == (5, 8)
    np.testing.assert_allclose(gone[:, 0], probability(images), rtol=1e-4)
    np.testing.assert_allclose(gone[:, -1], probability(0 * images), rtol=1e-4)
    np.testing.assert_allclose(come[:, -1], probability(images), rtol=1e-4)
    blurred = np.stack([gaussian_filter(image, (1, 1, 0), mode="nearest") for image in images])  # an eighth of 8 pixels
    np.testing.assert_allclose(come[:, 0], probability(blurred), rtol=1e-3)


def test_a_true_map_beats_its_opposite(linear, images, classes):
    """On a linear network each pixel's part is known: what it adds beyond a black one."""
    model, weights = linear
    network = TakenApart(model)
    parts = (np.moveaxis(weights, -1, 0)[classes] * images).sum(axis=-1)
    better, worse = (area(deletion(network, images, classes, each)) for each in (parts, -parts))
    assert (worse > better).all()
    better, worse = (area(insertion(network, images, classes, each)).mean() for each in (parts, -parts))
    assert better > worse
