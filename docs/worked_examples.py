"""Draws the article's hand-worked examples as our layers compute them: python docs/worked_examples.py [PICTURE].

Needs one backend, as KERAS_BACKEND says.
"""

import sys

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

IMAGE = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
KERNEL = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
WINDOW = [[1, 3], [2, 4]]
INK, PAPER, MARK = "#222222", "#dce9f5", "#d95f02"


def convolved():
    layer = layers.Conv2D(1, 3, use_bias=False)
    image = np.array(IMAGE, "float32")[None, ..., None]
    layer.build(image.shape)
    layer.set_weights([np.array(KERNEL, "float32")[..., None, None]])
    return keras.ops.convert_to_numpy(layer(image))[0, ..., 0]


def pooled():
    return keras.ops.convert_to_numpy(layers.MaxPooling2D(2)(np.array(WINDOW, "float32")[None, ..., None]))[0, ..., 0]


def walk():
    """Return the sizes (height, width, channels) of an image, convolved and pooled."""
    x = keras.Input((224, 224, 3))
    y = layers.Conv2D(32, 3, padding="same")(x)
    return [tensor.shape[1:] for tensor in (x, y, layers.MaxPooling2D(2)(y))]


def numbers(axes, values, left, title, *, marked=(), framed=None):
    """Write numbers into squares whose upper left corner is at (left, 0); return how many stand side by side."""
    rows, columns = np.shape(values)
    top = (5 - rows) / 2
    for row in range(rows):
        for column in range(columns):
            at = (left + column, top + row)
            axes.add_patch(Rectangle(at, 1, 1, facecolor=PAPER if (row, column) in marked else "white", edgecolor=INK))
            axes.text(at[0] + 0.5, at[1] + 0.5, f"{values[row][column]:g}", ha="center", va="center", size=13)
    if framed:
        axes.add_patch(Rectangle((left, top), *framed, fill=False, edgecolor=MARK, linewidth=3))
    axes.text(left + columns / 2, -0.35, title, ha="center", va="bottom", size=10)


def word(axes, left, text):
    axes.text(left, 2.5, text, ha="center", va="center", size=16)


def box(axes, left, size, text):
    """Draw a block whose face is the map and whose depth is the number of channels, not to scale."""
    height, _, channels = size
    side, depth = height / 224 * 3.2, channels / 32 * 0.9 + 0.1
    top = 2.6 - side / 2
    corners = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]
    back = [(x + depth, y - depth * 0.6) for x, y in corners]
    axes.add_patch(Polygon([corners[0], back[0], back[1], corners[1]], facecolor="#b7d0ea", edgecolor=INK))
    axes.add_patch(Polygon([corners[1], back[1], back[2], corners[2]], facecolor="#8fb4da", edgecolor=INK))
    axes.add_patch(Polygon(corners, facecolor=PAPER, edgecolor=INK))
    axes.text(left + side / 2 + depth / 2, 4.75, text, ha="center", va="center", size=10)


def draw(path):
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1)
    window = {(row, column) for row in range(3) for column in range(3)}
    numbers(above, IMAGE, 0, "image, 5 x 5", marked=window, framed=(3, 3))
    word(above, 5.75, "*")
    numbers(above, KERNEL, 6.5, "kernel, 3 x 3", marked=window)
    word(above, 10.25, "=")
    numbers(above, convolved(), 11, "feature map, 3 x 3", marked={(0, 0)}, framed=(1, 1))
    numbers(above, WINDOW, 16, "2 x 2", framed=(2, 2))
    word(above, 19, "max")
    numbers(above, pooled(), 20, "1 x 1")
    left = 0.5
    for size, made in zip(walk(), ("image", "convolved by 32 kernels", "the largest of each 2 x 2"), strict=True):
        height, width, channels = size
        box(below, left, size, f"{made}\n{channels} x {height} x {width}")
        left += 8
    for axes, bottom in ((above, 5.2), (below, 5.2)):
        axes.set(xlim=(-0.3, 22), ylim=(bottom, -1), aspect="equal")
        axes.axis("off")
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    draw(sys.argv[1] if len(sys.argv) > 1 else "docs/images/worked-examples.png")
