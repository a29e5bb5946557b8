"""Work that a thread does in advance, while what it has done so far is used."""

import contextlib
import queue
import threading

DEPTH = 2  # results that wait to be used
SECONDS = 1  # for the thread to end


def ahead(items):
    """Yield what the generator `items` yields, up to DEPTH of it worked out in advance.

    The thread is a daemon: one that waits for a pipe would keep the process from ending.
    """
    ready, stopped = queue.Queue(DEPTH), threading.Event()

    def work():
        try:
            with contextlib.closing(items):
                for item in items:
                    ready.put((item, None))
                    if stopped.is_set():
                        return
            ready.put((None, StopIteration()))
        except BaseException as error:  # it is raised where the results are used
            ready.put((None, error))

    thread = threading.Thread(target=work, daemon=True, name="kcnn-ahead")
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error:
                raise error
            yield item
    finally:
        stopped.set()
        while not ready.empty():  # else it would wait for a place
            ready.get_nowait()
        thread.join(SECONDS)
