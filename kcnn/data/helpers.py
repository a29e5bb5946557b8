"""Processes that help to decode: for a small image most of Pillow's work is Python, which threads cannot share."""

import contextlib
import os
import pickle
import queue
import subprocess
import sys

import numpy as np

from kcnn.data.content import unpacked

# A program of its own instead of multiprocessing, which would run the caller's main module again.
PROGRAM = "import sys; sys.path[:] = {path!r}; from kcnn.data.helpers import serve; serve()"

# What a pipe gives whose other end has died, before, between or within an answer. A mistake in decoding ends the helper
# too; it is raised by this process, which then does the same work.
GONE = (OSError, EOFError, pickle.UnpicklingError)


class Helpers:
    """Up to `count` processes while the block lasts; where none can be started, all is done in this one."""

    def __init__(self, count: int):
        # A frozen application has no interpreter to start.
        self._possible = bool(sys.executable) and not getattr(sys, "frozen", False)
        self._count = count
        self._started = []
        self._free = queue.SimpleQueue()

    def __enter__(self):
        self._start()
        return self

    def grow(self, count: int) -> None:
        """Let there be `count` processes, if there are fewer."""
        if count > self._count:
            self._count = count
            self._start()

    def _start(self):
        with contextlib.suppress(OSError):
            while self._possible and len(self._started) < self._count:
                self._started.append(_start())
                self._free.put(self._started[-1])

    def __exit__(self, *exception):
        for helper in self._started:
            helper.kill()
            helper.wait()
            helper.stdout.close()
            with contextlib.suppress(OSError):  # what was not sent any more
                helper.stdin.close()

    def decode_some(self, contents, image_shape, resize, out):
        """Do what `kcnn.data.decode.decode_some` does, in a helper if one is free, else in this thread."""
        try:
            helper = self._free.get_nowait()
        except queue.Empty:
            helper = None
        if helper:
            try:
                bad = _ask(helper, contents, image_shape, resize, out)
            except GONE:  # it is not asked again
                pass
            else:
                self._free.put(helper)
                return bad
        from kcnn.data.decode import decode_some

        return decode_some(contents, image_shape, resize, out)


def _start():
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for this process, which then ends its helpers
    )


def _ask(helper, contents, image_shape, resize, out):
    pickle.dump((list(map(unpacked, contents)), image_shape, resize, out is not None), helper.stdin)
    helper.stdin.flush()
    bad = pickle.load(helper.stdout)
    if out is not None:
        pixels = memoryview(out).cast("B")
        if helper.stdout.readinto(pixels) != len(pixels):
            raise EOFError("the helper ended within its answer")
    return bad


def serve() -> None:
    """Answer what `_ask` sends until there is no more."""
    from kcnn.data.decode import decode_some

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that prints can come between
    while True:
        try:
            contents, image_shape, resize, wanted = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        out = np.zeros((len(contents), *image_shape), "uint8") if wanted else None
        pickle.dump(decode_some(contents, image_shape, resize, out), answers)
        if wanted:
            answers.write(memoryview(out).cast("B"))
        answers.flush()
