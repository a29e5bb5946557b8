"""Class activation maps against the formulas, on a network for which they can be written down."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD

from kcnn.explain import cam
from kcnn.explain.maps import to_size
from kcnn.explain.network import TakenApart


@pytest.fixture(scope="module")
def known(averaging, images, classes):
    """The network, its maps, and the derivatives, which are the same at each place."""
    model, weights = averaging
    network = TakenApart(model)
    return network, network.features(images), weights.T[classes][:, None, None] / 16


def upsampled(maps):
    return to_size(np.maximum(maps, 0), 8, 8)


def test_on_a_mean_of_maps_three_methods_are_class_activation_mapping(known, images, classes):
    """There Grad-CAM and HiResCAM are the CAM of Zhou et al. (2016), as their authors prove."""
    network, maps, slopes = known
    expected = upsampled((slopes * maps).sum(axis=-1))
    assert expected.max() > 0.001
    np.testing.assert_allclose(cam.grad_cam(network, images, classes), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(cam.hires_cam(network, images, classes), expected, rtol=1e-4, atol=1e-6)


def test_layer_cam_takes_what_speaks_for_the_class(known, images, classes):
    network, maps, slopes = known
    expected = upsampled((np.maximum(slopes, 0) * maps).sum(axis=-1))
    np.testing.assert_allclose(cam.layer_cam(network, images, classes), expected, rtol=1e-4)


def test_grad_cam_plus_plus_is_equation_19(known, images, classes):
    network, maps, slopes = known
    second, third = slopes**2, slopes**3
    alphas = second / (2 * second + maps.sum(axis=(1, 2), keepdims=True) * third)
    weights = 16 * alphas * np.maximum(slopes, 0)
    expected = upsampled((weights * maps).sum(axis=-1))
    np.testing.assert_allclose(cam.grad_cam_plus_plus(network, images, classes), expected, rtol=1e-4)


def test_grad_cam_plus_plus_takes_maps_that_are_not_rectified():
    """Their sum may bring the paper's denominator to zero, and below."""
    maps = np.array([[1.0, -3.0], [1.0, -1.0]]).reshape(1, 2, 2, 1)
    slopes = np.ones((1, 2, 2, 1))  # 2 + the sum of the map is 0
    stub = SimpleNamespace(
        features=lambda images: maps, feature_gradients=lambda images, classes: slopes, image_shape=(2, 2, 3)
    )
    found = cam.grad_cam_plus_plus(stub, None, None)
    np.testing.assert_allclose(found, [[[1.0, 0], [1.0, 0]]])  # four places, each by 1 / (2 + 2)


def test_eigen_cam_is_the_first_singular_vector_and_looks_at_no_class(known, images, classes):
    network, maps, _ = known
    rows = [each.reshape(16, 6).astype("float64") for each in maps]
    found = [TruncatedSVD(1, algorithm="arpack").fit_transform(each).reshape(4, 4) for each in rows]
    expected = upsampled(np.stack([each * np.sign(each.sum()) for each in found]))
    np.testing.assert_allclose(cam.eigen_cam(network, images, classes), expected, rtol=1e-4)
    np.testing.assert_array_equal(cam.eigen_cam(network, images, 0 * classes), cam.eigen_cam(network, images, classes))
