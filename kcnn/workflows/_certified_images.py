"""The images that an export is measured on, and those that the scales of int8 are found on."""

import functools
from dataclasses import dataclass

import numpy as np

from kcnn import data
from kcnn.data import content
from kcnn.data.folder import ELSEWHERE
from kcnn.errors import DataError


@dataclass(frozen=True)
class CertifiedImages:
    """Some images of a split.

    Attributes:
        images: uint8 (N, H, W, C).
        labels: int32 (N,).
        names: What each is called.
        split: "validation", or "test" where the data has no validation images.
        whole: How many images the split has.
        fingerprint: Of the split.
        calibration: uint8 (M, H, W, C), training images; None where none were asked for.
        config: The `[data]` that they come from.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list
    split: str
    whole: int
    fingerprint: str
    calibration: np.ndarray | None
    config: object

    def facts(self):
        """Return what a certificate says about them."""
        return {
            "split": self.split,
            "count": len(self.images),
            "of": self.whole,
            "fingerprint": self.fingerprint,
            "calibration": None if self.calibration is None else {"split": "train", "count": len(self.calibration)},
        }

    @functools.cached_property
    def _originals(self):
        splits = data.find_source(self.config).splits
        listing = splits.get(self.split) or splits["train"]
        return (
            {} if isinstance(listing.contents, np.ndarray) else dict(zip(listing.names, listing.contents, strict=True))
        )

    def original(self, position):
        """Return the bytes of an image as it was found, or None where it is no file."""
        found = self._originals.get(self.names[position])
        return None if found is None else content.read(found)


def certified_images(recipe, class_names, *, path=None, most, calibration=0, progress=None):
    """Return the `CertifiedImages` of a run.

    Args:
        recipe: Of the run.
        class_names: Those of its model.
        path: Where its data is now; None is what the recipe says.
        most: How many images to take at most, spread evenly over the split and so over its classes.
        calibration: How many training images to add; they are in no other split.
        progress: As for `kcnn.data.load`.

    Raises:
        DataError: There are no images that training did not see.
    """
    config = recipe.data if path is None else recipe.data.model_copy(update={"path": str(path)})

    def load(split, config=config):
        found = data.load(config, recipe.seed, splits=(split,), class_names=class_names, progress=progress)
        return getattr(found, split), found.fingerprint

    for split in ("validation", "test"):
        images, fingerprint = load(split)
        if images is not None:
            break
    else:
        raise DataError(f"The data has neither validation nor test images, and nothing can be certified. {ELSEWHERE}")
    some = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int))
    scales = None
    if calibration:
        fewest = max(calibration, len(class_names))
        few = config.model_copy(update={"limit": min(fewest, config.limit or fewest)})
        train = load("train", few)[0]
        scales = train.images[np.arange(len(train))]
    return CertifiedImages(
        images=images.images[some],
        labels=images.labels[some],
        names=[images.names[index] for index in some],
        split=split,
        whole=len(images),
        fingerprint=fingerprint,
        calibration=scales,
        config=config,
    )
