"""Make Ctrl-C stop a training for certain."""

import signal
import threading

import keras


class StopOnInterrupt(keras.callbacks.Callback):
    """Raises `KeyboardInterrupt` again at the next batch where Keras has swallowed it.

    Keras waits for the device in `pythonify_logs`, inside of a bare `except: pass`, and most signals arrive there.
    Use it as a context around `fit`, and as the last of its callbacks. Outside of the main thread, and where SIGINT is
    not Python's own to handle, it does nothing.
    """

    def __init__(self):
        super().__init__()
        self.interrupted = False
        self.replaced = None

    def __enter__(self):
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.replaced = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error):
        if self.replaced is not None:
            signal.signal(signal.SIGINT, self.replaced)
        if error[0] is not KeyboardInterrupt:
            self.check()  # TensorFlow turns one that comes while it asks for a batch into an error of its own

    def _note(self, number, frame):
        self.interrupted = True
        raise KeyboardInterrupt

    def check(self):
        """Raise `KeyboardInterrupt` if one came since the context was entered."""
        if self.interrupted:
            raise KeyboardInterrupt

    def on_epoch_begin(self, epoch, logs=None):
        self.check()

    def on_train_batch_end(self, batch, logs=None):
        self.check()

    def on_test_batch_end(self, batch, logs=None):
        self.check()
