"""A small training with everything that has a state, and what must be equal however often it was stopped."""

import json

import keras
import numpy as np
import pytest

from kcnn import recipe
from kcnn.run import Run

# Everything that has a state: average, best weights, early stopping, dropout, mixing, accumulated gradients.
SETTINGS = (
    "epochs=4",
    "data.limit=200",
    "model.width=8",
    "model.depth=1",
    "model.dropout=0.3",
    "model.block_dropout=0.1",
    'augment=[{name="mixup"}]',
    "optimizer.accumulation_steps=2",
    "callbacks.ema.decay=0.9",
    "callbacks.best=true",
    "callbacks.early_stopping.patience=3",
)


STEPS = 4  # an epoch


class Killed(BaseException):
    """What takes the place of SIGKILL inside of one process."""


class At(keras.callbacks.Callback):
    """Does something after a number of steps, or in the validation of an epoch."""

    def __init__(self, action, *, step=None, validation=None):
        super().__init__()
        self.action, self.step, self.validation = action, step, validation
        self.steps, self.epoch = 0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.step:
            self.action()

    def on_test_batch_end(self, batch, logs=None):
        if self.epoch == self.validation:
            self.action()


def kill():
    raise Killed


def loaded(*settings):
    return recipe.load("smoke", (*SETTINGS, *settings))


def weights(run):
    return keras.saving.load_model(run.model).get_weights()


def learned(run):
    """Return the history without the columns that hold times."""
    return [line.split(",")[:6] for line in run.history.read_text().splitlines()]


def assert_same(run, whole):
    assert learned(run) == learned(whole)
    for one, other in zip(weights(run), weights(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not run.checkpoints.exists()
    assert not list(run.path.rglob(".*"))
    numbers = [json.loads(r.metrics.read_text())["val_loss"] for r in (run, whole)]
    assert numbers[0] == numbers[1]


def stopped(tmp_path, at, *settings, error=Killed):
    """Return the run that is left where `at` stops a training, and the error."""
    from kcnn.workflows.fit import fit

    with pytest.raises(error) as caught:
        fit(loaded(*settings), out=tmp_path, name="run", extra_callbacks=[at])
    return Run.open_unfinished(tmp_path / "run"), caught.value
