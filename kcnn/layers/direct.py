"""A functional model that calls its layers without Keras's ceremony, where that runs at every step."""

import keras

from kcnn.kernels import kernels


class DirectModel(keras.Model):
    """A functional model for training, with one output, whose layers each have one output.

    PyTorch runs the Python of every layer at every step, and most of what `Layer.__call__` does (binding arguments,
    looking for symbols and masks, casting) is settled once the model is built. So on PyTorch `layer.call` is called
    instead where it does the same: for the layers of kcnn, which expect nothing of the ceremony, and for stock layers
    without variables whose inputs have their dtype.
    """

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
        return values[id(self.outputs[0])]

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
