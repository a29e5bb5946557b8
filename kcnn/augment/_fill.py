"""What lies outside an image: black ("zero"), its mirror image ("reflect"), or its border ("edge")."""

from keras import ops

FILLS = ("zero", "reflect", "edge")


def fold_inside(coordinates, size, fill, unit=1):
    """Return integer `coordinates`, in `1 / unit` pixels, moved into [0, size - 1] by "reflect" or "edge".

    "reflect" does not repeat the border pixel: the row above row 0 is row 1, as in `numpy.pad`.
    """
    last = (size - 1) * unit
    if fill == "edge" or last == 0:
        return ops.clip(coordinates, 0, last)
    folded = ops.mod(coordinates, 2 * last)
    return ops.minimum(folded, 2 * last - folded)
