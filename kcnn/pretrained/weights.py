"""Weights from wherever: what of them fits a network, and what they expect of the pixels."""

from contextlib import contextmanager
from dataclasses import dataclass, field

from kcnn.errors import RecipeError

SHOWN = 6  # names in one message


@dataclass
class Loaded:
    """What of some weights a network has taken.

    Attributes:
        source: Where they come from.
        count, total: Arrays of numbers that were loaded, and those that the network has.
        left: {name of a layer with weights: why it has kept its own}.
        unused: Names of layers that the source has and the network has not.
    """

    source: str
    count: int = 0
    total: int = 0
    left: dict = field(default_factory=dict)
    unused: list = field(default_factory=list)

    def __str__(self):
        reasons = {}
        for name, reason in self.left.items():
            reasons.setdefault(reason, []).append(name)
        found = f"{self.count} of {self.total} weights loaded from {self.source}."
        if reasons:
            found += f" Not loaded: {'; '.join(f'{_some(names)} ({why})' for why, names in reasons.items())}."
        if self.unused:
            found += f" Without a place in the network: {_some(self.unused)}."
        return found


def _some(names):
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


class Weights:
    """Weights by the names of their layers; what differs between their sources is in the classes below.

    Attributes:
        source: How messages call them.
        facts: What environment.json says about them.
        digest: SHA-256 of the file; None where it is not kcnn's to check.
        class_names: What the logits stand for, or None where that is not known.
        mean, std: Per channel, for pixels from 0 to 1, as the network was trained; None where that is not known.
    """

    source = ""
    digest = None
    class_names = None
    mean = std = None

    @property
    def facts(self):
        return {"source": self.source, "sha256": self.digest}

    @contextmanager
    def layers(self, network):
        """Yield {name of a layer: its arrays, in the order of `layer.weights`}, for as long as the block lasts."""
        raise NotImplementedError

    def settle(self, recipe):
        """Return a recipe whose pixels are what the network knows, wherever the recipe itself leaves that open.

        Raises:
            RecipeError: It wants another number of channels.
        """
        if self.mean is None:
            return recipe
        known = {"channels": len(self.mean), "mean": self.mean, "std": self.std}
        if recipe.data.channels not in (None, known["channels"]):
            raise RecipeError(
                f"data.channels: the network of {self.source} takes {known['channels']}. "
                f"Received: {recipe.data.channels}"
            )
        if recipe.data.mean is not None:
            known = {"channels": known["channels"]}
        return recipe.model_copy(update={"data": recipe.data.model_copy(update=known)})

    def load_into(self, network, class_names):
        """Give each layer of `network` what its namesake has, where every shape is the same; return `Loaded`.

        Logits that stand for other classes than `class_names` are left as they are.

        Raises:
            RecipeError: Nothing fits.
        """
        found = Loaded(self.source)
        with self.layers(network) as there:
            ours = [layer for layer in network.layers if layer.weights]
            for layer in ours:
                found.total += len(layer.weights)
                reason = self._unfit(layer, there.get(layer.name), class_names)
                if reason:
                    found.left[layer.name] = reason
                    continue
                for weight, array in zip(layer.weights, there[layer.name], strict=True):
                    weight.assign(array[()])
                found.count += len(layer.weights)
            names = {layer.name for layer in ours}
            found.unused = [name for name in there if name not in names]
        if not found.count:
            raise RecipeError(f"model.weights: nothing fits {network.name}. {found}")
        return found

    def _unfit(self, layer, arrays, class_names):
        """Return why a layer cannot take `arrays`, or None where it can."""
        if arrays is None:
            return "not there"
        ours, theirs = [tuple(weight.shape) for weight in layer.weights], [tuple(array.shape) for array in arrays]
        if is_logits(layer):
            there, here = theirs[-1][-1], ours[-1][-1]
            if there != here:
                return f"{there} classes there, {here} here"
            if self.class_names is not None and list(self.class_names) != list(class_names):
                return "the classes are others"
        if ours != theirs:
            shapes = [(a, b) for a, b in zip(theirs, ours, strict=False) if a != b] or [(theirs, ours)]
            return f"the shapes differ: {shapes[0][0]} there, {shapes[0][1]} here"
        return None


def is_logits(layer):
    """Whether a layer's outputs are one number a class: those that count, and those of auxiliary heads."""
    return layer.name == "logits" or layer.name.endswith("_logits")
