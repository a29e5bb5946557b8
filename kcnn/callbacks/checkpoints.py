"""Save all that a training is, so that it can go on exactly where it stood."""

import time

import keras
import numpy as np
from keras import ops

from kcnn import checkpoint
from kcnn.errors import CheckpointError, Interrupted


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves at the end of each epoch and every `seconds` within one; it must be the last of the callbacks.

    A checkpoint holds the variables of the model, its optimizer and its metrics, and the state of each callback that
    has `get_state` and `set_state`. Batches, augmentation, dropout and the learning rate are functions of the step.
    Weights that are no numbers any more are not saved, so that what can be gone on from stays.

    Args:
        folder: Where the checkpoints go.
        callbacks: All other callbacks of the training.
        identity: What a resumed training must agree in; saved as it is.
        epochs, steps_per_epoch: Of the whole training.
        seconds: Between two checkpoints within an epoch; 0 saves after each step.
        interrupted: Function that tells whether to save and stop.
        command: The command that resumes.
        resumed: The `Checkpoint` to go on from, or None.
        new_optimizer: Whether a stage begins there, whose optimizer has nothing to go on from.
    """

    def __init__(
        self,
        folder,
        callbacks,
        identity,
        *,
        epochs,
        steps_per_epoch,
        seconds,
        interrupted=lambda: False,
        command="",
        resumed=None,
        new_optimizer=False,
    ):
        super().__init__()
        self.folder = folder
        self.parts = [callback for callback in callbacks if hasattr(callback, "get_state")]
        self.identity = identity
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.seconds = seconds
        self.interrupted = interrupted
        self.command = command
        self.resumed = resumed
        self.new_optimizer = new_optimizer
        self.step = resumed.step if resumed else 0

    def on_train_begin(self, logs=None):
        self.saved = time.monotonic()
        if self.resumed is None:
            return
        state = self.resumed.state
        _assign(self.model.variables, state["weights"], "model")
        if not self.new_optimizer:
            if not self.model.optimizer.built:  # a loss scale's would make its variables twice
                self.model.optimizer.build(self.model.trainable_variables)
            _assign(self.model.optimizer.variables, state["optimizer"], "optimizer")
        for part in self.parts:
            if type(part).__name__ in state["callbacks"]:  # else one that the recipe gained, with --force
                part.set_state(state["callbacks"][type(part).__name__])

    def on_epoch_begin(self, epoch, logs=None):
        if self.resumed is not None and self.resumed.step % self.steps_per_epoch:
            _assign(self.model.metrics_variables, self.resumed.state["metrics"], "metrics")
        self.resumed = None

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        # After the last step of an epoch its validation comes first: a step tells whether its epoch has ended.
        if self.step % self.steps_per_epoch == 0:
            return
        if self.interrupted() or time.monotonic() - self.saved >= self.seconds:
            self.stop_if_interrupted(self.save())

    def on_epoch_end(self, epoch, logs=None):
        self.stop_if_interrupted(self.save())

    def save(self):
        """Save a checkpoint; return whether it was, which weights that are no numbers are not."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.saved = time.monotonic()
        weights = _values(self.model.variables)
        if not all(np.isfinite(each).all() for each in weights):
            return False
        state = {
            "identity": self.identity,
            "stopped": bool(self.model.stop_training),
            "weights": weights,
            "optimizer": _values(self.model.optimizer.variables),
            "metrics": _values(self.model.metrics_variables),
            "callbacks": {type(part).__name__: part.get_state() for part in self.parts},
        }
        checkpoint.save(self.folder, self.step, state)
        self.saved = time.monotonic()
        return True

    def stop_if_interrupted(self, saved):
        """Raise `Interrupted` where a stop was wished, `KeyboardInterrupt` where nothing was saved to go on from."""
        if self.interrupted():
            if not saved:
                raise KeyboardInterrupt
            raise Interrupted(
                f"Stopped after step {self.step:,} of {self.epochs * self.steps_per_epoch:,}, in epoch "
                f"{(self.step - 1) // self.steps_per_epoch + 1} of {self.epochs}; nothing is lost.",
                self.command,
            )


def _values(variables):
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables, values, whose):
    ours, saved = ([tuple(each.shape) for each in them] for them in (variables, values))
    if ours != saved:
        raise CheckpointError(
            f"The checkpoint does not fit the {whose} of the recipe: it holds {len(saved)} variables where there are "
            f"{len(ours)}, or some of another shape. Start another run."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
