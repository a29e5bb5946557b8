"""TensorBoard event files, written without TensorFlow."""

import keras

from kcnn.errors import UsageError


class TensorBoardScalars(keras.callbacks.Callback):
    """Writes each number of the epoch's logs. Keras's own TensorBoard callback needs TensorFlow; this one does not.

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
        self.epochs = 0
        self.writer = None

    def get_state(self):
        return {"epochs": self.epochs}

    def set_state(self, state):
        self.epochs = state["epochs"]

    def on_epoch_end(self, epoch, logs=None):
        if self.writer is None:
            # What a run that was killed wrote after its last checkpoint is not shown twice.
            self.writer = self.open(str(self.folder), purge_step=self.epochs + 1 if self.epochs else None)
        self.epochs = epoch + 1
        rate = self.learning_rate((epoch + 1) * self.steps_per_epoch - 1)
        for name, value in {**logs, "learning_rate": rate}.items():
            self.writer.add_scalar(name, float(value), epoch + 1)

    def on_train_end(self, logs=None):
        if self.writer is not None:
            self.writer.close()
