"""The records that every data source ends in: a Dataset of up to three Splits."""

from dataclasses import dataclass, field

import numpy as np

from kcnn.data.stream import StreamedImages


@dataclass(frozen=True)
class Split:
    """Images and labels of one split, in the order of their names.

    Attributes:
        images: uint8 array (N, H, W, C) of 0..255, or a `StreamedImages` that decodes `images[indices]` on demand.
        labels: int32 array (N,) of indices into the class names.
        names: What each image is called, for instance `"cat/0001.jpg"`.
        sizes: int32 array (N, 2), height and width of each image before it was resized; None where nobody asked.
    """

    images: np.ndarray | StreamedImages
    labels: np.ndarray
    names: list[str]
    sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Dataset:
    """What `load` returns.

    Attributes:
        train, validation, test: None where the split was not asked for, or where the source has none.
        class_names: The label of each class index.
        image_shape: (height, width, channels) of every image.
        mean, std: Per channel, in units of 0..1, measured on training images; None where those were not loaded
            and the recipe gives none.
        skipped: (name, reason) of each image that was left out.
        fingerprint: A hash of names, labels and contents of the splits that were asked for.
    """

    train: Split | None
    validation: Split | None
    test: Split | None
    class_names: list[str]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    fingerprint: str = ""
