"""Maps from what happens to the logit when parts of the image are hidden; no derivative is needed."""

import numpy as np
from scipy.special import softmax

from kcnn.explain.maps import to_size

GREY = 128.0  # what hides: the middle of the range
AT_ONCE = 64  # copies of an image that are held


def score_cam(network, images, classes):
    """Score-CAM: each channel counts by the logit of the image seen through that channel.

    Wang et al. (2020), algorithm 1: the channel, at the image's size and from 0 to 1, is a mask; the weights are the
    softmax of the logits over the channels. What a mask hides is grey, where the paper's normalised images have
    their mean.
    """
    height, width, _ = network.image_shape
    found = []
    for image, chosen, maps in zip(images, classes, network.features(images), strict=True):
        channels = maps.transpose(2, 0, 1)
        scores = [
            _logits(network, image, _from_0_to_1(to_size(channels[start : start + AT_ONCE], height, width)), chosen)
            for start in range(0, len(channels), AT_ONCE)
        ]
        found.append(maps @ softmax(np.concatenate(scores)))
    return to_size(np.maximum(found, 0), height, width)


def occlusion(network, images, classes, *, patch: float = 0.25, stride: float = 0.0625):
    """Occlusion: by how much the logit falls when a grey square hides the pixel.

    Zeiler & Fergus (2014), section 4.2. The value of a pixel is the mean over the squares that hide it; it is
    negative where the network is surer without the pixel.

    Args:
        patch: Side of the square, as a share of the image's shorter side.
        stride: From one square to the next, likewise.
    """
    height, width, _ = network.image_shape
    side, step = (max(1, round(share * min(height, width))) for share in (patch, stride))
    masks = np.stack(
        [
            _square(height, width, top, left, side)
            for top in _places(height, side, step)
            for left in _places(width, side, step)
        ]
    )
    hidden = masks.sum(axis=0)
    found = []
    for image, chosen, whole in zip(images, classes, network.logits(images), strict=True):
        falls = whole[chosen] - _logits(network, image, 1 - masks, chosen)
        found.append(np.tensordot(falls, masks, 1) / hidden)
    return np.stack(found).astype("float32")


def _logits(network, image, masks, chosen):
    """Return the logits of a class, float64 (N,), of an image (H, W, C) seen through masks (N, H, W) from 0 to 1."""
    found = []
    for start in range(0, len(masks), AT_ONCE):
        seen = GREY + (image - GREY) * masks[start : start + AT_ONCE, ..., None]
        found.append(network.logits(seen)[:, chosen])
    return np.concatenate(found).astype("float64")


def _from_0_to_1(maps):
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return (maps - low) / np.where(high > low, high - low, 1)


def _places(length, side, step):
    """Return where squares begin, the last one at the far border."""
    return sorted({*range(0, length - side, step), length - side})


def _square(height, width, top, left, side):
    mask = np.zeros((height, width), "float32")
    mask[top : top + side, left : left + side] = 1
    return mask
