"""A process that works on one backend and is driven through a pipe: JSON lines, one answer for each request."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

from kcnn import backend
from kcnn import recipe as recipes
from kcnn.errors import BackendError, KcnnError, UsageError

# ---------------------------------------------------------------- the parent's side


class EndedEarlyError(KcnnError):
    """A child process that is no longer there."""


class Child:
    """A process that runs a module's `serve` on one backend, from entering the block to leaving it.

    Args:
        module: Name of the module.
        name: The backend.
        folder: A temporary folder: for what the process says on stderr, whose last line is told where it ends early,
            and for its own temporary files.
        environment: Variables beside those of this process.
    """

    def __init__(self, module, name, folder, environment=None):
        self.module = module
        self.name = name
        self.errors = folder / f"{name}.log"
        self.environment = {
            **os.environ,
            "KERAS_BACKEND": name,
            "TMPDIR": str(folder),  # what it has no time to remove goes with that folder
            **backend.SHARED_GPU,
            **(environment or {}),
        }

    def __enter__(self):
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self.environment,
            )
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # what it was not there to read
            self.process.stdin.close()

    def ask(self, **request):
        with contextlib.suppress(BrokenPipeError):  # the answer will tell
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def answer(self):
        """Return the answer to the oldest request that has none.

        Raises:
            BackendError, UsageError, KcnnError: What the process could not do.
            EndedEarlyError: It ended.
        """
        line = self.process.stdout.readline()
        if not line:
            ended = f"exit status {self.process.wait()}"
            lines = self.errors.read_text(errors="replace").strip().splitlines() or [ended]
            raise EndedEarlyError(f"{self.name}: the process ended early: {lines[-1]}")
        found = json.loads(line)
        if "error" in found:
            other = UsageError if found["exit_code"] == UsageError.exit_code else KcnnError
            kind = BackendError if found["kind"] == BackendError.__name__ else other
            raise kind(f"{self.name}: {found['error']}")
        return found


@contextlib.contextmanager
def ended_by_sigterm():
    """Let SIGTERM raise `KeyboardInterrupt`, so that no child and no temporary folder stays behind."""

    def stop(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


# ---------------------------------------------------------------- the child's side


class Requests:
    """The requests that come through stdin, in their order; stdout is kept for the answers alone."""

    def __init__(self):
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)  # what a framework prints is no answer
        sys.stdout = sys.stderr

    def __iter__(self):
        return self

    def __next__(self):
        line = sys.stdin.readline()
        if not line:
            raise StopIteration
        return json.loads(line)

    def answer(self, found):
        self._answers.write(json.dumps(found) + "\n")

    @contextlib.contextmanager
    def errors_answered(self):
        """Answer with the error where the block ends in one that a user can mend."""
        try:
            yield
        except KcnnError as error:
            self.answer({"error": str(error), "kind": type(error).__name__, "exit_code": error.exit_code})


def begin(recipe_text):
    """Return the `Recipe` of a request after preparing this process for it."""
    recipe = recipes.parse(recipe_text)
    if recipe.run.deterministic:
        backend.make_deterministic(os.environ["KERAS_BACKEND"])
    return recipe
