"""Weights of another training: where they are, what of them fits a network, what they expect of the pixels."""

import hashlib
import io
import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py

from kcnn.errors import RecipeError, RunError
from kcnn.run import Run

SHOWN = 6  # names in one message


@dataclass
class Loaded:
    """What of some weights a network has taken.

    Attributes:
        source: Where they come from.
        count, total: Arrays of numbers that were loaded, and those that the network has.
        left: {name of a layer with weights: why it has kept its own}.
        unused: Names of layers that the source has and the network has not.
    """

    source: str
    count: int = 0
    total: int = 0
    left: dict = field(default_factory=dict)
    unused: list = field(default_factory=list)

    def __str__(self):
        reasons = {}
        for name, reason in self.left.items():
            reasons.setdefault(reason, []).append(name)
        found = f"{self.count} of {self.total} weights loaded from {self.source}."
        if reasons:
            found += f" Not loaded: {'; '.join(f'{_some(names)} ({why})' for why, names in reasons.items())}."
        if self.unused:
            found += f" Without a place in the network: {_some(self.unused)}."
        return found


def _some(names):
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


class Weights:
    """Weights by the names of their layers; what differs between their sources is in the classes below.

    Attributes:
        source: How messages call them.
        facts: What environment.json says about them.
        digest: SHA-256 of the file; None where it is not kcnn's to check.
        class_names: What the logits stand for, or None where that is not known.
        mean, std: Per channel, for pixels from 0 to 1, as the network was trained; None where that is not known.
    """

    source = ""
    digest = None
    class_names = None
    mean = std = None

    @property
    def facts(self):
        return {"source": self.source, "sha256": self.digest}

    @contextmanager
    def layers(self, network):
        """Yield {name of a layer: its arrays, in the order of `layer.weights`}, for as long as the block lasts."""
        raise NotImplementedError

    def settle(self, recipe):
        """Return a recipe whose pixels are what the network knows, wherever the recipe itself leaves that open.

        Raises:
            RecipeError: It wants another number of channels.
        """
        if self.mean is None:
            return recipe
        known = {"channels": len(self.mean), "mean": self.mean, "std": self.std}
        if recipe.data.channels not in (None, known["channels"]):
            raise RecipeError(
                f"data.channels: the network of {self.source} takes {known['channels']}. "
                f"Received: {recipe.data.channels}"
            )
        if recipe.data.mean is not None:
            known = {"channels": known["channels"]}
        return recipe.model_copy(update={"data": recipe.data.model_copy(update=known)})

    def load_into(self, network, class_names):
        """Give each layer of `network` what its namesake has, where every shape is the same; return `Loaded`.

        Logits that stand for other classes than `class_names` are left as they are.

        Raises:
            RecipeError: Nothing fits.
        """
        found = Loaded(self.source)
        with self.layers(network) as there:
            ours = [layer for layer in network.layers if layer.weights]
            for layer in ours:
                found.total += len(layer.weights)
                reason = self._unfit(layer, there.get(layer.name), class_names)
                if reason:
                    found.left[layer.name] = reason
                    continue
                for weight, array in zip(layer.weights, there[layer.name], strict=True):
                    weight.assign(array[()])
                found.count += len(layer.weights)
            names = {layer.name for layer in ours}
            found.unused = [name for name in there if name not in names]
        if not found.count:
            raise RecipeError(f"model.weights: nothing in {self.source} fits {network.name}. {found}")
        return found

    def _unfit(self, layer, arrays, class_names):
        """Return why a layer cannot take `arrays`, or None where it can."""
        if arrays is None:
            return "not there"
        ours, theirs = [tuple(weight.shape) for weight in layer.weights], [tuple(array.shape) for array in arrays]
        if is_logits(layer):
            there, here = theirs[-1][-1], ours[-1][-1]
            if there != here:
                return f"{there} classes there, {here} here"
            if self.class_names is not None and list(self.class_names) != list(class_names):
                return "the classes are others"
        if ours != theirs:
            shapes = [(a, b) for a, b in zip(theirs, ours, strict=False) if a != b] or [(theirs, ours)]
            return f"the shapes differ: {shapes[0][0]} there, {shapes[0][1]} here"
        return None


def is_logits(layer):
    """Whether a layer's outputs are one number a class: those that count, and those of auxiliary heads."""
    return layer.name == "logits" or layer.name.endswith("_logits")


class Saved(Weights):
    """What a run, a `.keras` file or a `.weights.h5` file holds; no model is built of it and no code in it is run.

    Args:
        path: Of the file.

    Raises:
        RunError: It is not there, or not such a file.
    """

    def __init__(self, path):
        self.path = Path(path).resolve()
        self.source = str(path)
        try:
            self.digest = _sha256(self.path)
            config = self._config()
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RunError(f"Cannot read weights from {path}: {getattr(error, 'strerror', None) or error}.") from error
        self.mean, self.std = _normalisation(config)
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
            file = h5py.File(content, "r")
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise RunError(f"{self.source} holds no weights as Keras 3 saves them: {error}") from error
        with file:
            yield _by_name(file)


def _by_name(file):
    """Return {name of a layer: its datasets} of an HDF5 file of Keras 3, which notes the name beside the numbers."""
    found = {}

    def visit(_, group):
        if isinstance(group, h5py.Group) and isinstance(group.attrs.get("name"), str) and len(group):
            arrays = [group[key] for key in sorted(group, key=int)]
            # Numbers that lie in other files, or are none, are no weights of this one.
            if all(isinstance(a, h5py.Dataset) and a.dtype.kind == "f" and not a.external for a in arrays):
                found[group.attrs["name"]] = arrays

    file.visititems(visit)  # which follows no link into another file
    return found


def _normalisation(config):
    """Return mean and std of the layer `normalise` that every network of kcnn has, or None twice."""
    for layer in config.get("config", {}).get("layers", ()):
        if layer.get("class_name") == "Rescaling" and layer["config"].get("name") == "normalise":
            # Twelve digits, so that what was 0.4914 is 0.4914 again.
            std = [1 / (255 * scale) for scale in layer["config"]["scale"]]
            mean = [-offset * each for offset, each in zip(layer["config"]["offset"], std, strict=True)]
            return tuple(tuple(round(value, 12) + 0.0 for value in values) for values in (mean, std))
    return None, None


def _sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(recipe):
    """Return the `Weights` that a recipe names, or None where it starts from random ones.

    Raises:
        RunError: They are not there, or cannot be read.
    """
    name = recipe.model.weights
    return None if name is None else Saved(_path(name))


def is_there(recipe):
    """Whether the weights that a recipe names can still be found."""
    try:
        return recipe.model.weights is not None and _path(recipe.model.weights).is_file()
    except RunError:
        return False


def located(recipe):
    """Return the recipe with a path to its weights that is good in every working directory."""
    if not is_there(recipe):
        return recipe
    path = str(_path(recipe.model.weights).resolve())
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": path})})


def _path(name):
    path = Path(name).expanduser()
    if path.suffix in (".keras", ".h5"):
        if not path.is_file():
            raise RunError(f"model.weights: there is no file {path}.")
        return path
    return Run.open(path).model
