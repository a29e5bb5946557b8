"""The model that is trained: auxiliary heads count in its loss, and Keras's ceremony at each layer is left out."""

import keras

from kcnn.kernels import kernels

AUXILIARY_WEIGHT = 0.3  # of Szegedy et al. (2014), section 5


class DirectModel(keras.Model):
    """A functional model for training, whose layers each have one output.

    Outputs behind the first are logits of auxiliary heads. Their losses count for 0.3 while training; validation, the
    metrics and their names are those of the first output alone.

    PyTorch runs the Python of every layer at every step, and most of what `Layer.__call__` does (binding arguments,
    looking for symbols and masks, casting) is settled once the model is built. So on PyTorch `layer.call` is called
    instead where it does the same: for the layers of kcnn, which expect nothing of the ceremony, and for stock layers
    whose inputs and variables have their dtype.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.output_names = self.output_names[:1]  # from which Keras would make a metric for each output

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits, *auxiliary = keras.tree.flatten(y_pred)
        loss = super().compute_loss(x, y, logits, sample_weight, training)
        if training:
            for head in auxiliary:
                loss = loss + AUXILIARY_WEIGHT * self.loss(y, head, sample_weight)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, keras.tree.flatten(y_pred)[0], sample_weight)

    def call(self, inputs, training=None, mask=None):
        if not (training and kernels().DIRECT):
            return super().call(inputs, training=training, mask=mask)
        values = {
            id(tensor): given for tensor, given in zip(self.inputs, self._standardize_inputs(inputs), strict=True)
        }
        for function, arguments, output in self._steps():
            args, kwargs = arguments(values)
            values[output] = function(*args, **kwargs)
        outputs = [values[id(tensor)] for tensor in self.outputs]
        return outputs if len(outputs) > 1 else outputs[0]

    def _steps(self):
        """Return, in their order: a function to call, what makes its arguments of the values, the id of its output."""
        if not hasattr(self, "_direct_steps"):
            depths = sorted(self._nodes_by_depth, reverse=True)
            nodes = [node for depth in depths for node in self._nodes_by_depth[depth] if not node.is_input]
            self._direct_steps = [(direct(node), arguments_of(node), id(node.outputs[0])) for node in nodes]
        return self._direct_steps


def direct(node):
    """Return what to call for a node: its layer, or `layer.call` where that does the same."""
    return node.operation.call if is_direct(node.operation, node.input_tensors) else node.operation


def arguments_of(node):
    """Return a function from the values of tensors, by the tensors' ids, to the arguments of a node in training."""
    args, kwargs = node.arguments.args, dict(node.arguments.kwargs)
    trained = {"training": True} if getattr(node.operation, "_call_has_training_arg", False) else {}
    places = [id(tensor) for tensor in args]
    if set(places) == {id(tensor) for tensor in node.input_tensors}:  # so that none is within a list
        kwargs |= trained
        return lambda values: ([values[place] for place in places], kwargs)

    def fill_in(values):
        args, kwargs = node.arguments.fill_in(values)
        return args, kwargs | trained

    return fill_in


def is_direct(layer, tensors):
    """Whether `layer.call` does what calling the layer does, once it is built."""
    if type(layer).__module__.startswith("kcnn."):
        return True
    return (
        type(layer).__module__.startswith("keras.")
        and isinstance(layer, keras.Layer)  # and no bare operation, such as `keras.ops.power`
        and not isinstance(layer, keras.Model)
        and layer.activity_regularizer is None
        and not (layer.weights and layer.compute_dtype != layer.variable_dtype)
        and all(tensor.dtype == layer.compute_dtype for tensor in tensors)
    )
