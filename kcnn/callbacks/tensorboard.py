"""TensorBoard event files, written without TensorFlow."""

import time

import keras

from kcnn.errors import UsageError


class TensorBoardScalars(keras.callbacks.Callback):
    """Writes each number of the epoch's logs. Keras's own TensorBoard callback needs TensorFlow; this one does not.

    A run that goes on writes its earlier epochs once more: the files of a process that was killed may lack the last
    ones, which were still in its memory, and may hold some that are trained again.

    Args:
        folder: Where the event files go.
        learning_rate: Function from the step, counted from 0 over the whole training, to the rate used there.
        steps_per_epoch: Steps of an epoch.
    """

    def __init__(self, folder, learning_rate, steps_per_epoch):
        super().__init__()
        self.folder = folder
        self.learning_rate = learning_rate
        self.steps_per_epoch = steps_per_epoch
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "callbacks.tensorboard needs the package tensorboardX: pip install 'kcnn[tensorboard]'"
            ) from error
        self.open = SummaryWriter
        self.epochs = []  # (number from 1, time in seconds since 1970, {name: number})
        self.writer = None

    def get_state(self):
        return {"epochs": self.epochs}

    def set_state(self, state):
        self.epochs = state["epochs"] if isinstance(state["epochs"], list) else []  # once it was their number

    def on_epoch_end(self, epoch, logs=None):
        self._begin()
        rate = self.learning_rate((epoch + 1) * self.steps_per_epoch - 1)
        numbers = {name: float(value) for name, value in {**logs, "learning_rate": rate}.items()}
        self.epochs.append([epoch + 1, time.time(), numbers])
        self._write(*self.epochs[-1])

    def _begin(self):
        if self.writer is None:
            self.writer = self.open(str(self.folder), purge_step=1 if self.epochs else None)
            for earlier in self.epochs:
                self._write(*earlier)

    def _write(self, number, when, numbers):
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, number, walltime=when)

    def on_train_end(self, logs=None):
        self._begin()  # where nothing was left to train
        self.writer.close()
