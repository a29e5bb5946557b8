"""Decoding JPEG files: kcnn's `decode_many` against one loop of Pillow.

    python benchmarks/decoding.py [FOLDER]

FOLDER holds small images of one size, such as CIFAR-10 as JPEG files; without it they are made. Larger ones,
500 x 375, are always made. The rounds are interleaved; the table shows the median and, behind it, the extremes.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import _measure
import numpy as np
from PIL import Image

from kcnn.data.decode import decode_many
from kcnn.data.find import find_images

ROUNDS = 7
SMALL, LARGE = 50_000, 2_000  # images


def make(folder, count, size):
    """Write `count` JPEG files of `size` (width, height) with soft shapes and some noise, as photographs have."""
    generator = np.random.default_rng(0)
    width, height = size
    for index in range(count):
        soft = Image.fromarray(generator.integers(0, 256, (6, 8, 3), "uint8")).resize(size, Image.Resampling.BICUBIC)
        noise = generator.integers(-12, 13, (height, width, 3))
        pixels = (np.asarray(soft) + noise).clip(0, 255).astype("uint8")
        Image.fromarray(pixels).save(folder / f"{index:06d}.jpg", quality=90)


def loop(files, shape):
    """Decode with one plain loop of Pillow."""
    out = np.empty((len(files), *shape), "uint8")
    for index, path in enumerate(files):
        with Image.open(path) as image:
            out[index] = np.asarray(image.convert("RGB"))
    return out


def ours(files, shape):
    """Decode as `kcnn fit` does."""
    out = np.empty((len(files), *shape), "uint8")
    assert not decode_many(files, shape, "crop", out=out)
    return out


def measure(files):
    """Return the result for files of one size, after a check that both ways give the same bits."""
    with Image.open(files[0]) as image:
        width, height = image.size
    shape = (height, width, 3)
    if not np.array_equal(loop(files, shape), ours(files, shape)):
        sys.exit("The two ways give different pixels.")
    seconds = {"loop": [], "kcnn": []}
    for _ in range(ROUNDS):
        for name, way in (("loop", loop), ("kcnn", ours)):
            begin = time.perf_counter()
            way(files, shape)
            seconds[name].append(time.perf_counter() - begin)
    ratios = [one / two for one, two in zip(*seconds.values(), strict=True)]
    return {"images": len(files), "size": f"{width}x{height}", "seconds": seconds, "ratios": ratios}


def spread(values, form):
    """Return the median of values, and their extremes."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        given = sys.argv[1] if len(sys.argv) > 1 else None
        for name, count, size in (("small", SMALL, (32, 32)), ("large", LARGE, (500, 375))):
            if name == "large" or not given:
                (folder / name).mkdir()
                make(folder / name, count, size)
        sets = [find_images([given or folder / "small"])[:SMALL], find_images([folder / "large"])]
        found = [measure(files) for files in sets]
    print(f"{'images':>8s} {'size':>8s}  {'loop, s':26s} {'kcnn, s':26s} ratio")
    for one in found:
        seconds = [f"{spread(values, '.3f'):26s}" for values in one["seconds"].values()]
        print(f"{one['images']:8,} {one['size']:>8s}  {' '.join(seconds)} {spread(one['ratios'], '.2f')}")
    _measure.write("decoding", {"command": " ".join(["python", *map(os.path.relpath, sys.argv)]), "sets": found})


if __name__ == "__main__":
    main()
