"""An archive whose names and digests are noted, so that a later start unpacks it only if it needs the bytes."""

import threading
from pathlib import Path

from kcnn import cache
from kcnn.data import notes
from kcnn.data.archive import read_archive
from kcnn.data.content import Extent, Member
from kcnn.data.counted import Progress
from kcnn.data.decode import is_image
from kcnn.data.fingerprint import digests
from kcnn.errors import DataError

FORMAT = 1  # of what is noted


def read_packed(
    path: Path, memory_limit: float, progress: Progress | None = None
) -> tuple[list[tuple[str, bytes | Extent | Member]], list[tuple[str, str]]]:
    """Return what `read_archive` returns; where the cache is on, each image as a `Member`.

    An archive is the same while its path and its file's status are, which are what the folder of a dataset goes by
    for each of its files.
    """
    if not cache.limit():
        return read_archive(path, memory_limit, progress)
    before = notes.identity(str(path))
    name = notes.key(("members", FORMAT), [(str(path), before)])
    archive = Packed(path, memory_limit, progress)
    found = notes.recall(name)
    if found is None:
        found = [archive.unpack()]
        if notes.identity(str(path)) == before:  # else it was written while it was read
            notes.note(name, found[0])
    files, skipped = archive.known = found[0]
    entries = [
        (name, Member(archive, number, size, bytes.fromhex(digest)) if is_image(name) else b"")
        for number, (name, size, digest) in enumerate(files)
    ]
    return entries, [tuple(each) for each in skipped]


class Packed:
    """An archive that is unpacked when the content of a member is first asked for.

    Attributes:
        known: What `unpack` returned, in this or an earlier process.
    """

    def __init__(self, path: Path, memory_limit: float, progress: Progress | None):
        self.path = path
        self.memory_limit = memory_limit
        self.progress = progress
        self.known = None
        self._contents = None
        self._refusal = None
        self._lock = threading.Lock()

    def unpack(self) -> list:
        """Read the archive; return [[[name, size, digest in hexadecimal], ...], [[refused name, reason], ...]]."""
        entries, skipped = read_archive(self.path, self.memory_limit, self.progress)
        self._contents = [data for _, data in entries]
        found = zip(entries, digests(self._contents, strict=True), strict=True)
        return [
            [
                [name, len(data) if isinstance(data, bytes) else data.size, digest.hex()]
                for (name, data), digest in found
            ],
            [list(each) for each in skipped],
        ]

    def content(self, number: int) -> bytes | Extent:
        """Return where the bytes of a member are.

        Raises:
            DataError: The archive is no longer what it was, or the system does not let it be unpacked.
        """
        with self._lock:  # threads decode
            if self._refusal is None and self._contents is None:
                self._refusal = self._unpacked_again()
            if self._refusal:
                raise DataError(self._refusal)
        return self._contents[number]

    def _unpacked_again(self) -> str:
        """Unpack, and return why nothing can be read from it, or an empty string: it is asked for each image."""
        try:
            same = self.unpack() == self.known
        except OSError as error:
            return f"Cannot unpack {self.path}: {error.strerror or error}."
        return "" if same else f"{self.path} has changed since this process listed it. Start again."
