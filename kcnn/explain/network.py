"""A classifier taken apart, so that its feature maps and derivatives can be asked for."""

import functools

import keras
import numpy as np
from keras import ops
from scipy.special import softmax

from kcnn import random
from kcnn.errors import UsageError
from kcnn.gradients import differentiate, widest_float
from kcnn.layers.affine import scale_and_offset
from kcnn.registry import did_you_mean

MOST_IMAGES = 64  # that go through the network at one time
MOST_PIXELS = 2**19  # likewise, since feature maps and their derivatives are kept
BESIDE = 1e-3  # of a pixel's 0..255
FEATURES = "features"  # the last feature map of a network that kcnn built


class TakenApart:
    """The logits of a model, the output of one of its layers, and the derivatives of the one by the other.

    All arrays are NumPy's, float32. Images are (B, H, W, C), pixels 0..255; any number goes, since they are taken
    in batches that fit into memory.

    Args:
        model: Pixels to probabilities or logits.
        layer: Name of the layer to look at; None is `features`, or else the last that gives a map.
        watch: Called with the number of images that went through the network just now.

    Attributes:
        image_shape: (H, W, C).
        classes: How many logits there are.
        looked_at: The layer, once its map was asked for; before that None.

    Raises:
        UsageError: The model has no graph, or no such layer.
    """

    def __init__(self, model, layer=None, watch=None):
        self._graph = getattr(model, "_functional", None) or model  # a Sequential holds a functional model
        if not hasattr(self._graph, "_run_through_graph"):
            raise UsageError(f"The model {model.name!r} has no graph to look into; it is not a functional model.")
        self._watch = watch or (lambda count: None)
        self._batch = max(1, min(MOST_IMAGES, MOST_PIXELS // int(np.prod(model.input_shape[1:3]))))
        self.image_shape = model.input_shape[1:]
        self.classes = model.output_shape[-1]
        self._asked = layer
        self.looked_at = None
        if layer:
            self._output(layer)  # tells now where there is none

    @functools.cached_property
    def layer(self):
        """Name of the layer. Raises `UsageError` where none was asked for and none gives a map."""
        return self._asked or self._last_map()

    @functools.cached_property
    def output_shape(self):
        """Shape of the layer's output, without the batch."""
        return tuple(self._output(self.layer).shape[1:])

    # ------------------------------------------------------------ forward

    def logits(self, images):
        """Return (B, K)."""
        return self._forward(self.logits_model, images)

    def probabilities(self, images):
        """Return float64 (B, K), the softmax of the logits, or what `logits` gives where these are probabilities.

        They are where a model ends in what no softmax can be taken off, such as another model.
        """
        found = self.logits(images).astype("float64")
        shares = (found >= 0).all() and np.allclose(found.sum(axis=-1), 1, atol=1e-3)
        return found if shares and not self._ends_in_softmax else softmax(found, axis=-1)

    def features(self, images):
        """Return the output of the layer, (B, h, w, channels)."""
        self._check_map()
        return self._forward(self._up_to_layer, images)

    def stages(self, images):
        """Return the maps that close the stages, name of the layer to (B, h, w, channels).

        A stage ends with the last layer whose map has its size. Raises `UsageError` where no layer gives a map.
        """
        self._last_map()
        names = list({shape[:2]: name for name, shape in self._maps()}.values())
        model = keras.Model(self._graph.inputs[0], {name: self._output(name) for name in names})
        found = model.predict_on_batch(images)  # in another order on JAX
        return {name: ops.convert_to_numpy(found[name]) for name in names}

    # ------------------------------------------------------------ derivatives

    def feature_gradients(self, images, classes):
        """Return the derivative of the logit of each image's class by the output of the layer, (B, h, w, channels).

        The layer may lie anywhere, beside a shortcut too: what is differentiated by is a number that is added to
        each of its outputs, and that is zero.
        """
        self._check_map()
        nudges = np.zeros((self._batch, *self.output_shape), "float32")
        found = []
        for part, chosen in self._parts(images, classes):
            found.append(self._by_feature(nudges[: len(part)], part, chosen)[1])
        return np.concatenate(found)

    def pixel_gradients(self, images, classes):
        """Return the derivative of the logit of each image's class by its pixels, (B, H, W, C).

        Of the values under a max pooling one takes the whole derivative, and each framework rounds in its own way. So
        that no rounding decides which, it is computed in float64, and a thousandth of a grey level beside the image:
        where that is flat, values are equal but for their last bits.
        """
        self._check_pixels()
        places = np.arange(np.prod(images.shape[1:]), dtype="int32").reshape(images.shape[1:])
        images = images + BESIDE * (2 * random.uniform(random.bits(random.key(0, "beside"), places)) - 1)
        with widest_float():
            return np.concatenate([self._by_pixel(part, chosen)[1] for part, chosen in self._parts(images, classes)])

    def channel_gradients(self, images, channel):
        """Return the mean of a channel of the layer over its places, (B,), and its derivative by the pixels."""
        self._check_pixels()
        chosen = np.zeros((len(images), self.output_shape[-1]), "float32")
        chosen[:, channel] = 1
        self._watch(len(images))
        return self._channel_by_pixel(images, chosen)

    # ------------------------------------------------------------ the graphs

    @functools.cached_property
    def logits_model(self):
        """A Keras model from pixels to logits, which shares its weights."""
        return keras.Model(self._graph.inputs[0], self._rebuilt(self._graph.inputs[0]))

    @functools.cached_property
    def _up_to_layer(self):
        return keras.Model(self._graph.inputs[0], self._output(self.layer))

    @functools.cached_property
    def _by_feature(self):
        nudge = keras.Input(self.output_shape, name="kcnn_nudge")
        logits = self._rebuilt(self._graph.inputs[0], nudge)
        nudged = keras.Model([self._graph.inputs[0], nudge], logits)
        return differentiate(
            lambda nudge, pixels, chosen: _chosen(nudged([pixels, nudge], training=False), chosen), nudged.variables
        )

    @functools.cached_property
    def _by_pixel(self):
        with widest_float() as dtype:
            model = _copy_in(dtype, self.logits_model)
        return differentiate(lambda pixels, chosen: _chosen(model(pixels, training=False), chosen), model.variables)

    @functools.cached_property
    def _channel_by_pixel(self):
        model = self._up_to_layer

        def mean(pixels, chosen):
            found = ops.cast(model(pixels, training=False), "float32")
            places = tuple(range(1, len(found.shape) - 1))
            return _chosen(ops.mean(found, places) if places else found, chosen)

        return differentiate(mean, model.variables)

    @property
    def _ends_in_softmax(self):
        last, bare = self._last_layer()
        return bare is not last

    def _last_layer(self):
        """Return the last layer, and what does as it does but for its softmax."""
        last, index, _ = self._graph.outputs[0]._keras_history
        return last, _without_softmax(last, last._inbound_nodes[index].input_tensors[0].shape)

    def _rebuilt(self, pixels, nudge=None):
        """Return the logits of `pixels`, with `nudge` added to the output of the layer."""
        last, bare = self._last_layer()

        def call(operation, *args, **kwargs):
            output = bare(*args) if operation is last else operation(*args, **kwargs)
            if nudge is not None and operation.name == self.layer:
                output = output + nudge
            return output

        return ops.cast(self._graph._run_through_graph([pixels], call_fn=call), "float32")

    def _output(self, name):
        # Operations that are no layers too, such as a bare `+`.
        known = {each.name: each for each in self._graph.operations if not isinstance(each, keras.layers.InputLayer)}
        if name not in known:
            maps = [found for found, _ in self._maps()]
            hint = did_you_mean(name, known) or f" Those that give maps: {', '.join(maps)}."
            raise UsageError(f"The model has no layer {name!r}.{hint}")
        # A layer that is shared was called in other graphs too, such as those that are built here.
        outputs = [node.outputs[0] for node in known[name]._inbound_nodes if self._is_ours(node)]
        if len(outputs) > 1:
            raise UsageError(f"The layer {name!r} is called {len(outputs)} times; name one that is called once.")
        return outputs[0]

    def _is_ours(self, node):
        return any(node is own for nodes in self._graph._nodes_by_depth.values() for own in nodes)

    def _maps(self):
        """Return (name, shape) of each layer that gives a map of more than one place, in the order of the calls."""
        found = []
        for depth in sorted(self._graph._nodes_by_depth, reverse=True):
            for node in self._graph._nodes_by_depth[depth]:
                shape = tuple(node.outputs[0].shape[1:])
                # What only moves values about has maps of odd shapes, such as those with a border or with axes swapped.
                moves = type(node.operation).__name__ in ("InputLayer", "ZeroPadding2D", "Cropping2D", "Permute")
                if len(shape) == 3 and None not in shape and shape[0] * shape[1] > 1 and not moves:
                    found.append((node.operation.name, shape))
        return found

    def _check_pixels(self):
        dtype = self._graph.inputs[0].dtype
        if not dtype.startswith(("float", "bfloat")):
            raise UsageError(
                f"The model {self._graph.name!r} takes {dtype} pixels, by which nothing can be differentiated; with an "
                "input of float32 it could. Methods that look at feature maps, or hide parts of the image, work."
            )

    def _check_map(self):
        self.looked_at = self.layer
        if len(self.output_shape) != 3:
            raise UsageError(
                f"The layer {self.layer!r} gives no map: expected (height, width, channels). "
                f"Received: {self.output_shape}. Layers that do: {', '.join(name for name, _ in self._maps())}."
            )

    def _last_map(self):
        maps = [name for name, _ in self._maps()]
        if not maps:
            raise UsageError(f"The model {self._graph.name!r} has no feature map to look at: no layer gives one.")
        return FEATURES if FEATURES in maps else maps[-1]

    # ------------------------------------------------------------ batches

    def _forward(self, model, images):
        found = []
        for start in range(0, len(images), self._batch):
            part = images[start : start + self._batch]
            found.append(ops.convert_to_numpy(model.predict_on_batch(part)).astype("float32"))
            self._watch(len(part))
        return np.concatenate(found)

    def _parts(self, images, classes):
        chosen = np.eye(self.classes, dtype="float32")[classes]
        for start in range(0, len(images), self._batch):
            part = slice(start, start + self._batch)
            yield images[part], chosen[part]
            self._watch(len(images[part]))


def _chosen(numbers, chosen):
    return ops.sum(ops.multiply(numbers, chosen), axis=-1)  # of one dtype or two


def _copy_in(dtype, model):
    """Return a copy of a model that computes in `dtype`, whatever the precision of its layers, and is not for training.

    Keras normalises in float32 on PyTorch and JAX, and on TensorFlow it rounds lists of numbers to that, so scales and
    offsets are taken as NumPy's float64. Where a map is normalised along another axis than the last, it stays float32.
    """

    def rebuilt(layer):
        if not isinstance(layer, keras.layers.Layer):  # an operation, such as a cast
            return type(layer).from_config(layer.get_config())
        if isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, len(layer.output.shape) - 1):
            return keras.layers.Rescaling(*scale_and_offset(layer), dtype=dtype, name=layer.name)
        if isinstance(layer, keras.layers.Rescaling):
            scale, offset = (np.asarray(value, "float64") for value in (layer.scale, layer.offset))
            return keras.layers.Rescaling(scale, offset, dtype=dtype, name=layer.name)
        copy = type(layer).from_config({**layer.get_config(), "dtype": dtype})
        if layer.weights:
            copy.build_from_config(layer.get_build_config())
            copy.set_weights(layer.get_weights())
        return copy

    def call(layer, *args, mask=None, **kwargs):  # a batch norm takes a mask, and what stands for it does not
        return layer(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=rebuilt, call_function=call, recursive=True)


def _without_softmax(layer, input_shape):
    """Return what does as `layer` does, the last of a model, but for its softmax; `layer` itself where it has none."""
    activation = getattr(layer, "activation", None)
    if isinstance(layer, keras.layers.Softmax) or (
        isinstance(layer, keras.layers.Activation) and _is_softmax(activation)
    ):
        return lambda x: x
    if not _is_softmax(activation):
        return layer
    bare = type(layer).from_config({**layer.get_config(), "activation": "linear", "name": f"{layer.name}_logits"})
    bare.build(input_shape)
    bare.set_weights(layer.get_weights())
    return bare


def _is_softmax(activation):
    return activation is keras.activations.softmax
