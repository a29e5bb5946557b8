"""Stop as soon as the loss is no longer a number."""

import math

import keras

from kcnn.errors import TrainingError


class StopOnNaN(keras.callbacks.Callback):
    """Raises `TrainingError` when the loss is NaN or infinite.

    Args:
        learning_rate: Function from the step, counted from 0 over the whole training, to the rate used there.
        every: Steps between looks; each look waits for the device.
    """

    def __init__(self, learning_rate, every=50):
        super().__init__()
        self.learning_rate = learning_rate
        self.every = every
        self.epoch = 0
        self.step = 0

    def get_state(self):
        return {"step": self.step}

    def set_state(self, state):
        self.step = state["step"]

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step % self.every == 0 or self.step <= 2:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs)

    def _check(self, logs):
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} by step {self.step} (epoch {self.epoch + 1}), at a learning rate of "
                f"{self.learning_rate(self.step - 1):g}. Try a lower one: --set optimizer.learning_rate=...; "
                "or clip gradients: --set optimizer.clip_norm=1.0"
            )
