"""A trained model with what it needs to answer: its labels, its image shape, its way of resizing."""

import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kcnn import recipe as recipes
from kcnn.errors import RunError, UsageError
from kcnn.metrics.calibration import with_temperature
from kcnn.run import Run


@dataclass(frozen=True)
class Classifier:
    """A model from pixels 0..255 to probabilities.

    Attributes:
        model: Its input is (B, H, W, C), its output float32 (B, K).
        class_names: K labels.
        resize: How an image gets the model's shape: "crop", "pad" or "stretch".
        temperature: What the logits are divided by; 1 leaves the probabilities as the model gives them.
    """

    model: keras.Model
    class_names: list[str]
    resize: str = "crop"
    temperature: float = 1.0

    @classmethod
    def open(cls, path, *, calibrated=False):
        """Load a run folder, or a bare .keras file (with a labels.json beside it, where there is one).

        Args:
            path: Of a run or a file.
            calibrated: Give probabilities at the run's temperature, which `kcnn evaluate` fits.

        Raises:
            RunError: There is no such run or file, or it is not a classifier that Keras can load; or it has no
                temperature where one is asked for.
        """
        path = Path(path)
        if path.suffix == ".keras":
            if not path.is_file():
                raise RunError(f"There is no file {path}.")
            temperature = Run(path.parent).temperature() if calibrated else 1.0
            model = load_model(path)
            return cls(model, _labels_beside(path, model.output_shape[-1]), _resize_beside(path), temperature)
        run = Run.open(path)
        temperature = run.temperature() if calibrated else 1.0
        model = load_model(run.model)
        return cls(model, run.read_json(run.labels), recipes.load(run.recipe).data.resize, temperature)

    @property
    def image_shape(self):
        """(height, width, channels) of an image."""
        return self.model.input_shape[1:]

    def probabilities(self, images):
        """Return float32 (B, K) for uint8 images (B, H, W, C)."""
        return self._softened(self.model.predict_on_batch(images.astype("float32")))

    def probabilities_and_embeddings(self, images):
        """Return what `probabilities` does and float32 (B, D), the embeddings, from one pass.

        An embedding is what the layer `logits` takes in, in most networks the pooled features; without a layer of that
        name it is what the last dense layer takes in.

        Raises:
            UsageError: The model has neither.
        """
        found, embeddings = self._with_embeddings.predict_on_batch(images.astype("float32"))
        return self._softened(found), keras.ops.convert_to_numpy(embeddings).astype("float32")

    @functools.cached_property
    def _with_embeddings(self):
        layers = {layer.name: layer for layer in self.model.layers}
        dense = [layer for layer in self.model.layers if isinstance(layer, keras.layers.Dense)]
        last = layers.get("logits", dense[-1] if dense else None)
        source = getattr(last, "input", None)
        if source is None or len(source.shape) != 2:
            raise UsageError(
                f"The model {self.model.name!r} has no embeddings: expected a layer 'logits', or a dense layer at its "
                "end, that takes in one vector an image."
            )
        return keras.Model(self.model.inputs[0], [self.model.outputs[0], source])

    def _softened(self, found):
        found = np.asarray(keras.ops.convert_to_numpy(found))
        return found if self.temperature == 1 else with_temperature(found, self.temperature)


def load_model(path):
    """Load a .keras file without running any code in it; raise `RunError` where it is not a classifier."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error
    if not zipfile.is_zipfile(path):  # of which Keras says that there is no such file
        raise RunError(f"Keras cannot load {path}: it is damaged, no zip archive as .keras files are.")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, JSON, HDF5 and Keras each have their own
        first = str(error).strip().partition("\n")[0]
        raise RunError(f"Keras cannot load {path}: {first}") from error
    shape = getattr(model, "input_shape", None)
    outputs = getattr(model, "output_shape", None)
    images = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:] and shape[3] in (1, 3)
    classes = outputs[1] if isinstance(outputs, tuple) and len(outputs) == 2 else None
    if not images or not isinstance(classes, int) or classes < 2:
        raise RunError(
            f"{path} is no image classifier: expected an input of (height, width, 1 or 3 channels) and one number for "
            f"each of at least two classes. Received: input {shape}, output {outputs}"
        )
    return model


def _labels_beside(path, count):
    beside = path.parent / "labels.json"
    if beside.is_file():
        labels = Run(path.parent).read_json(beside)
        if len(labels) == count:
            return labels
    return [str(index) for index in range(count)]


def _resize_beside(path):
    beside = path.parent / "recipe.toml"
    return recipes.load(beside).data.resize if beside.is_file() else "crop"
