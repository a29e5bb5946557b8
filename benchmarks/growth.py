"""How the time of a training step grows with the batch, the image, the width and the depth of the network.

What is drawn is the time for a unit of work: an image for the batch, a multiplication of the network for the others. A
line that rises grows faster than its work. `--full` takes all points, else every second.
"""

import argparse
import json
import statistics
from pathlib import Path

import _measure
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, StrMethodFormatter

PICTURE = Path(__file__).parent.parent / "docs/images/growth.png"
AXES = {
    "batch size": ("simple_cnn", [16, 32, 64, 128, 256, 512, 1024], lambda n: {"batch_size": n}),
    "image side (batch 32)": ("simple_cnn", [32, 48, 64, 96, 128, 160, 224], lambda n: {"side": n, "batch_size": 32}),
    "width": ("simple_cnn", [8, 16, 24, 32, 48, 64, 96], lambda n: {"overrides": [f"model.width={n}"]}),
    "depth": ("resnet20", [20, 32, 44, 56, 110], lambda n: {"overrides": [f"model.name=resnet{n}"], "batch_size": 64}),
}


def keywords(options):
    return [f"{name}={json.dumps(value)}" for name, value in options.items()]


def measure(backend, network, options):
    """Return nanoseconds for 1000 multiplications of the forward pass, microseconds an image, and images a second."""
    child = _measure.Child("kcnn_fit", network, "float32", *keywords(options), backend_name=backend)
    try:
        batch = options.get("batch_size", 128)
        steps = max(2, round(256 / batch))
        speeds = [child.run(steps)["images_per_second"] for _ in range(3)]
    finally:
        child.close()
    speed = statistics.median(speeds)
    return {
        "images_per_second": speed,
        "macs": child.start["macs"],
        "microseconds_an_image": 1e6 / speed,
        "nanoseconds_a_kilomac": 1e12 / speed / child.start["macs"],
    }


def draw(found):
    figure, panels = plt.subplots(1, len(AXES), figsize=(4 * len(AXES), 3.6), layout="constrained")
    for panel, axis in zip(panels, AXES, strict=True):
        unit = "microseconds_an_image" if axis == "batch size" else "nanoseconds_a_kilomac"
        for backend, points in found[axis].items():
            panel.plot([int(n) for n in points], [point[unit] for point in points.values()], "o-", label=backend)
        panel.set(xscale="log", yscale="log", xlabel=axis, ylabel=unit.replace("_", " "))
        panel.set_xticks([int(n) for n in points], list(points), minor=False)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].legend()
    figure.savefig(PICTURE, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--backends", default="tensorflow,torch,jax")
    options = parser.parse_args()
    found = {}
    for axis, (network, sizes, settings) in AXES.items():
        sizes = sizes if options.full else sizes[::2]
        found[axis] = {backend: {} for backend in options.backends.split(",")}
        for size in sizes:
            for backend, points in found[axis].items():
                points[str(size)] = point = measure(backend, network, settings(size))
                print(
                    f"{axis:24}{size:6}  {backend:12}{point['images_per_second']:9,.0f} images/s"
                    f"{point['nanoseconds_a_kilomac']:9.2f} ns/kMAC",
                    flush=True,
                )
        _measure.write("growth", {"results": found})
    draw(found)


if __name__ == "__main__":
    main()
