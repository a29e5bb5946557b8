"""Progress on stderr: bars with the time left on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_SECONDS = 5  # between two lines of progress where there is no terminal
STEP_SECONDS = 60  # between two lines within an epoch
ARTICLE_EPOCHS = 5  # the teaching article prints a line every 5 epochs


def console():
    return Console(file=sys.stderr, highlight=False)


@contextlib.contextmanager
def counting(*, one_bar=False):
    """Yield a function `(done, total, what)` that shows how far some work is; the total may be None.

    With `one_bar` all calls count one thing, and `what` is what is done just now.
    """
    screen = console()
    if screen.is_terminal:
        with _bar(screen, transient=True) as progress:
            tasks = {}

            def show(done, total, what):
                key = None if one_bar else what
                if key not in tasks:
                    tasks[key] = progress.add_task(what, total=total)
                progress.update(tasks[key], completed=done, total=total, description=what)

            yield show
    else:
        begin = last = time.monotonic()

        def show(done, total, what):
            nonlocal last
            now = time.monotonic()
            if now - last > LINE_SECONDS or (done == total and now - begin > LINE_SECONDS):
                last = now
                of_all = "" if total is None else f" of {total:,}"
                screen.print(f"{what}: {done:,}{of_all}", soft_wrap=True, markup=False)

        yield show


def _bar(screen, **options):
    return Progress(
        TextColumn("{task.description}", markup=False),  # names may look like it
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=screen,
        redirect_stdout=sys.stdout.isatty(),  # else rich would send what goes to a pipe to stderr
        **options,
    )


def article_line(epoch, logs, seconds):
    """Return an epoch's result in the form in which the teaching article prints it."""
    line = f"Epoch {epoch:3d} | Train Loss {logs['loss']:.3f} Acc {logs['accuracy']:.3f} | "
    if "val_loss" in logs:
        line += f"Val Loss {logs['val_loss']:.3f} Acc {logs['val_accuracy']:.3f} | "
    return f"{line}{seconds:.1f}s"


def training_callback(epochs):
    """Return a Keras callback that shows the training: a bar and every fifth epoch, or a line an epoch and a minute."""
    import keras

    class TrainingProgress(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.screen = console()
            self.bar = None
            self.step = self.params["start"]
            self.told = time.perf_counter()
            if self.screen.is_terminal:
                self.bar = _bar(self.screen, transient=True)
                self.bar.start()
                self.task = self.bar.add_task("training", total=epochs * self.params["steps"])
                self.bar.update(self.task, completed=self.step)

        def on_epoch_begin(self, epoch, logs=None):
            self.begin = time.perf_counter()
            if self.bar:
                self.bar.update(self.task, description=f"epoch {epoch + 1} of {epochs}")

        def on_train_batch_end(self, batch, logs=None):
            self.step += 1
            if self.bar:
                self.bar.advance(self.task)
                return
            now = time.perf_counter()
            if now - self.told > STEP_SECONDS and self.step % self.params["steps"]:
                self.told = now
                epoch, done = divmod(self.step, self.params["steps"])
                self.screen.print(f"Epoch {epoch + 1:3d} | step {done:,} of {self.params['steps']:,}", soft_wrap=True)

        def on_epoch_end(self, epoch, logs=None):
            number = epoch + 1
            if not self.bar or number % ARTICLE_EPOCHS == 0 or number == epochs:
                self.told = time.perf_counter()
                line = article_line(number, logs, self.told - self.begin)
                self.screen.print(line, soft_wrap=True)

        def stop(self):
            """Give the terminal back, also after an error."""
            if getattr(self, "bar", None):
                self.bar.stop()

        def on_train_end(self, logs=None):
            self.stop()

    return TrainingProgress()
