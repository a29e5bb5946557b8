"""A real browser's screen and colours."""

import numpy as np


def screen(browser, width, dark=False):
    """Make the browser's screen so many pixels wide; below 500 it is a phone's."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def contrast(one, other):
    """The contrast ratio of two sRGB colours, after WCAG 2.1."""
    lights = []
    for colour in (one, other):
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        lights.append(np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(lights) / min(lights)
