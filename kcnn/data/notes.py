"""Small facts about files, noted in the cache folder and true as long as the files are the same."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kcnn import cache
from kcnn.data.fingerprint import digest
from kcnn.files import write_text


def identity(item: Any) -> str:
    """Return what changes whenever a file does: a path's status, of other contents their bytes."""
    if not isinstance(item, str):
        return digest(item).hex()
    try:
        status = os.stat(item)
    except OSError as error:
        return f"error {error.errno}"
    # The time of the last change of status cannot be set back, as rsync and cp -p do with that of the content.
    return f"{status.st_dev}/{status.st_ino}/{status.st_size}/{status.st_mtime_ns}/{status.st_ctime_ns}"


def key(what: tuple, files: Iterable[tuple[str, str]]) -> str:
    """Return a name for something that is made from files, each of which is given by its name and `identity`."""
    total = hashlib.blake2b(repr(what).encode(), digest_size=16)
    for name, one in files:
        total.update(f"\0{name}\0{one}".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def noted(what: tuple, files: Iterable[tuple[str, str]], find: Callable[[], tuple[Any, bool]]) -> Any:
    """Return what `find` finds, plain values, or what it found when it was called for these very files.

    Args:
        what: Which facts they are, and whatever else they depend on.
        files: As for `key`.
        find: Returns the facts, and whether all files could be read, without which nothing is noted.
    """
    name = key(what, files) if cache.limit() else None
    found = recall(name) if name else None
    if found:
        return found[0]
    value, whole = find()
    if name and whole:
        note(name, value)
    return value


def recall(name: str) -> list | None:
    """Return what was noted under a `key`, in a list of its own, or None."""
    path = _path(name)
    try:
        found = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    mark_used(path)
    return found if isinstance(found, list) and len(found) == 1 else None


def note(name: str, value: Any) -> None:
    """Keep plain values under a `key`, if the cache has room for them and can be written."""
    path, text = _path(name), json.dumps([value])
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if cache.make_room(path.parent, len(text)):
            write_text(path, text)


def mark_used(path: Path) -> None:
    """Let an entry of the cache outlive those that were not used for longer."""
    with contextlib.suppress(OSError):  # a cache that can only be read
        os.utime(path)


def _path(name):
    return cache.folder("datasets") / f"{name}.json"
