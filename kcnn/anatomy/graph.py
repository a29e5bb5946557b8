"""The calls that a model makes from its inputs to its outputs, models within it taken apart."""

import math
from dataclasses import dataclass, field

import keras

from kcnn.errors import UsageError


@dataclass(frozen=True, eq=False)
class Value:
    """What passes between two calls.

    Attributes:
        shape: Without the batch.
    """

    shape: tuple[int, ...]

    @property
    def size(self):
        """How many numbers an image has here."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a layer; a layer that is shared is called more than once.

    Attributes:
        name: The layer's, with that of the model around it where there is one: `"backbone/conv1"`.
        layer: The layer, or another Keras operation.
        inputs, outputs: The values that go in and come out.
        first: Whether its layer was not called before.
    """

    name: str
    layer: keras.Operation
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    first: bool = True

    @property
    def output(self):
        return self.outputs[0]

    @property
    def weights(self):
        """The weights that come with this call: none where an earlier call brought them."""
        return list(getattr(self.layer, "weights", ())) if self.first else []


@dataclass
class _Walk:
    calls: list[Call] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def through(self, model, inputs, place):
        """Note the calls of a model that is given `inputs`, or none at the top; return what comes out."""
        graph = getattr(model, "_functional", None) or model  # a Sequential holds a functional model
        if not hasattr(graph, "_nodes_by_depth"):
            raise UsageError(f"The model {model.name!r} has no graph to look at; it is not a functional model.")
        known = {} if inputs is None else dict(zip(map(id, graph.inputs), inputs, strict=True))
        depths = sorted(graph._nodes_by_depth, reverse=True)
        for node in [node for depth in depths for node in graph._nodes_by_depth[depth]]:
            if all(id(tensor) in known for tensor in node.outputs):
                continue  # an input that the model around has given
            given = [known[id(tensor)] for tensor in node.input_tensors]
            known.update(zip(map(id, node.outputs), self._call(node, given, place), strict=True))
        return [known[id(tensor)] for tensor in graph.outputs]

    def _call(self, node, given, place):
        layer = node.operation
        name = f"{place}{layer.name}"
        if isinstance(layer, keras.Model):
            return self.through(layer, given, f"{name}/")
        outputs = tuple(Value(_fixed(tensor.shape, name)) for tensor in node.outputs)
        self.calls.append(Call(name, layer, tuple(given), outputs, id(layer) not in self.seen))
        self.seen.add(id(layer))
        return outputs


def calls(model):
    """Return the `Call`s of a functional or sequential model in the order in which Keras makes them.

    Raises:
        UsageError: The model has no graph, or a size in it is not fixed.
    """
    walk = _Walk()
    walk.through(model, None, "")
    return walk.calls


def _fixed(shape, name):
    shape = tuple(shape[1:])
    if None in shape:
        raise UsageError(f"The layer {name!r} has no fixed size, so nothing can be counted. Received: {shape}")
    return shape
