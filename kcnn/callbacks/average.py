"""Exponential moving average of all weights, batch-norm statistics among them."""

import keras
import numpy as np
from keras import ops


class AverageWeights(keras.callbacks.Callback):
    """Keeps a moving average of the weights, which validation, the best weights and the finished model use.

    Unlike the `use_ema` of Keras's optimizers it averages batch-norm statistics too: averaged weights beside the
    last statistics give a network that was never trained.

    Args:
        decay: Weight of the past at each update. It grows from 0.18 towards `decay` in the first updates, so that
            the initial weights are soon forgotten.
        every: Steps between updates.
    """

    def __init__(self, decay, every=1):
        super().__init__()
        self.decay = decay
        self.every = every
        self.steps = 0
        self.average = None
        self.trained = None

    def get_state(self):
        return {"steps": self.steps, "average": _arrays(self.average), "trained": _arrays(self.trained)}

    def set_state(self, state):
        self.steps = state["steps"]
        self.average, self.trained = (_tensors(state[name]) for name in ("average", "trained"))

    def on_train_begin(self, logs=None):
        if self.average is None:
            self.average = [ops.copy(_value(weight)) for weight in self._weights()]

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps % self.every:
            return
        updates = self.steps // self.every
        decay = min(self.decay, (1 + updates) / (10 + updates))
        self.average = [
            average + (1 - decay) * (_value(weight) - average)
            for average, weight in zip(self.average, self._weights(), strict=True)
        ]

    def on_test_begin(self, logs=None):
        self._show_average()

    def on_epoch_end(self, epoch, logs=None):
        self._show_average()  # where there was no validation

    def on_epoch_begin(self, epoch, logs=None):
        """Put the weights back that training goes on from."""
        if self.trained is not None:
            self._assign(self.trained)
            self.trained = None

    def _show_average(self):
        if self.trained is None and self.steps >= self.every:  # before, it is of no trained weights
            self.trained = [ops.copy(_value(weight)) for weight in self._weights()]
            self._assign(self.average)

    def _assign(self, values):
        for weight, value in zip(self._weights(), values, strict=True):
            weight.assign(ops.copy(value))  # JAX gives the variable's memory away at the next step

    def _weights(self):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        return [weight for weight in self.model.weights if "float" in str(weight.dtype)]


def _value(weight):
    """Return the tensor of a weight without its history, which PyTorch would carry on from step to step."""
    return ops.stop_gradient(ops.convert_to_tensor(weight))


def _arrays(values):
    return None if values is None else [np.array(ops.convert_to_numpy(value)) for value in values]


def _tensors(values):
    return None if values is None else [ops.convert_to_tensor(value) for value in values]
