"""Class activation maps: the channels of one feature map, weighted, summed, and brought to the image's size."""

import numpy as np

from kcnn.explain.maps import to_size


def grad_cam(network, images, classes):
    """Grad-CAM: each channel of the map counts by the mean of its derivatives, as in the teaching article.

    Selvaraju et al. (2017), equations 1 and 2: derivatives averaged over the places, a weighted sum of the channels,
    what is negative cut off, bilinear to the size of the image.
    """
    maps = network.features(images)
    weights = network.feature_gradients(images, classes).mean(axis=(1, 2), keepdims=True)
    return _upsampled(network, (weights * maps).sum(axis=-1))


def grad_cam_plus_plus(network, images, classes):
    """Grad-CAM++: positive derivatives alone, and places that a channel is rarely active at count more.

    Chattopadhay et al. (2018), equation 19 for the alphas, with the exponential of the logit as the score, whose second
    and third derivatives are then powers of the first.
    """
    maps = network.features(images)
    slopes = network.feature_gradients(images, classes)
    # The fraction is shortened by the square of the derivative, which small ones would not survive. The paper's maps
    # are rectified; of others the sum counts what is positive, or the denominator could cross zero.
    alphas = 1 / (2 + np.maximum(maps, 0).sum(axis=(1, 2), keepdims=True) * np.maximum(slopes, 0))
    weights = (alphas * np.maximum(slopes, 0)).sum(axis=(1, 2), keepdims=True)
    return _upsampled(network, (weights * maps).sum(axis=-1))


def hires_cam(network, images, classes):
    """HiResCAM: each place counts by its own derivative, so that what a network did not use cannot light up.

    Draelos & Carin (2020), equation 5.
    """
    maps = network.features(images)
    return _upsampled(network, (network.feature_gradients(images, classes) * maps).sum(axis=-1))


def layer_cam(network, images, classes):
    """LayerCAM: each place counts by its own derivative where that is positive; made for shallow layers too.

    Jiang et al. (2021), equations 5 and 6.
    """
    maps = network.features(images)
    slopes = np.maximum(network.feature_gradients(images, classes), 0)
    return _upsampled(network, (slopes * maps).sum(axis=-1))


def eigen_cam(network, images, classes):
    """Eigen-CAM: the first principal component of the map; it knows nothing of the class.

    Muhammad & Yeasin (2020), equation 4: the map, a row for each place, times the first right singular vector, nothing
    centred. A singular vector has no sign; the one is taken whose map has a sum of at least 0.
    """
    maps = network.features(images).astype("float64")
    count, height, width, channels = maps.shape
    rows = maps.reshape(count, height * width, channels)
    _, _, vectors = np.linalg.svd(rows, full_matrices=False)
    found = np.einsum("bpc,bc->bp", rows, vectors[:, 0])
    found *= np.where(found.sum(axis=1, keepdims=True) < 0, -1, 1)
    return _upsampled(network, found.reshape(count, height, width))


def _upsampled(network, maps):
    height, width, _ = network.image_shape
    return to_size(np.maximum(maps, 0), height, width)
