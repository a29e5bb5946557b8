"""Which layers of a network have something faster that computes the same while training."""

import keras
from keras import layers

from kcnn.layers.activation import FastGelu
from kcnn.layers.batch_norm import FusedBatchNormalization
from kcnn.layers.conv import FastConv2D
from kcnn.layers.pooling import FastMaxPooling2D, Subsampling2D


def faster(network):
    """Return {name of a layer: what takes its place in the training graph}.

    Args:
        network: A functional model of stock layers, whose variables its twins share.
    """
    behind = dict(followed_by(network))
    found, pads = {}, {}
    for layer, after in behind.items():
        if FastConv2D.pads(layer, after):
            found[layer.name], pads[after] = nothing(layer), layer
        elif FastConv2D.serves(layer):
            norm = after if layer.use_bias and after and FusedBatchNormalization.serves(after) else None
            found[layer.name] = FastConv2D(layer, norm, pads.get(layer))
            if norm:
                found |= fused(norm, behind, found, layer.bias)
        elif FusedBatchNormalization.serves(layer) and layer.name not in found:
            found |= fused(layer, behind, found)
        elif is_relu(layer) and after and FastMaxPooling2D.serves(after):
            # The larger of two numbers is the same before and after, and there is less to cut off afterwards.
            found[layer.name], found[after.name] = FastMaxPooling2D(after), layer
        elif FastMaxPooling2D.serves(layer):
            found.setdefault(layer.name, FastMaxPooling2D(layer))
        elif FastGelu.serves(layer):
            found[layer.name] = FastGelu(layer)
        elif Subsampling2D.serves(layer):
            found[layer.name] = Subsampling2D(layer)
    return found


def fused(norm, behind, found, bias=None):
    """Return what takes the place of a batch normalisation and of what is behind it, in the form of `faster`."""
    last, replaced = norm, {}
    add = behind[norm]
    if add and add.name not in found and FusedBatchNormalization.adds(norm, add):
        last, replaced = add, {norm.name: nothing(norm)}
    else:
        add = None
    relu = behind[last]
    if relu and is_relu(relu) and not (behind[relu] and FastMaxPooling2D.serves(behind[relu])):
        replaced[relu.name] = nothing(relu)
    else:
        relu = None
    return replaced | {last.name: FusedBatchNormalization(norm, bias, add=add, relu=relu is not None)}


def nothing(layer):
    """Return what passes its input on, in the place of a layer whose work another one does."""
    return layers.Identity(name=layer.name, dtype=layer.dtype_policy)


def followed_by(network):
    """Yield each layer and the one behind it, or None where its output goes to several or leaves the network."""
    for layer in network.layers:
        nodes = [node for node in layer._outbound_nodes if node.operation in network.operations]
        leaves = any(layer.output is output for output in network.outputs)
        yield layer, nodes[0].operation if len(nodes) == 1 and not leaves else None


def is_relu(layer):
    """Whether a layer is a rectifier and nothing else."""
    return type(layer) is layers.Activation and layer.activation is keras.activations.relu
