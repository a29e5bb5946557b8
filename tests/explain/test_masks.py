"""What happens when parts of an image are hidden, against the same done slowly."""

import numpy as np
from scipy.ndimage import zoom

from kcnn.explain.masks import occlusion, score_cam
from kcnn.explain.network import TakenApart


def test_occlusion_is_the_mean_fall_of_the_logit(linear, images, classes):
    model, weights = linear
    found = occlusion(TakenApart(model), images, classes, patch=0.5, stride=0.25)
    for image, chosen, values in zip(images, classes, found, strict=True):
        falls = [[[] for _ in range(8)] for _ in range(8)]
        for top in (0, 2, 4):
            for left in (0, 2, 4):
                square = (slice(top, top + 4), slice(left, left + 4))
                fall = ((image - 128)[square] * weights[..., chosen][square]).sum()
                for row in range(top, top + 4):
                    for column in range(left, left + 4):
                        falls[row][column].append(fall)
        expected = [[np.mean(each) for each in row] for row in falls]
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4)


def test_score_cam_weighs_channels_by_what_is_seen_through_them(averaging, images, classes):
    model, _ = averaging
    network = TakenApart(model)
    found = score_cam(network, images, classes)
    for image, chosen, maps, values in zip(images, classes, network.features(images), found, strict=True):
        # scipy's grid mode is bilinear between centres too.
        large = [zoom(each, 2, order=1, mode="nearest", grid_mode=True) for each in np.moveaxis(maps, -1, 0)]
        masks = [(each - each.min()) / max(np.ptp(each), 1e-12) for each in large]
        scores = [network.logits((128 + (image - 128) * mask[..., None])[None])[0, chosen] for mask in masks]
        weights = np.exp(scores) / np.exp(scores).sum()
        expected = sum(weight * each for weight, each in zip(weights, large, strict=True))
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6)
