"""Pictures of what is inside a network: kernels, feature maps, and what excites a channel."""

import math

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from kcnn.anatomy.graph import calls
from kcnn.data.decode import decode
from kcnn.errors import UsageError
from kcnn.explain.maximise import maximise
from kcnn.explain.network import TakenApart
from kcnn.explain.pictures import COLOURS, enlarged
from kcnn.files import atomic

MOST_KERNELS = 256
MOST_MAPS = 16  # of a stage
GREY, WHITE = 128, 255


def draw_kernels(classifier, path):
    """Draw the kernels of the first convolution, and return its name and how many were drawn.

    Grey is 0, and one scale holds for all; three channels are drawn as colours, others as their mean.

    Raises:
        UsageError: The model has no convolution whose kernels lie on the image.
    """
    name, kernels = first_kernels(classifier.model)
    tiles = kernels.transpose(3, 0, 1, 2)[:MOST_KERNELS]
    if tiles.shape[-1] != 3:
        tiles = tiles.mean(axis=-1, keepdims=True)
    scaled = (tiles / np.abs(tiles).max() * 127 + GREY).round().astype("uint8")
    _save(_grid(scaled, times=max(1, 64 // tiles.shape[1])), path)
    return name, len(tiles)


def first_kernels(model):
    """Return the name and the kernels (h, w, channels, filters) of the first convolution, within models too.

    Raises:
        UsageError: It has none.
    """
    for call in calls(model):
        kernel = getattr(call.layer, "kernel", None)
        if kernel is not None and len(kernel.shape) == 4 and kernel.shape[0] * kernel.shape[1] > 1:
            return call.name, np.asarray(call.layer.get_weights()[0])
    raise UsageError(f"The model {model.name!r} has no convolution whose kernels could be drawn.")


def draw_feature_maps(classifier, image, path):
    """Draw what the last layer of each stage makes of an image; return the shape of each by its name.

    Of each, the channels are drawn whose mean is largest, each from its own smallest value to its largest.

    Raises:
        ImageError: The image cannot be read.
        UsageError: No layer gives a map.
    """
    pixels = decode(image, classifier.image_shape, classifier.resize)
    stages = TakenApart(classifier.model).stages(pixels[None].astype("float32"))
    columns = MOST_MAPS // 2
    figure = Figure(figsize=(1.1 * (columns + 2), 2.6 * len(stages)), layout="constrained")
    parts = figure.subfigures(len(stages), 2, width_ratios=(2, columns), squeeze=False)
    image_axes = parts[0, 0].subplots()
    image_axes.imshow(enlarged(pixels), cmap="gray")
    image_axes.set_title("what the network sees", size=9)
    image_axes.axis("off")
    for part, (layer, (maps,)) in zip(parts[:, 1], stages.items(), strict=True):
        strongest = np.argsort(-maps.mean(axis=(0, 1)), kind="stable")[:MOST_MAPS]
        height, width, channels = maps.shape
        part.suptitle(f"{layer}: {height} x {width}, {len(strongest)} of {channels} channels", size=10)
        for axes in (panels := part.subplots(2, columns, squeeze=False)).flat:
            axes.axis("off")
        for axes, channel in zip(panels.flat, sorted(strongest), strict=False):
            axes.imshow(maps[..., channel], cmap=COLOURS)
            axes.set_title(channel, size=7, pad=2)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return {layer: maps.shape[1:] for layer, maps in stages.items()}


def draw_maximised(classifier, layer, channel, path, progress=None):
    """Draw the image that excites a channel of a layer most; return the channel's mean before and after.

    Raises:
        UsageError: There is no such layer or channel.
        KcnnError: The channel does not answer to the image.
    """
    network = TakenApart(classifier.model, layer)
    channels = network.output_shape[-1]
    if not 0 <= channel < channels:
        raise UsageError(f"{layer} has channels 0 to {channels - 1}. Received: {channel}")
    image, before, after = maximise(network, channel, progress=progress)
    _save(enlarged(image), path)
    return before, after


def _grid(tiles, *, times, gap=1):
    """Return a picture of tiles, uint8 (N, h, w, C), each enlarged, side by side with white between."""
    count, height, width, channels = tiles.shape
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    canvas = np.full(
        (down * (height * times + gap) + gap, across * (width * times + gap) + gap, channels), WHITE, "uint8"
    )
    for index, tile in enumerate(tiles.repeat(times, axis=1).repeat(times, axis=2)):
        top, left = (
            gap + place * (side * times + gap)
            for place, side in zip(divmod(index, across), (height, width), strict=True)
        )
        canvas[top : top + height * times, left : left + width * times] = tile
    return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)


def _save(picture, path):
    with atomic(path) as temporary:
        picture.save(temporary)
