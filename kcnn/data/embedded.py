"""Data that comes with a library which is installed anyway."""

import numpy as np

from kcnn.data.listing import Listing, Source
from kcnn.data.split import hold_out

TEST_FRACTION = 0.2


def digits() -> Source:
    """1,797 handwritten digits of 8x8 grey pixels, embedded in scikit-learn; a fifth is held out as test.

    Its 0..16 become 0..255, rounded to the nearest.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = ((data.images.astype("int32") * 255 + 8) // 16).astype("uint8")[..., None]
    labels = [str(label) for label in data.target]
    names = [f"{index:04d}" for index in range(len(labels))]
    everything = Listing(names, labels, images, where="digits/")
    test = hold_out(names, labels, TEST_FRACTION, 0, "test")
    return Source(
        {"train": everything.take(np.flatnonzero(~test)), "test": everything.take(np.flatnonzero(test))},
        class_names=[str(digit) for digit in range(10)],
    )
