"""Handwritten digits somewhere in noise: many images of six classes to learn from first, a few of the four others."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

FIRST, OTHERS = range(6), range(6, 10)
SIDE = 16  # pixels; a digit has 8


def write(folder, classes, train=None):
    """Write digits of `classes` as PNG files below `folder`/train, and all but `train` of each below `folder`/test.

    Where a digit stands has to be learned too: a few images do not show it.
    """
    rng = np.random.default_rng(0)
    digits = load_digits()
    seen = dict.fromkeys(classes, 0)
    for image, label in zip(digits.images, digits.target, strict=True):
        if label not in seen:
            continue
        seen[label] += 1
        top, left = rng.integers(0, SIDE - 8, 2)
        picture = rng.normal(64, 32, (SIDE, SIDE))
        picture[top : top + 8, left : left + 8] += image * 10
        target = folder / ("train" if train is None or seen[label] <= train else "test") / str(label)
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype("uint8")).save(target / f"{seen[label]:03d}.png")
    return folder


# Both trainings take the same steps on the same images.
FEW = ("epochs=40", "batch_size=8", "data.validation=0", "augment=[]", "model.depth=3")
