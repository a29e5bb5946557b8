"""The user's cache folder: what can be made again, kept because making it takes time."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from kcnn.errors import UsageError

# Of a folder that KCNN_CACHE names nothing is ever listed or removed but what has such a name in one of these.
# An entry, a note, or what is being written of either; 16 digits are those of a processor.
OWN = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}(\.json)?|\.[0-9a-f]{32}-\w{8}(\.json)?")
KINDS = {
    "datasets": "decoded images",
    "jax": "compiled steps",
    "bench": "measured speeds",
}
DEFAULT_LIMIT = 20.0  # GiB
ABANDONED = 24 * 3600  # seconds after which nobody can still be writing an entry


@dataclass(frozen=True)
class Kind:
    """What lies in the cache of one kind.

    Attributes:
        name: A key of `KINDS`.
        path: Its folder.
        entries: How many things are kept in it.
        size: Bytes.
    """

    name: str
    path: Path
    entries: int
    size: int


def root() -> Path:
    """Return KCNN_CACHE, else where the system keeps caches: on Linux `$XDG_CACHE_HOME/kcnn` or `~/.cache/kcnn`."""
    return Path(os.environ.get("KCNN_CACHE") or platformdirs.user_cache_dir("kcnn", appauthor=False))


def folder(kind: str) -> Path:
    """Return the folder for one kind of content; it may not exist yet."""
    return root() / kind


def limit() -> int:
    """Return how many bytes of decoded images may be kept: KCNN_CACHE_LIMIT in GiB, else 20; 0 keeps none.

    Raises:
        UsageError: KCNN_CACHE_LIMIT is not a number of at least 0.
    """
    text = os.environ.get("KCNN_CACHE_LIMIT") or str(DEFAULT_LIMIT)
    try:
        gib = float(text)
        if not 0 <= gib < float("inf"):
            raise ValueError
    except ValueError as error:
        raise UsageError(f"KCNN_CACHE_LIMIT must be a number of GiB, at least 0. Received: {text!r}") from error
    return int(gib * 2**30)


def contents() -> list[Kind]:
    """Return what lies in the cache, kind by kind; what holds nothing of ours is left out, and so is a link."""
    found = []
    for name in KINDS:
        path = folder(name)
        if path.is_dir() and not path.is_symlink():
            entries = list(_entries(path))
            if not entries:
                continue
            found.append(Kind(name, path, len(entries), sum(map(_size, entries))))
    return found


def clear(kind: str | None = None) -> list[Kind]:
    """Remove one kind, or all; return what was there. Links are removed and never followed."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"The cache holds no {kind!r}. Expected one of: {', '.join(KINDS)}.")
    cleared = [found for found in contents() if kind in (None, found.name)]
    for found in cleared:
        for entry in list(_entries(found.path)):  # not by `remove`, which says nothing of what it leaves
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody keeps other things in it
            found.path.rmdir()
    return cleared


def make_room(where: Path, size: int) -> bool:
    """Remove the entries of the folder `where` that were not used for longest, until `size` bytes more are allowed.

    Return whether they are: not if they exceed the limit, or half of what is free on the disk. Then nothing is removed.
    """
    if size > limit() or size > shutil.disk_usage(where).free / 2:
        return False
    aged = sorted((entry.stat(follow_symlinks=False).st_mtime, _size(entry), entry.path) for entry in _entries(where))
    total, leaving = sum(occupied for _, occupied, _ in aged) + size, []
    for used, occupied, path in aged:
        hidden = os.path.basename(path).startswith(".")  # somebody is writing it, or was killed while he did
        abandoned = hidden and time.time() - used > ABANDONED
        if abandoned or (total > limit() and not hidden):
            leaving.append(Path(path))
            total -= occupied
    if total > limit():
        return False
    for unused in leaving:
        remove(unused)
    return True


def remove(path: Path) -> None:
    """Delete an entry, a file or a folder, if that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        yield from (entry for entry in entries if OWN.fullmatch(entry.name))


def _size(entry: os.DirEntry[str]) -> int:
    if not entry.is_dir(follow_symlinks=False):
        return entry.stat(follow_symlinks=False).st_size
    with os.scandir(entry.path) as entries:
        return sum(map(_size, entries))
