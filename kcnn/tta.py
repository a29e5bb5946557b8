"""Test-time augmentation: one answer from several views of an image, for whatever gives probabilities."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kcnn.metrics.calibration import logits, softmax
from kcnn.registry import VIEWS

SHIFT = 1 / 32  # of the shorter side: a pixel of CIFAR-10's images, seven of ImageNet's


def flip(images):
    """The image and its mirror image: twice the work."""
    yield 1 / 2, images
    yield 1 / 2, images[:, :, ::-1]


def flip_shift(images):
    """Also shifted by a 32nd of its side, up-left and down-right: six times the work (airbench's TTA).

    Half of the weight is on the views that are not shifted. Source: `infer_mirror_translate` of Keller Jordan's
    airbench94, which shifts images of 32x32 by one pixel and fills by reflection.
    """
    for weight, view in flip(images):
        yield weight / 2, view
    height, width = images.shape[1:3]
    by = max(round(min(height, width) * SHIFT), 1)
    padded = np.pad(images, ((0, 0), (by, by), (by, by), (0, 0)), "reflect")
    for shifted in (padded[:, :height, :width], padded[:, 2 * by :, 2 * by :]):
        for weight, view in flip(shifted):
            yield weight / 4, view


def averaged(model, name):
    """Return what answers with the mean over the views of that name, or `model` itself where it is None."""
    return Averaged(model, VIEWS.get(name)) if name else model


@dataclass(frozen=True)
class Averaged:
    """Answers as `model` does, with the mean of the logits of the views of each image.

    Attributes:
        model: What `kcnn.opened.open_model` returns.
        views: Called with uint8 images (B, H, W, C); yields weights, whose sum is 1, and images of that shape.
    """

    model: Any
    views: Callable

    @property
    def class_names(self):
        return self.model.class_names

    @property
    def image_shape(self):
        return self.model.image_shape

    @property
    def resize(self):
        return self.model.resize

    def probabilities(self, images):
        """Return float32 (B, K) for uint8 images (B, H, W, C)."""
        return softmax(sum(weight * logits(self.model.probabilities(view)) for weight, view in self._views(images)))

    def probabilities_and_embeddings(self, images):
        """Return float32 (B, K) and the mean embeddings, float32 (B, D), whose logits are the mean logits."""
        mean, embedding = 0.0, 0.0
        for weight, view in self._views(images):
            probabilities, embeddings = self.model.probabilities_and_embeddings(view)
            mean = mean + weight * logits(probabilities)
            embedding = embedding + weight * embeddings.astype("float64")
        return softmax(mean), embedding.astype("float32")

    def _views(self, images):
        return ((weight, np.ascontiguousarray(view)) for weight, view in self.views(images))
