"""The time that `fit` trains, without what it sets up before its first step and takes down after its last."""

import time

import keras


class Clock(keras.callbacks.Callback):
    """Measures the latest epoch; its loss has arrived when the clock stops."""

    seconds = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        float(logs["loss"])
        self.seconds = time.perf_counter() - self.start
