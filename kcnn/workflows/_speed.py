"""One backend's side of a measurement of speed: an ordinary training whose epochs wait for their turn."""

import itertools
import math
import os
import sys
import tempfile
import time
from pathlib import Path

from kcnn import backend
from kcnn.run import Run
from kcnn.workflows._child import Requests, begin
from kcnn.workflows._prepare import check_validation, prepare

STATUS = Path("/proc/self/status")  # of Linux


def serve():
    """Answer {"recipe", "device", "steps", "rounds"} with what was found before training, then each {"round"}.

    A round is an epoch of at most so many steps, with at most so many batches of validation, within one call of
    `model.fit`. Its answer holds "memory", the peak of the process so far in MiB, None where that is not known, and
    seconds: "prepare", before the first round (building, what Keras does first); "train"; "evaluate", None without
    validation; "rest", what the epoch takes beside (checkpoint, history).
    """
    requests = Requests()
    with requests.errors_answered():
        request = next(requests)
        start = time.perf_counter()
        backend.select(os.environ["KERAS_BACKEND"], request["device"])
        recipe = begin(request["recipe"])
        import kcnn.assemble  # noqa: F401 - Keras and the framework

        imported = time.perf_counter() - start
        backend.check_device(os.environ["KERAS_BACKEND"], request["device"])
        recipe, dataset, weights = prepare(recipe)
        check_validation(recipe.callbacks, dataset)
        with tempfile.TemporaryDirectory(prefix="kcnn-bench-") as folder:
            _train(recipe, dataset, weights, request, Run(Path(folder)), requests, imported)


def longest(stages, epochs):
    """Return the stage that most of the epochs belong to: what a training spends its time with."""
    return max(stages, key=lambda stage: min(stage.last, epochs) - stage.first)


def _train(recipe, dataset, weights, request, run, requests, imported):
    from kcnn.assemble import ValidationSequence, assemble, callbacks
    from kcnn.callbacks.checkpoints import SaveCheckpoints
    from kcnn.callbacks.early_stopping import EarlyStopping
    from kcnn.callbacks.one_training import OneTraining
    from kcnn.kernels import kernels

    start = time.perf_counter()
    in_epoch = math.ceil(len(dataset.train) / recipe.batch_size)
    steps = min(request["steps"], in_epoch)
    rounds = request["rounds"]
    # Rounds may take more steps than the recipe has.
    wanted = recipe.epochs
    epochs = max(wanted, 1 + math.ceil(rounds * steps / max(in_epoch - 1, 1)))
    recipe = recipe.model_copy(update={"epochs": epochs})
    training = assemble(recipe, dataset, weights)
    training.enter(longest(training.stages, wanted))
    validation, evaluated = None, 0
    if training.validation is not None:
        some = _Some(training.validation.batches, request["steps"])
        validation, evaluated = ValidationSequence(some), some.images
    own, _ = callbacks(recipe, training, run)
    own = [each for each in own if not isinstance(each, EarlyStopping)]  # a round is no epoch
    saving = SaveCheckpoints(run.checkpoints, own, {}, epochs=rounds, steps_per_epoch=steps, seconds=math.inf)
    watching = OneTraining(
        [*own, saving, _turns(requests, start)],
        add_history=True,
        model=training.model,
        epochs=rounds,
        steps=steps,
        start=0,
    )
    requests.answer(
        {
            "import": imported,
            "train": len(dataset.train),
            "validation": len(dataset.validation) if dataset.validation is not None else 0,
            "image_shape": dataset.image_shape,
            "trained": (steps - 1) * recipe.batch_size + _last(training.batches, in_epoch),
            "evaluated": evaluated,
            "steps": steps,
        }
    )
    watching.begin()
    training.model.fit(
        kernels().feed(_Rounds(training.batches, in_epoch, steps, rounds), 0),
        steps_per_epoch=steps,
        epochs=rounds,
        validation_data=validation,
        callbacks=watching,
        shuffle=False,
        verbose=0,
    )


def _last(batches, in_epoch):
    """Return how many images the last batch of an epoch holds."""
    return len(batches.split) - (in_epoch - 1) * batches.batch_size


class _Rounds:
    """The batches of `rounds` rounds of `steps`; the last of each is the last of an epoch, which may be smaller.

    A compiler works once for each size, in a bounded round as in a real epoch.
    """

    def __init__(self, batches, in_epoch, steps, rounds):
        self.batches = batches
        self.in_memory = batches.in_memory
        self.in_epoch = in_epoch
        self.steps = steps
        self.rounds = rounds

    def __len__(self):
        return self.rounds * self.steps

    def __getitem__(self, number):
        if number % self.steps == self.steps - 1:
            return self.batches[self.in_epoch - 1]
        epoch, place = divmod(number - number // self.steps, max(self.in_epoch - 1, 1))
        return self.batches[epoch * self.in_epoch + place]

    def iterate(self, start):
        if self.in_memory:
            yield from (self[number] for number in range(start, len(self)))
            return
        full = (batch for batch in self.batches.iterate(start) if len(batch[1]) == self.batches.batch_size)
        while True:
            yield from itertools.islice(full, self.steps - 1)
            yield self[self.steps - 1]


class _Some:
    """At most `count` of some evaluation batches, the last among them."""

    def __init__(self, batches, count):
        self.batches = batches
        self.in_memory = batches.in_memory
        self.count = min(count, len(batches))

    @property
    def images(self):
        last = len(self.batches.split) - (len(self.batches) - 1) * self.batches.batch_size
        return (self.count - 1) * self.batches.batch_size + last

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.batches[index if index < self.count - 1 else len(self.batches) - 1]


def _turns(requests, start):
    """Return the callback that lets an epoch begin when it is asked for, and answers what it took.

    It must be the last: the part of an epoch that the other callbacks take is measured too.
    """
    import keras

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            prepared = time.perf_counter() - start if epoch == 0 else 0.0
            if next(requests, None) is None:  # nobody asks any more
                raise SystemExit
            self.prepared, self.begun = prepared, time.perf_counter()
            self.trained = self.evaluated = None

        def on_test_begin(self, logs=None):
            self.trained = self._done()

        def on_test_end(self, logs=None):
            self.evaluated = self._done()

        def on_epoch_end(self, epoch, logs=None):
            now = self._done()
            trained = self.trained or now
            evaluated = self.evaluated or trained
            requests.answer(
                {
                    "prepare": self.prepared,
                    "train": trained - self.begun,
                    "evaluate": evaluated - trained if self.evaluated else None,
                    "rest": now - evaluated,
                    "memory": peak_memory(),
                }
            )

        def _done(self):
            float(self.model.get_metrics_result()["loss"])  # waits for what the device still has to do
            return time.perf_counter()

    return Turns()


def peak_memory():
    """Return the most memory that this process has held, in MiB; None on Windows, where Python does not know."""
    try:
        # Not ru_maxrss, which Linux lets a child inherit from its parent.
        status = STATUS.read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):  # no such file, or one without that line
        pass
    try:
        import resource
    except ImportError:
        return None
    else:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    serve()
