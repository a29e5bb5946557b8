"""Derivatives by pixels."""

from types import SimpleNamespace

import numpy as np
import pytest

from kcnn.explain.network import TakenApart
from kcnn.explain.slopes import integrated_gradients, smooth_grad


def test_a_linear_network_shows_its_weights(linear, images, classes):
    model, weights = linear
    own = np.moveaxis(weights, -1, 0)[classes]
    network = TakenApart(model)
    np.testing.assert_allclose(smooth_grad(network, images, classes, samples=3), np.abs(own).max(axis=-1), rtol=1e-4)
    expected = (own * images).sum(axis=-1)
    np.testing.assert_allclose(integrated_gradients(network, images, classes, steps=3), expected, rtol=1e-3, atol=1e-4)


def test_integrated_gradients_sum_to_the_difference_of_the_logits(averaging, images, classes):
    network = TakenApart(averaging[0])
    chosen = np.arange(len(images)), classes
    difference = network.logits(images)[chosen] - network.logits(0 * images)[chosen]
    sums = integrated_gradients(network, images, classes).sum(axis=(1, 2))
    np.testing.assert_allclose(sums, difference, rtol=0.02, atol=0.002)


def test_an_image_is_explained_alike_whatever_stands_beside_it(averaging, images, classes):
    network = TakenApart(averaging[0])
    whole = smooth_grad(network, images, classes, samples=5)
    alone = smooth_grad(network, images[3:4], classes[3:4], samples=5)
    np.testing.assert_allclose(whole[3], alone[0], rtol=1e-4)


def test_noise_is_a_share_of_the_range_of_the_image(images, classes):
    seen = []
    network = SimpleNamespace(pixel_gradients=lambda noisy, _: seen.append(noisy) or noisy)
    smooth_grad(network, images[:1], classes[:1], samples=200, noise=0.15)
    grain = seen[0] - images[:1]
    assert grain.std() == pytest.approx(0.15 * np.ptp(images[0]), rel=0.02)
    assert abs(grain.mean()) < 0.01 * np.ptp(images[0])
