"""Maps over an image: brought to its size, and onto the scale from 0 to 1."""

import numpy as np
from PIL import Image


def to_size(maps, height, width):
    """Return float32 (B, height, width): maps (B, h, w), bilinear between the centres of their places.

    That is `interpolate(..., mode="bilinear")` of PyTorch; Pillow does it here, so that no framework's own way counts.
    """
    images = [Image.fromarray(np.asarray(each, "float32")) for each in maps]
    return np.stack([np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)) for image in images])


def normalise(maps):
    """Return maps (B, H, W) from 0 to 1: what speaks against the class is 0, the largest of each map 1.

    A map without anything above 0 stays 0.
    """
    positive = np.maximum(maps, 0)
    largest = positive.max(axis=(1, 2), keepdims=True)
    return (positive / np.where(largest > 0, largest, 1)).astype("float32")
