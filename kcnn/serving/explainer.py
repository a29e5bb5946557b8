"""Heatmaps for a server: by the Keras model, which is opened when one is first asked for."""

import functools

import numpy as np

from kcnn.explain.maps import normalise
from kcnn.registry import METHODS

# Those that take one or two passes through the network; the others take fifty and more, for anyone who asks.
QUICK = ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "eigen_cam")


class Explainer:
    """Explains images, in whatever thread calls it.

    Args:
        open_classifier: Returns the `Classifier`; called once.
    """

    def __init__(self, open_classifier):
        self._open = open_classifier

    def __call__(self, items):
        """Return a map, float32 (H, W) from 0 to 1, for each `(pixels, class number, method)`.

        Raises:
            KcnnError: The model cannot be opened, or has no feature map to look at.
        """
        return [self._map(*item) for item in items]

    @functools.cached_property
    def _network(self):
        model = self._open().model  # before the import, which takes Keras with whatever backend is chosen by then

        from kcnn.explain.network import TakenApart

        return TakenApart(model)

    def _map(self, pixels, wanted, method):
        maps = METHODS.get(method)(self._network, pixels[None].astype("float32"), np.array([wanted]))
        return normalise(maps)[0]
