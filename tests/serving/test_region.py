"""Where the network's pixels lie on an image: compared with what decoding really does."""

import numpy as np
import pytest
from PIL import Image

from kcnn.data.decode import RESIZES, decode
from kcnn.serving.region import seen


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(40, 40), (40, 100), (90, 60), (17, 31)])
@pytest.mark.parametrize("shape", [(32, 32, 3), (24, 48, 3)])
def test_the_region_is_where_pixels_come_from(size, shape, resize):
    """Each pixel of the image holds its place, so that what the network gets says where it came from."""
    (height, width), (rows, columns, _) = size, shape
    image = np.zeros((height, width, 3), "uint8")
    image[..., 0] = np.linspace(20, 220, height)[:, None].round()
    image[..., 1] = np.linspace(20, 220, width)[None].round()
    image[..., 2] = 255  # what lies outside of the image is black
    pixels = decode(np.asarray(Image.fromarray(image)), shape, resize).astype("float64")
    region = seen(size, shape, resize)
    for axis, length, edge, extent, count in ((0, height, "top", "height", rows), (1, width, "left", "width", columns)):
        places = region[edge] + region[extent] * (np.arange(count) + 0.5) / count  # shares of the image
        expected = 20 + 200 * (places * length - 0.5) / (length - 1)
        found = pixels[:, columns // 2, 0] if axis == 0 else pixels[rows // 2, :, 1]
        inside = (places > 0.1) & (places < 0.9)
        assert inside.sum() > 4
        pixel = 200 * region[extent] / count  # what a pixel of the network is wide
        assert np.abs(found - expected)[inside].max() < 0.1 * pixel + 1.5
