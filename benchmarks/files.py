"""How the start of a training grows with the number of files: listing, dividing, comparing, hashing, decoding.

    python benchmarks/files.py [--full]

Makes 1,000, 10,000 and 100,000 JPEG files of 8 x 8 pixels in a temporary folder, with --full 1,000,000 as well; all
have the same size, so that each one is read to look for copies. Files just written are in the system's memory: a disk
that has to be read first is not measured. Decoding stops at 100,000. `again` is a whole load from the cache.
"""

import io
import os
import sys
import tempfile
import time
from pathlib import Path

import _measure
from matplotlib.figure import Figure
from PIL import Image

from kcnn.data import load, loading
from kcnn.data.fingerprint import fingerprint
from kcnn.data.folder import folder
from kcnn.data.leaks import find_copies
from kcnn.schema import DataConfig

COUNTS = (1_000, 10_000, 100_000)
DECODED = 100_000  # the most files that are decoded
CLASSES = 10
PICTURE = Path(__file__).parent.parent / "docs/images/growth-files.png"


def make(root, count):
    """Write `count` files of equal size and different bytes; a JPEG ends before what is put behind it."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 99, 200)).save(file, "JPEG")
    for name in range(CLASSES):
        (root / str(name)).mkdir()
    for index in range(count):
        with open(root / str(index % CLASSES) / f"{index:07d}.jpg", "wb", buffering=0) as target:
            target.write(file.getvalue() + index.to_bytes(4, "big"))


def measure(root, count):
    """Return the seconds that each stage takes."""
    seconds = {}

    def timed(name, function, *arguments):
        begin = time.perf_counter()
        result = function(*arguments)
        seconds[name] = time.perf_counter() - begin
        return result

    config = DataConfig(name="folder", path=str(root))
    source = timed("list", folder, str(root))
    copies = timed("compare", find_copies, source.splits, "train")
    shares = loading._shares(source.splits, config, 0, ("train", "validation"))
    listings = timed("divide", loading._divide, source.splits, shares, copies, None)
    timed("classes", loading._class_names, source, listings, ("train", "validation"), None)
    timed("hash", fingerprint, listings)
    if count <= DECODED:
        del source, listings
        timed("first load", load, config, 0)
        timed("again", load, config, 0)
    return seconds


def draw(rows):
    """Draw seconds over files, both in powers of ten, with a line of proportional growth."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for stage in rows[-2]["seconds"]:
        if stage != "classes":  # far below the others
            known = [row for row in rows if stage in row["seconds"]]
            axes.loglog(
                [row["files"] for row in known], [row["seconds"][stage] for row in known], marker="o", label=stage
            )
    counts = [row["files"] for row in rows]
    axes.loglog(counts, [count * 1e-6 for count in counts], "--", color="grey", label="proportional, 1 s a million")
    axes.set_xlabel("files")
    axes.set_ylabel("seconds")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(PICTURE, dpi=110)


def main():
    rows = []
    for count in (*COUNTS, 1_000_000) if "--full" in sys.argv else COUNTS:
        with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as kept:
            os.environ["KCNN_CACHE"] = kept
            make(Path(root), count)
            rows.append({"files": count, "seconds": measure(Path(root), count)})
    stages = list(rows[0]["seconds"])
    print("milliseconds a thousand files\n" + f"{'files':>10s}" + "".join(f"{stage:>12s}" for stage in stages))
    for row in rows:
        each = [1e6 * row["seconds"][stage] / row["files"] if stage in row["seconds"] else None for stage in stages]
        print(f"{row['files']:10,}" + "".join(f"{'-':>12s}" if value is None else f"{value:12.2f}" for value in each))
    _measure.write("files", {"rows": rows})
    draw(rows)


if __name__ == "__main__":
    main()
