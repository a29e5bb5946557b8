"""Multiply-accumulates: what an image costs in the convolutions and dense layers of a network."""

import math

from kcnn.anatomy.graph import calls

KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def count_macs(model):
    """Return the multiply-accumulates of one image on its way through `model`."""
    return sum(macs(call) for call in calls(model))


def macs(call):
    """Return the multiply-accumulates of one image in a `Call`: 0 but for convolutions and dense layers.

    Each element of a kernel is used once at each place of the output; a group's or a channel's kernel is smaller, and
    so counts for less. Biases, norms, activations and pooling are left out, as in the papers' tables: they are sums, or
    few. Papers that say "FLOPs" mean this number as often as twice it.
    """
    layer, output = call.layer, call.output
    kernels = [kernel for name in KERNELS if (kernel := getattr(layer, name, None)) is not None]
    elements = sum(math.prod(kernel.shape) for kernel in kernels)
    if not elements:
        return 0
    if hasattr(layer, "equation"):
        return elements * output.size // _shared_with_output(layer)
    if type(layer).__name__.endswith("Transpose"):
        return elements * math.prod(places(call.inputs[0].shape, layer))
    return elements * math.prod(places(output.shape, layer))


def places(shape, layer):
    """Return the sizes of `shape`, without the batch, along which `layer` does the same at each place."""
    return shape[1:] if getattr(layer, "data_format", None) == "channels_first" else shape[:-1]


def _shared_with_output(layer):
    """Return how many outputs of an EinsumDense stand at one place: those of the kernel's axes that it keeps."""
    terms, _, output = layer.equation.replace(" ", "").partition("->")
    labels = terms.split(",")[1]
    return math.prod(size for label, size in zip(labels, layer.kernel.shape, strict=True) if label in output)
