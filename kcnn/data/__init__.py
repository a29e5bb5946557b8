"""Datasets: every source is listed, divided, checked and decoded into one Dataset record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kcnn.registry import DATASETS

if TYPE_CHECKING:
    from kcnn.data.dataset import Dataset


def load(
    config,
    seed: int,
    *,
    splits: Sequence[str] = ("train", "validation"),
    class_names: Sequence[str] | None = None,
    undivided: bool = False,
    sizes: bool = False,
    progress: Callable[[int, int | None, str], None] | None = None,
) -> Dataset:
    """Load the data that a recipe names; decode only the splits that are asked for.

    Args:
        config: The recipe's `[data]`. Where it has a path, the images come from there, whatever the name.
        seed: Decides which training images are held out for validation. The test images never depend on it.
        splits: Of `"train"`, `"validation"`, `"test"`. One that the source lacks and the recipe holds none out for
            is None in the result, except train.
        class_names: The classes of a trained model, in its order.
        undivided: Take a source that has no splits whole, as the first of `splits`, instead of dividing it.
        sizes: Also find the size that each image had before it was resized.
        progress: Called as `progress(done, total, what)`; the total is None while files are listed.

    Raises:
        DataNotFoundError: If there is nothing to load.
        DataError: If an image lies in two splits of the source, a class has too few images, or labels are unknown.
        ImageError: If images cannot be read and `config.on_bad_image` is "fail"; one message for all of them.
    """
    from kcnn.data.loading import load_source  # brings NumPy and Pillow, which the table alone does not need

    return load_source(
        find_source(config, class_names, progress),
        config,
        seed,
        splits=splits,
        class_names=class_names,
        undivided=undivided,
        sizes=sizes,
        progress=progress,
    )


def find_source(config, class_names=None, progress=None):
    """Return the `Source` that a recipe names, listed and not decoded; arguments and errors as of `load`."""
    DATASETS.target(config.name)  # an unknown name is a mistake even where a path makes it unimportant
    if config.path is not None or config.name == "folder":
        return DATASETS.get("folder")(config.path, config.memory_limit, class_names, progress)
    return DATASETS.get(config.name)()
