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
    behind = dict(followed_by(network))
    found = {}
    for layer, after in behind.items():
        if FastConv2D.serves(layer):
            norm = after if layer.use_bias and after and FusedBatchNormalization.serves(after) else None
            found[layer.name] = FastConv2D(layer, norm)
            if norm:
                found[norm.name] = FusedBatchNormalization(norm, layer.bias)
        elif FusedBatchNormalization.serves(layer):
            twin = found.setdefault(layer.name, FusedBatchNormalization(layer))
            if after and is_relu(after) and not (behind[after] and FastMaxPooling2D.serves(behind[after])):
                twin.relu = True
                found[after.name] = layers.Identity(name=after.name, dtype=after.dtype_policy)
        elif is_relu(layer) and after and FastMaxPooling2D.serves(after):
            # The larger of two numbers is the same before and after, and there is less to cut off afterwards.
            found[layer.name], found[after.name] = FastMaxPooling2D(after), layer
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
