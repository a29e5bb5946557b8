"""Weights in a file of Keras 3; no model is built of it and no code in it is run."""

import io
import json
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import h5py

from kcnn.digest import sha256
from kcnn.errors import WeightsError
from kcnn.pretrained.weights import Weights
from kcnn.run import Run

# What zip, zlib and HDF5 raise of damaged files.
DAMAGE = (OSError, RuntimeError, ValueError, LookupError, zipfile.BadZipFile, zlib.error)


class Saved(Weights):
    """What a `.keras` file (with labels.json beside it in a run), or a `.weights.h5` file holds.

    Args:
        path: Of the file.

    Raises:
        WeightsError: It cannot be read.
    """

    def __init__(self, path):
        self.path = Path(path).resolve()
        self.source = str(path)
        try:
            self.digest = sha256(self.path)
            self.mean, self.std = _normalisation(self._config())
        except (*DAMAGE, TypeError, AttributeError) as error:
            raise WeightsError(
                f"Cannot read weights from {path}: {getattr(error, 'strerror', None) or error}."
            ) from error
        labels = self.path.parent / "labels.json"
        if labels.is_file():
            self.class_names = Run(self.path.parent).read_json(labels)

    def _config(self):
        if self.path.suffix != ".keras":
            return {}
        with zipfile.ZipFile(self.path) as file:
            return json.loads(file.read("config.json"))

    @contextmanager
    def layers(self, network):
        try:
            content = self.path
            if self.path.suffix == ".keras":
                with zipfile.ZipFile(self.path) as file:
                    content = io.BytesIO(file.read("model.weights.h5"))
            with h5py.File(content, "r") as file:
                yield _by_name(file)  # of a damaged file some numbers cannot be read, which only their reader notices
        except DAMAGE as error:
            raise WeightsError(f"{self.source} holds no weights as Keras 3 saves them: {error}") from error


def _by_name(file):
    """Return {name of a layer: its datasets} of an HDF5 file of Keras 3, which notes the name beside the numbers."""
    found = {}

    def visit(_, group):
        if isinstance(group, h5py.Group) and isinstance(group.attrs.get("name"), str) and len(group):
            numbered = {int(key): key for key in group if key.isdigit()}
            arrays = [_numbers(group, numbered[place]) for place in sorted(numbered)]
            if len(arrays) == len(group) and None not in arrays:
                found[group.attrs["name"]] = arrays

    file.visititems(visit)  # which follows no link into another file
    return found


def _numbers(group, key):
    """Return a dataset of numbers, or None where it is something else or lies in another file, which may be any."""
    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        return None
    found = group[key]
    own = isinstance(found, h5py.Dataset) and not found.external and not found.is_virtual
    return found if own and found.dtype.kind == "f" else None


def _normalisation(config):
    """Return mean and std of the layer `normalise` that every network of kcnn has, or None twice."""
    for layer in config.get("config", {}).get("layers", ()):
        ours = layer.get("class_name") == "Rescaling" and layer["config"].get("name") == "normalise"
        if ours and isinstance(layer["config"]["scale"], list):
            # Twelve digits, so that what was 0.4914 is 0.4914 again.
            std = [1 / (255 * scale) for scale in layer["config"]["scale"]]
            mean = [-offset * each for offset, each in zip(layer["config"]["offset"], std, strict=True)]
            return tuple(tuple(round(value, 12) + 0.0 for value in values) for values in (mean, std))
    return None, None
