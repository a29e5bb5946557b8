"""Contact sheets of maps over images, and their curves."""

import math
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from kcnn.amount import percent
from kcnn.data.listing import readable
from kcnn.explain.maps import normalise
from kcnn.explain.pictures import COLOURS, enlarged, overlay
from kcnn.files import atomic
from kcnn.workflows._lettering import any_script, short

PANELS = 6  # beside each other on a contact sheet


@any_script()
def draw_sheet(rows, path):
    """Draw images beside their maps.

    Args:
        rows: `(pixels, explanations)`: uint8 (H, W, C), and an `Explanation` for each method.
    """
    methods = len(rows[0][1])
    side_by_side = min(len(rows), max(1, PANELS // (methods + 1)))
    down = math.ceil(len(rows) / side_by_side)
    across = side_by_side * (methods + 1)
    figure = Figure(figsize=(1.75 * across + 1, 2.05 * down + 0.2), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.08)
    panels = figure.subplots(down, across, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for place, (pixels, explanations) in enumerate(rows):
        row, column = divmod(place, side_by_side)
        first, *others = panels[row, column * (methods + 1) : (column + 1) * (methods + 1)]
        one = explanations[0]
        _show(first, enlarged(pixels), f"{short(readable('/'.join(Path(one.image).parts[-2:])))}\n{_answer(one)}")
        for axes, explanation in zip(others, explanations, strict=True):
            heat = normalise(np.load(explanation.array)[None])[0]
            _show(axes, overlay(pixels, heat), explanation.method.replace("_", " "))
    bar = ScalarMappable(cmap=COLOURS)
    figure.colorbar(bar, ax=panels, shrink=0.9 / down**0.5, aspect=30, pad=0.01, ticks=(0, 0.5, 1)).set_label(
        "share of the largest value", size=8
    )
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)


def draw_curves(means, scores, path):
    """Draw mean deletion and insertion curves.

    Args:
        means: Method to a pair of curves (2, steps + 1).
        scores: Method to its areas.
    """
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    for which, (axes, name, goal) in enumerate(
        zip(figure.subplots(1, 2, sharey=True), ("deletion", "insertion"), ("lower", "higher"), strict=True)
    ):
        for method, pair in means.items():
            plain = method == list(means)[-1]  # the random order, which the others have to beat
            axes.plot(
                np.linspace(0, 1, len(pair[which])),
                pair[which],
                color="black" if plain else None,
                linestyle="--" if plain else "-",
                label=f"{method.replace('_', ' ')}: {scores[method][name]:.3f}",
            )
        axes.set_title(f"{name}: {goal} is better")
        axes.set_xlabel("share of the pixels that is " + ("black" if name == "deletion" else "sharp"))
        axes.grid(alpha=0.3)
        axes.legend(title="mean area", fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    figure.axes[0].set_ylabel("probability of the class")
    figure.axes[0].set_ylim(-0.02, 1.02)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _show(axes, picture, title):
    axes.imshow(picture, cmap="gray" if picture.mode == "L" else None, vmin=0, vmax=255)
    axes.set_title(title, size=8, parse_math=False)


def _answer(one):
    beside = "" if one.label == one.predicted else f" (says {short(one.predicted, 12)})"
    return f"{short(one.label, 16)} {percent(one.probability)}{beside}"
