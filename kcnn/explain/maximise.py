"""The input that excites a channel most, found by gradient ascent."""

import numpy as np
from scipy.ndimage import gaussian_filter

from kcnn import random
from kcnn.errors import KcnnError

STEPS = 200
RATE = 4.0  # of 255, the root mean square of a step's change
JITTER = 1 / 16  # of the shorter side, by which the image is shifted before a step
BLUR = 0.4  # pixels, after each step, which fades towards the end
START = 8.0  # of 255, on each side of grey, what the first image varies by


def maximise(network, channel, *, steps=STEPS, progress=None):
    """Return (image, before, after): uint8 (H, W, C), and the channel's mean for the first image and for that one.

    Erhan et al. (2009). Shifts (Mordvintsev et al. 2015) and blur (Yosinski et al. 2015) keep patterns that only
    one pixel grid brings about from growing.

    Args:
        network: A `TakenApart` at the layer.
        channel: From 0; of a layer without places, the unit.
        progress: Called as `(done, total, what)`.

    Raises:
        KcnnError: The channel does not answer to the image, so there is no way up.
    """
    height, width, channels = network.image_shape
    counters = np.arange(height * width * channels, dtype="int32").reshape(1, height, width, channels)
    noise = random.uniform(random.bits(random.key(0, "maximise", "start"), counters))
    image = (127.5 + START * (2 * noise - 1)).astype("float32")
    before = _excitement(network, image, channel)
    reach = max(1, round(JITTER * min(height, width)))
    for step in range(steps):
        shift = _shift(step, reach)
        _, slope = network.channel_gradients(np.roll(image, shift, (1, 2)), channel)
        slope = np.roll(slope, (-shift[0], -shift[1]), (1, 2))
        size = np.sqrt(np.square(slope).mean())
        if size == 0:
            raise KcnnError(
                f"Channel {channel} of {network.layer} does not answer to the image: its derivative is 0 everywhere, "
                "as behind a rectifier that lets nothing through. Try another channel, or the layer before."
            )
        left = 1 - step / steps
        image = np.clip(image + RATE * left * slope / size, 0, 255)
        image = gaussian_filter(image, (0, BLUR * left, BLUR * left, 0), mode="nearest")
        if progress:
            progress(step + 1, steps, f"maximising {network.layer}:{channel}")
    found = image.round()
    return found[0].astype("uint8"), before, _excitement(network, found, channel)


def _excitement(network, image, channel):
    return float(network.channel_gradients(image, channel)[0][0])


def _shift(step, reach):
    draws = random.bits(random.key(0, "maximise", "shift", step), np.arange(2, dtype="int32"))
    down, right = random.integers(draws, 2 * reach + 1) - reach
    return int(down), int(right)
