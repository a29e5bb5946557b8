"""Keras's EarlyStopping, with a state that a checkpoint can hold."""

import keras


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Stops when nothing has improved for `patience` epochs; takes the arguments of Keras's own."""

    def get_state(self):
        return {"monitor": self.monitor, "wait": self.wait, "best": None if self.best is None else float(self.best)}

    def set_state(self, state):
        if state.get("monitor", self.monitor) == self.monitor:  # a forced resume may watch another
            self.wait, self.best = state["wait"], state["best"]
