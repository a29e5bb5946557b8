"""The published weights of keras.applications, for networks that are built of the same layers in the same order."""

import contextlib
import os
import sys
from pathlib import Path

from kcnn import facts
from kcnn.errors import RecipeError, WeightsError
from kcnn.pretrained.weights import Weights

IMAGENET = "imagenet"


class Published(Weights):
    """What keras.applications downloads once, and Keras checks by its hash.

    Args:
        model: A registered name, of which `kcnn.facts` knows the function of keras.applications.
    """

    def __init__(self, model):
        self.model = model
        self.known = facts.find(model).imagenet
        self.source = f"the ImageNet weights of keras.applications.{self.known.application}"
        self.mean, self.std = self.known.mean, self.known.std

    @contextlib.contextmanager
    def layers(self, network):
        ours = [layer for layer in network.layers if layer.weights]
        theirs = list(with_weights(self._application(include_top=network.outputs[0].shape[-1] == 1000)))
        # Without its head theirs ends sooner.
        if any(type(one) is not type(other) for one, other in zip(ours, theirs, strict=False)):
            raise RecipeError(f"model.weights: {self.source} are for {self.model} with its default options.")
        found = {one.name: other.get_weights() for one, other in zip(ours, theirs, strict=False)}
        if self.known.bgr:
            first = next(iter(found.values()))
            first[0] = first[0][:, :, ::-1]  # the kernel (h, w, C, F) for pixels in the order RGB
        yield found

    def _application(self, include_top):
        import keras

        from kcnn.initial import undrawn

        try:
            # Keras reports its download on stdout, which belongs to the command's result.
            with contextlib.redirect_stdout(sys.stderr), undrawn():
                return getattr(keras.applications, self.known.application)(weights=IMAGENET, include_top=include_top)
        except Exception as error:  # URLError, HTTPError, a bare Exception, damaged files: Keras raises each
            first = str(error).strip().partition("\n")[0]
            where = Path(os.environ.get("KERAS_HOME") or "~/.keras") / "models"
            raise WeightsError(
                f"Cannot get {self.source}: {first}. Where there is no internet, put the file of that address into "
                f"{where}, or give model.weights a run or a .keras file."
            ) from error


def with_weights(model):
    """Yield the layers of a model of keras.applications that have weights, those of models in it too, in their order.

    Its preprocessing is left out, which `normalise` does.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from with_weights(layer)
        elif layer.weights and not isinstance(layer, keras.layers.Normalization):
            yield layer
