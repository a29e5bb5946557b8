"""Which part of an image a network sees."""


def seen(size, image_shape, resize):
    """Return where the network's pixels lie on an image, in shares of its width and height: left, top, width, height.

    Args:
        size: (height, width) of the image, upright.
        image_shape: (height, width, channels) of the network.
        resize: "crop", whose part is within the image, "pad", whose part is larger, or "stretch".
    """
    (height, width), (rows, columns, _) = size, image_shape
    if resize == "crop":
        scale = max(columns / width, rows / height)
        wide, high = columns / scale / width, rows / scale / height
        return {"left": (1 - wide) / 2, "top": (1 - high) / 2, "width": wide, "height": high}
    if resize == "pad":
        # In whole pixels of the network, as `kcnn.data.decode` has it.
        scale = min(columns / width, rows / height)
        across, down = (max(round(side * scale), 1) for side in (width, height))
        left, top = (columns - across) // 2, (rows - down) // 2
        return {"left": -left / across, "top": -top / down, "width": columns / across, "height": rows / down}
    return {"left": 0.0, "top": 0.0, "width": 1.0, "height": 1.0}
