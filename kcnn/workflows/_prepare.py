"""What every training starts from: a recipe with all that its weights decide, its data, those weights."""

import numpy as np

from kcnn import data, pretrained
from kcnn.errors import RecipeError


def prepare(recipe, *, progress=None, say=lambda message: None, missing_weights=False):
    """Return the recipe, its `Dataset`, and the `Weights` that it starts from or None.

    Where it starts from another training, its pixels become what that one was trained on, unless it says otherwise.

    Args:
        recipe: What `kcnn.recipe.load` returned.
        progress: Called as `(done, total, what)` while images are read.
        say: Called with a sentence about how pixels are normalised, where weights leave a choice.
        missing_weights: Whether it is no mistake that the weights are no longer there.

    Raises:
        RecipeError, RunError, DataError, ImageError: As their messages say.
    """
    weights = None
    if not missing_weights or pretrained.is_there(recipe):
        weights = pretrained.find(recipe)
    if weights:
        own = recipe.data.mean, recipe.data.std
        recipe = weights.settle(recipe)
        if own[0] is None:
            say(_normalisation(weights))
        elif weights.mean is not None and not np.allclose(own, (weights.mean, weights.std)):
            say(
                f"Pixels are normalised by the recipe's own mean and standard deviation. {weights.source} was trained "
                f"with {_numbers(weights)}, and may be of little use with others."
            )
    return recipe, data.load(recipe.data, recipe.seed, progress=progress), weights


def check_validation(wanted, dataset):
    """Raise `RecipeError` where a recipe's callbacks need validation images, and the data turn out to have none."""
    if dataset.validation is not None:
        return
    stopping = wanted.early_stopping and wanted.early_stopping.monitor.startswith("val_")
    for name, needs in {"best": wanted.best, "early_stopping": stopping}.items():
        if needs:
            raise RecipeError(f"callbacks.{name}: needs validation images, and the data has none.")


def _normalisation(weights):
    if weights.mean is None:
        return f"How {weights.source} wants its pixels normalised is not known: as those of the training images are."
    return f"Pixels are normalised as {weights.source} knows them: {_numbers(weights)}."


def _numbers(weights):
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (weights.mean, weights.std))
    return f"mean {mean}; standard deviation {std}"
