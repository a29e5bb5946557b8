"""Weights of another training, where a recipe starts from them: `[model] weights`."""

import os
from pathlib import Path

from kcnn.errors import RunError
from kcnn.pretrained.imagenet import IMAGENET, Published
from kcnn.pretrained.saved import Saved
from kcnn.registry import did_you_mean
from kcnn.run import Run


def find(recipe):
    """Return the `Weights` that a recipe names, or None where it starts from random ones.

    Raises:
        RunError: They are not there.
        WeightsError: They cannot be read.
    """
    name = recipe.model.weights
    if name is None:
        return None
    return Published(recipe.model.name) if name == IMAGENET else Saved(_path(name))


def is_there(recipe):
    """Whether the weights that a recipe names are a file that can still be found."""
    try:
        return recipe.model.weights not in (None, IMAGENET) and _path(recipe.model.weights).is_file()
    except RunError:
        return False


def located(recipe):
    """Return the recipe with a path to its weights that is good in every working directory."""
    if not is_there(recipe):
        return recipe
    path = str(_path(recipe.model.weights).resolve())
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"weights": path})})


def _path(name):
    path = Path(os.path.expanduser(name))
    if path.suffix in (".keras", ".h5"):
        if not path.is_file():
            raise RunError(f"model.weights: there is no file {path}.")
        return path
    try:
        return Run.open(path).model
    except RunError as error:
        raise RunError(f"model.weights: {error}{did_you_mean(name, [IMAGENET])}") from error
