"""Which layers of a network are trained, and how fast: both by their depth.

The parts of a network are what the names of its layers begin with, `stem`, `stage1`, ... `head`, `logits`, in their
order from the input. `features`, the last feature map, is a place between them.
"""

from kcnn.errors import RecipeError
from kcnn.pretrained.weights import is_logits
from kcnn.registry import did_you_mean

ALL = "all"


def parts(network):
    """Return {name of a part: its layers that have weights}, from the input to the logits; `features` may have none."""
    found = {}
    for layer in network.layers:
        found.setdefault(layer.name.partition("_")[0], []).append(layer)
    with_weights = {name: [layer for layer in layers if layer.weights] for name, layers in found.items()}
    return {name: layers for name, layers in with_weights.items() if layers or name == "features"}


def frozen(network, freeze):
    """Return the layers with weights from the input up to a depth.

    Args:
        network: A model whose layers are named from their place.
        freeze: "all", which is all but the logits; the name of a part, the last one that is frozen; or how many parts.

    Raises:
        RecipeError: The network has no such part, or nothing would be left to train.
    """
    found = parts(network)
    weighted = [name for name, layers in found.items() if layers]
    if freeze == ALL:
        return [layer for layers in found.values() for layer in layers if not is_logits(layer)]
    if isinstance(freeze, int):
        if freeze >= len(weighted):
            raise RecipeError(
                f"finetune.freeze: {network.name} has {len(weighted)} parts, of which the last has to be trained: "
                f"{', '.join(weighted)}. Received: {freeze}"
            )
        freeze = weighted[freeze - 1]
    if freeze not in found:
        hint = did_you_mean(freeze, [ALL, *found]) or f" Expected 'all', a number, or one of: {', '.join(found)}."
        raise RecipeError(f"finetune.freeze: {network.name} has no part {freeze!r}.{hint}")
    if freeze == weighted[-1]:
        raise RecipeError(f"finetune.freeze: behind {freeze!r} nothing is left to train.")
    names = list(found)
    return [layer for name in names[: names.index(freeze) + 1] for layer in found[name]]


def rate_factors(network, decay):
    """Return {path of a weight: factor on its learning rate}: 1 for the logits, and `decay` once more for each part
    that is nearer to the input.
    """
    weighted = [layers for layers in parts(network).values() if layers]
    return {
        weight.path: decay**depth
        for depth, layers in enumerate(reversed(weighted))
        for layer in layers
        for weight in layer.trainable_weights
    }
