"""The images that a user names, one after another: files, folders, globs, archives, a list on standard input."""

import os
import select
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kcnn.data.archive import images_in, is_archive
from kcnn.data.counted import Progress
from kcnn.data.find import LISTED, find_images, is_url
from kcnn.errors import DataError, UsageError

PATIENCE = 0.1  # seconds without a name after which those that came are not kept waiting
CHUNK = 2**16  # bytes that are read from a list at one time
LONGEST = 2**20  # bytes of a name


@dataclass(frozen=True, slots=True)
class Named:
    """One image, undecoded.

    Attributes:
        name: By which a user finds it; in an archive its path and the name within it.
        content: Its path, or its bytes where it comes out of an archive; None where there is an error.
        error: One sentence that says why it cannot be read, or None.
    """

    name: str
    content: str | bytes | None = None
    error: str | None = None


def named_images(
    paths: Iterable[str | Path], listed: BinaryIO | None = None, *, null: bool = False, progress: Progress | None = None
) -> tuple[Iterator[Named | None], int | None]:
    """Return an iterator over the images, and how many there are; None where an archive or a list does not tell.

    What cannot be read is among them, with its error. No image is decoded, and of an archive one is held at a time.
    None among the images says that the next has yet to come.

    Args:
        paths: Files, folders, globs, archives, and "-" for the list.
        listed: The file with the list: a path of a file or archive in each line.
        null: The list's paths are each ended by a zero byte, so that they may hold newlines.
        progress: Called as `progress(found, None, what)` while folders are searched.

    Raises:
        DataNotFoundError: As `find_images`.
    """
    places = find_images(paths, archives=True, listed=listed is not None, progress=progress)
    known = not any(place == LISTED or is_archive(place) for place in places)
    return _images(places, listed, b"\0" if null else b"\n"), len(places) if known else None


def _images(places, listed, separator):
    for place in places:
        if place != LISTED:
            yield from _opened(place)
            continue
        for name in _names(listed, separator):
            yield from [None] if name is None else _listed(name)


def _listed(name):
    reason = None
    if is_url(name):
        reason = "it is a URL, and kcnn downloads no images"
    elif os.path.isdir(name):
        reason = "it is a folder; list its files instead"
    yield from [Named(name, error=f"Cannot read {name}: {reason}.")] if reason else _opened(name)


def _opened(place):
    if not (is_archive(place) and os.path.isfile(place)):
        yield Named(place, place)
        return
    empty = True
    try:
        for name, content, reason in images_in(Path(place)):
            empty, name = False, f"{place}/{name}"
            yield Named(name, content, f"Cannot read {name}: {reason}." if reason else None)
    except DataError as error:
        yield Named(place, error=str(error))
        return
    except OSError as error:
        yield Named(place, error=f"Cannot read {place}: {error.strerror}.")
        return
    if empty:
        yield Named(place, error=f"{place} holds no images.")


def _names(file, separator):
    """Yield the names in a list as they come, and None where the next has yet to come.

    It is read below Python's buffers, since a thread that waited in them would not let the process end.
    """
    handle, rest = file.fileno(), b""
    while True:
        if not _ready(handle):
            yield None
        chunk = os.read(handle, CHUNK)
        *lines, rest = (rest + chunk).split(separator) if chunk else (rest, b"")
        for line in lines:
            if name := os.fsdecode(line if separator == b"\0" else line.rstrip(b"\r")):
                yield name
        if not chunk:
            return
        if len(rest) > LONGEST:
            raise UsageError(f"A line of the list on standard input has over {LONGEST:,} bytes; expected paths.")


def _ready(handle):
    try:
        return bool(select.select([handle], [], [], PATIENCE)[0])
    except (OSError, ValueError):  # Windows can only ask sockets
        return True
