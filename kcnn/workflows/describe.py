"""What a network is made of: each layer's shape, parameters, multiplications and receptive field, and the totals."""

import math
from dataclasses import dataclass

from kcnn.anatomy.graph import calls
from kcnn.anatomy.macs import macs
from kcnn.anatomy.memory import kept, peak
from kcnn.anatomy.receptive_field import Field, receptive_fields
from kcnn.classifier import load_model
from kcnn.errors import UsageError
from kcnn.initial import shapes_only
from kcnn.registry import MODELS

ARTICLE_UNITS = 1024  # of the dense layer with which the teaching article opens
BYTES = 4  # of a float32 number
# Weights that no gradient moves: statistics of norms.
STATISTICS = ("moving_mean", "moving_variance", "mean", "variance", "count")


@dataclass(frozen=True)
class Layer:
    """One use of a layer.

    Attributes:
        name: With that of the model around it, where there is one.
        kind: Its class, such as `"Conv2D"`.
        detail: What tells it from others of its kind, in a few characters: `"3x3"`, `"7x7 /2"`, `"relu"`.
        inputs: Names of the layers whose outputs it takes.
        output_shape: Without the batch.
        parameters: Numbers that are trained or frozen; 0 where an earlier use of the same layer brought them.
        statistics: Weights beside them.
        macs: Multiply-accumulates of an image.
        field: A `Field`.
    """

    name: str
    kind: str
    detail: str
    inputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    parameters: int
    statistics: int
    macs: int
    field: Field

    def document(self):
        """Return plain values; a receptive field of None is the whole image, and leaves no stride."""
        return {
            "name": self.name,
            "type": self.kind,
            "detail": self.detail,
            "inputs": list(self.inputs),
            "output_shape": list(self.output_shape),
            "parameters": self.parameters,
            "statistics": self.statistics,
            "macs": self.macs,
            "receptive_field": _plain(self.field.size),
            "stride": _plain(self.field.stride),
            "sees_whole_image": self.field.whole,
        }


@dataclass(frozen=True)
class FullyConnected:
    """The article's opening: a first layer that is fully connected, beside the network's own.

    Attributes:
        units: Of that layer.
        inputs: Numbers of an image.
        weights: `inputs * units`; as many multiply-accumulates.
        first: Name of the network's own first layer with a kernel, or None.
        first_weights, first_macs: Its kernel's elements and its multiply-accumulates.
    """

    units: int
    inputs: int
    weights: int
    first: str | None
    first_weights: int
    first_macs: int


@dataclass(frozen=True)
class Description:
    """A network, taken apart.

    Attributes:
        name: Of the model, or the path of a run.
        options: Of the builder, where they were given; of a run, none.
        input_shape: (height, width, channels).
        classes: How many numbers come out.
        layers: `Layer`s in the order in which Keras calls them.
        batch: Images that the memory is for.
        activations: Bytes of all layers' outputs together, for the batch.
        peak: Bytes of those needed at one time to answer, for the batch.
        fully_connected: The article's comparison.
    """

    name: str
    options: dict
    input_shape: tuple[int, int, int]
    classes: int
    layers: list[Layer]
    batch: int
    activations: int
    peak: int
    fully_connected: FullyConnected

    @property
    def changed(self):
        """The options that are not the builder's defaults."""
        known = MODELS.options(self.name) if self.options else {}
        return {key: value for key, value in self.options.items() if value != known[key].default}

    @property
    def parameters(self):
        return sum(layer.parameters for layer in self.layers)

    @property
    def statistics(self):
        return sum(layer.statistics for layer in self.layers)

    @property
    def macs(self):
        return sum(layer.macs for layer in self.layers)

    @property
    def weight_bytes(self):
        return (self.parameters + self.statistics) * BYTES

    @property
    def last_field(self):
        """The `Field` of the last feature map, before the whole image is all that is left."""
        return [layer.field for layer in self.layers if layer.field.size is not None][-1]

    def document(self):
        """Return all of it as plain values."""
        return {
            "name": self.name,
            "options": self.options,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "parameters": self.parameters,
            "statistics": self.statistics,
            "macs": self.macs,
            "memory": {
                "batch": self.batch,
                "bytes_a_number": BYTES,
                "weights": self.weight_bytes,
                "activations": self.activations,
                "activations_peak": self.peak,
            },
            "fully_connected": vars(self.fully_connected),
            "layers": [layer.document() for layer in self.layers],
        }


def describe(subject, *, batch=1):
    """Return the `Description` of a `Subject`, with memory for `batch` images.

    A model is built without memory for its weights; a file is loaded as `predict` does, running no code in it.

    Raises:
        UsageError: An option or the size of the image does not suit the model, or the file is no classifier.
    """
    network = load_model(subject.path) if subject.path else build(subject)
    return take_apart(network, subject.name, options=subject.options, batch=batch)


def build(subject):
    """Return the model of a `Subject` that has a name in the registry: to be looked at, not to be run."""
    builder = MODELS.get(subject.name)
    try:
        with shapes_only():
            return builder(subject.input_shape, subject.classes, **subject.options)
    except ValueError as error:
        raise UsageError(f"{subject.name}: {error}") from error


def take_apart(network, name, *, options, batch):
    """Return the `Description` of a functional or sequential Keras model that takes images."""
    made = calls(network)
    fields = receptive_fields(made)
    names = {id(value): call.name for call in made for value in call.outputs}
    layers = [_layer(call, field, names) for call, field in zip(made, fields, strict=True)]
    input_shape = made[0].output.shape
    return Description(
        name=name,
        options=options,
        input_shape=input_shape,
        classes=network.outputs[0].shape[-1],
        layers=layers,
        batch=batch,
        activations=kept(made) * BYTES * batch,
        peak=peak(made) * BYTES * batch,
        fully_connected=_fully_connected(input_shape, made),
    )


def _layer(call, field, names):
    statistics = sum(math.prod(weight.shape) for weight in call.weights if weight.name in STATISTICS)
    return Layer(
        name=call.name,
        kind=type(call.layer).__name__,
        detail=_detail(call.layer),
        inputs=tuple(dict.fromkeys(names[id(value)] for value in call.inputs)),
        output_shape=call.output.shape,
        parameters=sum(math.prod(weight.shape) for weight in call.weights) - statistics,
        statistics=statistics,
        macs=macs(call),
        field=field,
    )


def _plain(pair):
    # A layer that enlarges its map leaves fractions of a pixel.
    return None if pair is None else [n if isinstance(n, int) else float(n) for n in pair]


def _detail(layer):
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    activation = getattr(getattr(layer, "activation", None), "__name__", None)
    if window is None:
        return activation if type(layer).__name__ == "Activation" else ""
    strides = layer.strides if isinstance(layer.strides, tuple) else (layer.strides,)
    words = ["x".join(map(str, window))]
    if set(strides) != {1}:
        words.append("/" + "x".join(map(str, dict.fromkeys(strides))))
    if getattr(layer, "groups", 1) != 1:
        words.append(f"{layer.groups} groups")
    return " ".join(words)


def _fully_connected(input_shape, made):
    inputs = math.prod(input_shape)
    first = next((call for call in made if macs(call)), None)
    kernels = [weight for weight in first.weights if "kernel" in weight.name] if first else []
    return FullyConnected(
        units=ARTICLE_UNITS,
        inputs=inputs,
        weights=inputs * ARTICLE_UNITS,
        first=first.name if first else None,
        first_weights=sum(math.prod(kernel.shape) for kernel in kernels),
        first_macs=macs(first) if first else 0,
    )
