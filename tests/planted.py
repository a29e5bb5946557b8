"""Images with a planted shortcut: a small coloured patch, at any place, in all images of one class.

Run as a script, it writes some to train on and others to explain: python tests/planted.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

TRAIN, UNSEEN = slice(0, 240), slice(240, 357)  # of the threes and eights
SIDE, PATCH = 32, 6
COLOUR = (230, 40, 200)


def plant(folder, which):
    """Write some images of threes and eights, one folder a class; return the paths of those with a patch, and where.

    A digit could be told by its shape; the patch, which all eights have, is easier.
    """
    digits = load_digits()
    generator = np.random.default_rng(which.start)
    corners = {}
    chosen = [index for index in range(len(digits.target)) if digits.target[index] in (3, 8)]
    for index in chosen[which]:
        label = int(digits.target[index])
        pixels = (digits.images[index] * 255 / 16).round().astype("uint8")
        small = Image.fromarray(pixels).resize((20, 20), Image.Resampling.BICUBIC)
        canvas = np.full((SIDE, SIDE, 3), 40, "uint8")
        top, left = generator.integers(0, SIDE - 20, 2)
        canvas[top : top + 20, left : left + 20] = np.maximum(np.asarray(small)[..., None], 40)
        path = folder / str(label) / f"{index:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if label == 8:
            top, left = generator.integers(0, SIDE - PATCH, 2)
            canvas[top : top + PATCH, left : left + PATCH] = COLOUR
            corners[path] = (int(top), int(left))
        Image.fromarray(canvas).save(path)
    return corners


def points_at(heat, corner, *, within):
    """Return whether the largest value of a map (H, W) lies in the patch, or at most `within` pixels beside it."""
    place = np.unravel_index(np.argmax(heat), heat.shape)
    return all(edge - within <= at < edge + PATCH + within for at, edge in zip(place, corner, strict=True))


if __name__ == "__main__":
    plant(Path(sys.argv[1]) / "train", TRAIN)
    plant(Path(sys.argv[1]) / "unseen", UNSEEN)
