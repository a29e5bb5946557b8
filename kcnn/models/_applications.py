"""Networks of `keras.applications`, rebuilt by the rules of this package.

What keras.applications has is not written a second time: its graph is the one source of the architecture, and its
published weights fit layer by layer. The rules are those of every builder: pixels 0..255 through a normalisation of
one's own, layers named from their place, no model in a model, padding by hand where strides exceed 1, float32 logits.
"""

import re

import keras
from keras import layers

from kcnn.initial import shapes_only
from kcnn.models._blocks import NORM_MOMENTUM, logits, pixels

PREPROCESSING = (layers.Rescaling, layers.Normalization)  # which `normalise` does


def adopt(
    application,
    input_shape,
    num_classes,
    *,
    mean,
    std,
    places,
    change,
    downsampling=32,
    large_stem=False,
    same_padding=False,
    name,
):
    """Return the network that a function of `keras.applications` builds, as one of this package.

    Args:
        application: The function.
        input_shape, num_classes, mean, std, name: As of every builder.
        places: Pairs of a pattern and its replacement, which applied in order to a layer's name give its new one.
        change: `change(new name, config)` is called for each layer. It returns the config to build the layer from, a
            layer to take its place, or None to leave it out.
        downsampling, large_stem: As of `pixels`.
        same_padding: Whether convolutions with strides pad as TensorFlow's "same" does, and paddings of the graph,
            which were made for other sizes, are left out.
    """
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=downsampling, large_stem=large_stem)
    source = _graph(application, inputs.shape[1:3], num_classes)
    features = _before_the_head(source)

    def rename(operation):
        found = _name(operation)
        for pattern, replacement in places:
            found = re.sub(pattern, replacement, found)
        return "features" if operation is features else found

    def call(operation, *args):
        name = rename(operation)
        if isinstance(operation, keras.Sequential):
            (x,) = args
            for layer in operation.layers:
                x = call(layer, x)
            return x
        if isinstance(operation, PREPROCESSING) or (same_padding and isinstance(operation, layers.ZeroPadding2D)):
            return args[0]
        if name == "logits":
            return logits(args[0], num_classes, initialization="he_normal")
        if not isinstance(operation, keras.Layer):  # a bare `+`
            return layers.Add(name=name)(list(args))
        config = operation.get_config() | {"name": name}
        if isinstance(operation, layers.BatchNormalization):
            config["momentum"] = NORM_MOMENTUM
        layer = change(name, config)
        if layer is None:
            return args[0]
        if isinstance(layer, keras.Layer):
            return layer(*args)
        if same_padding and max(layer.get("strides", (1,))) > 1:
            args = [_padded(args[0], layer["kernel_size"], layer["strides"], name=f"{name}_pad")]
            layer["padding"] = "valid"
        return type(operation).from_config(layer)(*args)

    outputs = source._run_through_graph([x], call_fn=lambda operation, *args, **kwargs: call(operation, *args))
    return keras.Model(inputs, outputs, name=name)


def _graph(application, size, num_classes):
    """Return the network as keras.applications builds it, without memory for its weights.

    It is one for three channels, which some of its preprocessing takes for granted, and for at least 32 pixels, which
    its own stem needs; no config of a layer says what it is given.
    """
    size = [max(each, 32) for each in size]
    with shapes_only():
        return application(
            weights=None,
            input_shape=(*size, 3),
            classes=num_classes,
            classifier_activation=None,
        )


def _before_the_head(source):
    """Return the operation whose output is the last feature map."""
    pooling = [layer for layer in source.layers if isinstance(layer, layers.GlobalAveragePooling2D)][-1]
    return pooling.input._keras_history.operation


def _name(operation):
    """Return an operation's name, or one from its place where Keras counted up: `add_3`, `max_pooling2d_1`."""
    if re.fullmatch(r"add(_\d+)?", operation.name):
        branch = operation._inbound_nodes[0].input_tensors[1]
        return f"{branch._keras_history.operation.name}_add"
    if re.fullmatch(r"max_pooling2d(_\d+)?", operation.name):
        return f"{operation._outbound_nodes[0].operation.name}_pool"
    return operation.name


def _padded(x, kernel_size, strides, *, name):
    """Pad so that a size n becomes n / strides, rounded up; what cannot be shared evenly goes to the far edge."""
    needed = [
        max(0, (-(-n // stride) - 1) * stride + size - n)
        for n, size, stride in zip(x.shape[1:3], kernel_size, strides, strict=True)
    ]
    return layers.ZeroPadding2D([(n // 2, n - n // 2) for n in needed], name=name)(x) if any(needed) else x
