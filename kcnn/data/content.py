"""The bytes of one encoded image, wherever they are."""

import os
import tempfile
import weakref
from dataclasses import dataclass


class Spool:
    """One temporary file that holds many images one after another, and is removed with the last use of it."""

    def __init__(self):
        handle, self.path = tempfile.mkstemp(prefix="kcnn-", suffix=".images")
        os.close(handle)
        self._size = 0
        weakref.finalize(self, _remove, self.path)

    def append(self, data: bytes) -> "Extent":
        """Write `data` at the end and return where it lies."""
        with open(self.path, "ab") as file:
            file.write(data)
        extent = Extent(self, self._size, len(data))
        self._size += len(data)
        return extent


@dataclass(frozen=True)
class Extent:
    """Some bytes of a spool."""

    spool: Spool
    offset: int
    size: int


def read(content: str | bytes | Extent, limit: int = -1) -> bytes:
    """Return the bytes of one image, or the first `limit` of them. Raises OSError."""
    if isinstance(content, bytes):
        return content if limit < 0 else content[:limit]
    if isinstance(content, Extent):
        with open(content.spool.path, "rb") as file:
            file.seek(content.offset)
            return file.read(content.size if limit < 0 else min(limit, content.size))
    with open(content, "rb", buffering=0) as file:
        return file.read(limit)


def size(content: str | bytes | Extent) -> int:
    """Return how many bytes `read` would return. Raises OSError."""
    if isinstance(content, bytes):
        return len(content)
    return content.size if isinstance(content, Extent) else os.stat(content).st_size


def _remove(path):
    if os.path.exists(path):
        os.unlink(path)
