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
    without variables whose inputs have their dtype.
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
        for node, direct in self._steps():
            layer = node.operation
            args, kwargs = node.arguments.fill_in(values)
            if getattr(layer, "_call_has_training_arg", False):
                kwargs["training"] = True
            output = (layer.call if direct else layer)(*args, **kwargs)
            values[id(node.outputs[0])] = output
        outputs = [values[id(tensor)] for tensor in self.outputs]
        return outputs if len(outputs) > 1 else outputs[0]

    def _steps(self):
        """Return (node, whether to call its layer directly) in their order."""
        if not hasattr(self, "_direct_steps"):
            depths = sorted(self._nodes_by_depth, reverse=True)
            nodes = [node for depth in depths for node in self._nodes_by_depth[depth] if not node.is_input]
            self._direct_steps = [(node, is_direct(node.operation, node.input_tensors)) for node in nodes]
        return self._direct_steps


def is_direct(layer, tensors):
    """Whether `layer.call` does what calling the layer does, once it is built."""
    if type(layer).__module__.startswith("kcnn."):
        return True
    return (
        type(layer) in (keras.layers.Activation, keras.layers.Add, keras.layers.Flatten, keras.layers.Identity)
        and not layer.weights
        and all(tensor.dtype == layer.compute_dtype for tensor in tensors)
    )
