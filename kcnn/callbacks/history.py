"""The history of a run: one row an epoch, in memory and in history.csv."""

import csv
import io
import time

import keras

from kcnn.files import write_text

COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "images_per_second",
)


class RunHistory(keras.callbacks.Callback):
    """Collects a row after each epoch and writes the whole file anew, so that it is never half a row.

    Args:
        path: The CSV file.
        learning_rate: Function from the step, counted from 0 over the whole training, to the rate used there.
        steps_per_epoch: Steps of an epoch.
        images_per_epoch: Training images of an epoch.
    """

    def __init__(self, path, learning_rate, steps_per_epoch, images_per_epoch):
        super().__init__()
        self.path = path
        self.learning_rate = learning_rate
        self.steps_per_epoch = steps_per_epoch
        self.images_per_epoch = images_per_epoch
        self.rows = []
        self.earlier = 0.0  # seconds of training in this epoch before the run was resumed
        self.begin = None
        self.trained = None

    def get_state(self):
        running = self.begin is not None
        return {"rows": self.rows, "seconds": self.earlier + time.perf_counter() - self.begin if running else 0.0}

    def set_state(self, state):
        self.rows, self.earlier = state["rows"], state["seconds"]
        write_text(self.path, to_csv(self.rows))

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()
        self.trained = None

    def on_test_begin(self, logs=None):
        self._end_of_training_part()

    def on_epoch_end(self, epoch, logs=None):
        self._end_of_training_part()
        seconds = self.earlier + time.perf_counter() - self.begin
        trained = self.earlier + self.trained - self.begin
        row = {
            "epoch": epoch + 1,
            **{name: float(logs[name]) for name in COLUMNS[1:5] if name in logs},
            "learning_rate": self.learning_rate((epoch + 1) * self.steps_per_epoch - 1),
            "seconds": round(seconds, 3),
            "images_per_second": round(self.images_per_epoch / trained, 1),
        }
        self.earlier, self.begin = 0.0, None
        self.rows.append(row)
        write_text(self.path, to_csv(self.rows))

    def _end_of_training_part(self):
        if self.trained is None:
            float(self.model.get_metrics_result()["loss"])  # waits for what the device still has to do
            self.trained = time.perf_counter()


def to_csv(rows):
    """Return history rows as CSV; a value that an epoch has not (no validation images) is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
