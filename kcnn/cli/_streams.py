"""stdout and stderr whose reader may leave, as `head` does."""

import contextlib
import os
import sys


class Unheard:
    """A stream that drops what nobody reads any more, so that work goes on without its words."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        with self._reader_may_leave():
            return self._stream.write(text)
        return len(text)

    def flush(self):
        with self._reader_may_leave():
            self._stream.flush()

    @contextlib.contextmanager
    def _reader_may_leave(self):
        try:
            yield
        except BrokenPipeError:
            to_nobody(self._stream)


@contextlib.contextmanager
def stderr_unheard():
    """Let no word on stderr end the block, where nobody reads it."""
    before = sys.stderr
    sys.stderr = Unheard(before)
    try:
        yield
    finally:
        sys.stderr = before


def to_nobody(stream):
    """Send what is still to be written to `stream` nowhere, also what Python writes on its way out."""
    _to_nobody(stream.fileno())


def open_both():
    """Give stdout and stderr to nobody where they were closed before Python began, by which it has none."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            _to_nobody(number)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


def spell_out():
    """Let stdout write what its encoding cannot hold as `\\udce9`, so that one odd file name loses no table."""
    if getattr(sys.stdout, "errors", None) == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _to_nobody(number):
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(nowhere, number)
        os.close(nowhere)


def screen(**options):
    """Return a rich console on stdout; where the reader leaves it raises `BrokenPipeError`, as `print` does."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self):  # rich would end the process with exit code 1
            raise BrokenPipeError

    return Screen(**options)
