"""Pictures of maps: coloured, alone or over their image."""

import math

import numpy as np
from matplotlib import colormaps
from PIL import Image

from kcnn.explain.maps import to_size

COLOURS = "inferno"  # from dark to light, so that it is read without seeing colours too
SIDE = 256  # pixels, at least, of the shorter side of a picture
COVER = 0.7  # of the image is hidden where a map is 1


def heatmap(heat):
    """Return a picture of a map (H, W) from 0 to 1."""
    return Image.fromarray(_coloured(_enlarged_map(heat)))


def overlay(pixels, heat):
    """Return a picture of a map (H, W) from 0 to 1 over its image, uint8 (H, W, C).

    The image loses its colour, so that all colour is the map's; the higher the map, the more it hides.
    """
    image = enlarged(pixels).convert("L").convert("RGB")
    heat = _enlarged_map(heat)
    cover = COVER * _opacity(heat)[..., None]
    mixed = np.asarray(image) * (1 - cover) + _coloured(heat) * cover
    return Image.fromarray(mixed.round().astype("uint8"))


def veil(heat):
    """Return a map (H, W) from 0 to 1 as a picture to lay over an image: the higher the map, the more it hides.

    Over an image without colour, at an opacity of `COVER`, it gives what `overlay` draws.
    """
    heat = _enlarged_map(heat)
    opacity = (_opacity(heat)[..., None] * 255).round().astype("uint8")
    return Image.fromarray(np.concatenate([_coloured(heat), opacity], axis=-1))


def enlarged(pixels):
    """Return an image, uint8 (H, W, C), as a picture in which each pixel is a square that can be seen."""
    height, width, channels = pixels.shape
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    times = _times(height, width)
    return picture.resize((width * times, height * times), Image.Resampling.NEAREST)


def _opacity(heat):
    return heat**0.7


def _times(height, width):
    return math.ceil(SIDE / min(height, width))


def _enlarged_map(heat):
    height, width = heat.shape
    times = _times(height, width)
    return to_size(heat[None], height * times, width * times)[0].clip(0, 1)


def _coloured(heat):
    return (colormaps[COLOURS](heat)[..., :3] * 255).round().astype("uint8")
