"""A network for inference alone: the same numbers from fewer layers."""

from collections import Counter

import numpy as np


def folded(network):
    """Return a Keras model that computes what `network` does, with each batch norm within the layer before it.

    A batch norm is `x * scale + offset` at inference, with constants for each channel. Behind a convolution or a dense
    layer without an activation they become its kernel and bias; elsewhere they are a `Rescaling`. Not every converter
    does so: in PyTorch and in a SavedModel the norm would be three operations over the whole map.
    """
    import keras

    from kcnn.layers.affine import scale_and_offset

    # The nodes of this graph: a layer may have been called in others too.
    nodes = [node for depth in network._nodes_by_depth.values() for node in depth]
    calls = Counter(node.operation.name for node in nodes)
    uses = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    sources = {id(output): node for node in nodes for output in node.outputs}
    stand_ins = {}
    for node in nodes:
        norm = node.operation
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        (x,) = node.input_tensors
        if norm.axis not in (-1, len(x.shape) - 1):
            continue
        scale, offset = scale_and_offset(norm)
        source = sources[id(x)]
        alone = uses[id(x)] == calls[norm.name] == calls[source.operation.name] == 1
        if alone and _takes(source.operation):
            shape = source.input_tensors[0].shape
            stand_ins[source.operation.name] = _scaled(source.operation, shape, scale, offset)
            stand_ins[norm.name] = keras.layers.Identity(name=norm.name)
        else:
            stand_ins[norm.name] = keras.layers.Rescaling(scale.tolist(), offset.tolist(), name=norm.name)
    pixels = keras.Input(network.input_shape[1:], name="pixels")

    def call(layer, *args, **kwargs):
        kwargs.pop("mask", None)  # which a batch norm takes
        return stand_ins.get(layer.name, layer)(*args, **kwargs)

    return keras.Model(pixels, network._run_through_graph([pixels], call_fn=call))


def _takes(layer):
    """Return whether a layer can do what the norm behind it does."""
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    return type(layer) in kinds and layer.activation is keras.activations.linear


def _scaled(layer, input_shape, scale, offset):
    """Return a layer that gives `scale` times what `layer` does, plus `offset`."""
    kernel, *bias = (np.asarray(each, "float64") for each in layer.get_weights())
    twin = type(layer).from_config({**layer.get_config(), "use_bias": True})
    twin.build(input_shape)
    # A depthwise kernel ends in (channels, multiplier), whose channels of output are in that order.
    kernel *= scale.reshape(kernel.shape[2:]) if type(layer).__name__ == "DepthwiseConv2D" else scale
    twin.set_weights([kernel, (bias[0] if bias else 0) * scale + offset])
    return twin
