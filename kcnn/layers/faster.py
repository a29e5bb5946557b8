"""Which layers of a network have something faster that computes the same while training."""

import keras
from keras import layers

from kcnn.layers.batch_norm import FusedBatchNormalization
from kcnn.layers.conv import FastConv2D
from kcnn.layers.max_pooling import FastMaxPooling2D


def faster(network):
    """Return {name of a layer: what takes its place in the training graph}.

    Args:
        network: A functional model of stock layers, whose variables its twins share.
    """
    found = {}
    for layer, behind in followed_by(network):
        if FastConv2D.serves(layer) and layer.use_bias and behind and FusedBatchNormalization.serves(behind):
            found[layer.name] = FastConv2D(layer, behind)
            found[behind.name] = FusedBatchNormalization(behind, layer.bias)
        elif FastConv2D.serves(layer):
            found[layer.name] = FastConv2D(layer)
        elif FusedBatchNormalization.serves(layer):
            found.setdefault(layer.name, FusedBatchNormalization(layer))
        elif is_relu(layer) and behind and FastMaxPooling2D.serves(behind):
            # The larger of two numbers is the same before and after, and there is less to cut off afterwards.
            found[layer.name], found[behind.name] = FastMaxPooling2D(behind), layer
        elif FastMaxPooling2D.serves(layer):
            found.setdefault(layer.name, FastMaxPooling2D(layer))
    return found


def followed_by(network):
    """Yield each layer and the one behind it, or None where its output goes to several or leaves the network."""
    for layer in network.layers:
        nodes = [node for node in layer._outbound_nodes if node.operation in network.operations]
        leaves = any(layer.output is output for output in network.outputs)
        yield layer, nodes[0].operation if len(nodes) == 1 and not leaves else None


def is_relu(layer):
    """Whether a layer is a rectifier and nothing else."""
    return type(layer) is layers.Activation and layer.activation is keras.activations.relu
