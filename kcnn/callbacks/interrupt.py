"""Ctrl-C and SIGTERM as a wish that training fulfils between two steps."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def noted_interrupts(say=lambda message: None):
    """Yield a function that tells whether Ctrl-C or SIGTERM came; a second one raises `KeyboardInterrupt` at once.

    An exception raised wherever the first one arrives would be lost: Keras waits for the device in `pythonify_logs`,
    inside of a bare `except: pass`. Outside of the main thread, and where a signal is not Python's or the system's
    own to handle, it does nothing.

    Args:
        say: Called with a sentence when the first one comes.
    """
    came = []

    def note(number, frame):
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt
        say("Stopping after this step; once more stops at once.")

    replaced = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
                replaced[number] = signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
