"""Receptive fields: which part of the image a value can depend on, after Araujo et al. (Distill, 2019).

A window of k places, s places apart, over values that see r pixels and stand j pixels apart, sees r + (k - 1) j pixels
and makes values that stand s j pixels apart. Where paths meet, the largest counts.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from kcnn.anatomy.macs import places

# Layers each of whose values depends on all places of what they are given.
WHOLE = (
    "Flatten",
    "GroupNormalization",
    "Attention",
    "AdditiveAttention",
    "MultiHeadAttention",
    "GroupedQueryAttention",
)


@dataclass(frozen=True)
class Field:
    """What one value of a feature map sees, along the image's height and width.

    Attributes:
        size: Pixels, as far as windows (convolutions, pooling) reach, beyond the image's border too; None where only
            the whole image is left, as after a global pool.
        stride: Pixels between the fields of two neighbours; None where no neighbours are left.
        whole: Whether it depends on the whole image, if only through a gate such as a squeeze-and-excite.
    """

    size: tuple[int, int] | None
    stride: tuple[int, int] | None
    whole: bool = False


PIXEL = Field((1, 1), (1, 1))
ALL = Field(None, None, whole=True)


def receptive_fields(calls):
    """Return the `Field` of the output of each `Call` of a model that takes images."""
    known, found = {}, []
    for call in calls:
        given = [(value, known[id(value)]) for value in call.inputs]
        field = _after(call, _met(call, given)) if given else PIXEL
        known.update({id(value): field for value in call.outputs})
        found.append(field)
    return found


def _met(call, given):
    """Return the field of what a call is given, where several paths meet."""
    sizes = [field.size for _, field in given if field.size is not None]
    if not sizes:
        return ALL
    # A gate of 1x1 places is spread over the map that it multiplies, which has the neighbours.
    shapes = [value.shape for value, field in given if field.stride is not None]
    largest = max(shapes, key=lambda shape: shape[:2])
    strides = [field.stride for value, field in given if field.stride is not None and value.shape[:2] == largest[:2]]
    return Field(
        size=tuple(map(max, zip(*sizes, strict=True))),
        stride=tuple(map(max, zip(*strides, strict=True))),
        whole=any(field.whole for _, field in given),
    )


def _after(call, field):
    if field.size is None or _sees_all(call):
        return ALL
    if _mixes_places(call.layer):
        field = replace(field, whole=True)
    window, strides = _window(call)
    return Field(
        size=tuple(_plain(r + (k - 1) * j) for r, k, j in zip(field.size, window, field.stride, strict=True)),
        stride=tuple(_plain(j * s) for j, s in zip(field.stride, strides, strict=True)),
        whole=field.whole,
    )


def _sees_all(call):
    name = type(call.layer).__name__
    return name.startswith("Global") or name in WHOLE or len(call.output.shape) < 3


def _mixes_places(layer):
    # A layer normalisation over the channels alone stays within a place.
    axis = getattr(layer, "axis", None)
    return type(layer).__name__ == "LayerNormalization" and axis not in (-1, [-1], (-1,), 3, [3], (3,))


def _window(call):
    """Return how many places of the input an output sees, and how many lie between two, along height and width."""
    layer = call.layer
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    strides = _pair(getattr(layer, "strides", None) or 1)
    if type(layer).__name__.startswith("UpSampling"):
        return (1, 1), tuple(Fraction(1, factor) for factor in _pair(layer.size))
    if size is None:
        return (1, 1), _ratios(call)
    size = _pair(size)
    if type(layer).__name__.endswith("Transpose"):
        return tuple(-(-k // s) for k, s in zip(size, strides, strict=True)), tuple(Fraction(1, s) for s in strides)
    dilation = _pair(getattr(layer, "dilation_rate", None) or 1)
    return tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)), strides


def _ratios(call):
    """Return the strides of what has no window, such as `x[:, ::2, ::2]` or a `Resizing`, from the sizes alone.

    Padding, cropping and transposing are no steps: what matters is that sizes are divided.
    """
    if hasattr(call.layer, "weights") and type(call.layer).__name__ != "Resizing":
        return 1, 1  # a layer: padding, norm, activation, dropout, merge
    before, after = places(call.inputs[0].shape, call.layer)[:2], places(call.output.shape, call.layer)[:2]
    if len(before) < 2 or len(after) < 2:
        return 1, 1
    return tuple(max(1, round(b / a)) for b, a in zip(before, after, strict=True))


def _pair(value):
    # A third dimension is that of the channels, where a pooling goes along them.
    return tuple(value[:2]) if isinstance(value, tuple | list) else (value, value)


def _plain(number):
    return int(number) if number == int(number) else number
