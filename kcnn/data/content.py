"""The bytes of one encoded image, wherever they are."""

import os
import tempfile
import weakref
from dataclasses import dataclass
from typing import Any


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


@dataclass(frozen=True)
class Member:
    """One file of an archive, which is unpacked only if the bytes are asked for.

    Attributes:
        archive: A `kcnn.data.packed.Packed`.
        number: Of the file in it.
        size: How many bytes it has.
        digest: What `kcnn.data.fingerprint.digest` returns for them.
    """

    archive: Any
    number: int
    size: int
    digest: bytes


def unpacked(content: Any) -> Any:
    """Return where the bytes of a `Member` are, and everything else as it is. Raises `DataError`."""
    return content.archive.content(content.number) if isinstance(content, Member) else content


def read(content: str | bytes | Extent | Member, limit: int = -1) -> bytes:
    """Return the bytes of one image, or the first `limit` of them. Raises OSError, and `DataError` as `unpacked`."""
    content = unpacked(content)
    if isinstance(content, bytes):
        return content if limit < 0 else content[:limit]
    if isinstance(content, Extent):
        with open(content.spool.path, "rb") as file:
            file.seek(content.offset)
            return file.read(content.size if limit < 0 else min(limit, content.size))
    with open(content, "rb", buffering=0) as file:
        return file.read(limit)


def size(content: str | bytes | Extent | Member) -> int:
    """Return how many bytes `read` would return. Raises OSError."""
    if isinstance(content, bytes):
        return len(content)
    return content.size if isinstance(content, Extent | Member) else os.stat(content).st_size


def _remove(path):
    if os.path.exists(path):
        os.unlink(path)
