"""Keep the weights of the best epoch."""

import keras
import numpy as np


class KeepBest(keras.callbacks.Callback):
    """Remembers the weights of the epoch with the best validation accuracy and puts them back at the end.

    Of epochs that are equally accurate the one with the lower validation loss counts, then the earlier one.
    """

    def __init__(self):
        super().__init__()
        self.epoch = None
        self.score = None
        self.weights = None

    def get_state(self):
        return {"epoch": self.epoch, "score": self.score and list(self.score), "weights": self.weights}

    def set_state(self, state):
        self.epoch, self.weights = state["epoch"], state["weights"]
        self.score = state["score"] and tuple(state["score"])

    def on_epoch_end(self, epoch, logs=None):
        score = (float(logs["val_accuracy"]), -float(logs["val_loss"]))
        if self.score is None or score > self.score:
            self.epoch, self.score = epoch, score
            self.weights = [np.array(weight) for weight in self.model.get_weights()]

    def on_train_end(self, logs=None):
        if self.weights is not None:
            self.model.set_weights(self.weights)
