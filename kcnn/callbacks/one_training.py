"""Several calls of `fit` that are one training to its callbacks."""

import keras


class OneTraining(keras.callbacks.CallbackList):
    """A list of callbacks for which training begins at `begin` and ends at `end`, not with each call of `fit`.

    A training that is resumed in the middle of an epoch takes two calls, since all epochs of one have equal length.
    """

    def begin(self):
        """Call `on_train_begin` of each callback."""
        super().on_train_begin()

    def end(self):
        """Call `on_train_end` of each callback."""
        super().on_train_end()

    def on_train_begin(self, logs=None):
        pass

    def on_train_end(self, logs=None):
        pass
