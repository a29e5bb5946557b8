"""Progress of a loop over many things, told a few times a second."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SECONDS = 0.2  # between two reports

Progress = Callable[[int, int | None, str], None]


def counted(items: Iterable[Any], progress: Progress | None, what: str, total: int | None = None) -> Iterator[Any]:
    """Yield the items; call `progress(done, total, what)` where they take longer than a blink."""
    if progress is None:
        yield from items
        return
    last, done, told = time.monotonic(), 0, False
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS:
            last, told = now, True
            progress(done, total, what)
    if told:
        progress(done, total, what)
