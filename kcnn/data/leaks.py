"""Finds files with the same bytes: in two splits they would make every measured accuracy too good."""

import hashlib
from collections import defaultdict

import numpy as np

from kcnn.data import content
from kcnn.data.counted import Progress, counted
from kcnn.data.listing import Listing
from kcnn.data.notes import identity, noted
from kcnn.errors import DataError

FORMAT = 1  # of what is noted
HEAD = 65536  # bytes; most images are smaller, and for larger ones this rules nearly all pairs out


def find_copies(
    splits: dict[str, Listing], dividing: str | None = None, progress: Progress | None = None
) -> list[list[list]]:
    """Return groups of [split, index], of files with the same bytes that lie in two splits, or in that to be divided.

    Only files whose size occurs twice are read. Arrays, which come from published data, are not compared, nor are
    empty files. `progress` is called as `progress(done, total, what)`.
    """
    return _find(splits, dividing, progress)[0]


def _find(splits, dividing, progress):
    """Return what `find_copies` returns, and whether all files could be read."""
    whole = True
    groups = [
        [
            [split, index]
            for split, listing in splits.items()
            if not isinstance(listing.contents, np.ndarray)
            for index in range(len(listing))
        ]
    ]
    for sieve in (content.size, lambda item: _digest(item, HEAD), lambda item: _digest(item, -1)):
        parts = defaultdict(list)
        entries = ((number, *entry) for number, group in enumerate(groups) for entry in group)
        for number, split, index in counted(entries, progress, "comparing the images", sum(map(len, groups))):
            try:
                value = sieve(splits[split].contents[index])
            except OSError:  # decoding will report it
                whole = False
                continue
            if value:  # an empty file equals every other empty file
                parts[number, value].append([split, index])
        groups = [part for part in parts.values() if _matters(part, dividing)]
    return groups, whole


def find_copies_once(
    splits: dict[str, Listing], dividing: str | None = None, progress: Progress | None = None
) -> list[list[list]]:
    """Return what `find_copies` returns, or what it returned when it was called for these very files."""
    if any(isinstance(listing.contents, np.ndarray) for listing in splits.values()):
        return find_copies(splits, dividing, progress)
    if len(splits) < 2 and dividing is None:
        return []
    files = (
        (f"{split}/{name}", identity(item))
        for split, listing in splits.items()
        for name, item in zip(listing.names, listing.contents, strict=True)
    )
    files = counted(files, progress, "looking at the files", sum(map(len, splits.values())))
    return noted((FORMAT, "copies", dividing), files, lambda: _find(splits, dividing, progress))


def check_leaks(splits: dict[str, Listing], copies: list[list[list]]) -> None:
    """Raise `DataError` if some of `copies`, which `find_copies` found, lie in two splits."""
    leaks = [group for group in copies if len({split for split, _ in group}) > 1]
    if not leaks:
        return
    count = sum(len(group) - 1 for group in leaks)
    first, second = _pair(leaks[0], splits)
    number = "1 image lies" if count == 1 else f"{count:,} images lie"
    raise DataError(
        f"{number} in more than one split, for instance {first!r} is the same as {second!r}. "
        "The model would be measured on images that it was trained on. Remove the copies."
    )


def _matters(group, dividing):
    """Return whether a group spans two splits, or lies in the one that is to be divided and may come to."""
    splits = {split for split, _ in group}
    return len(splits) > 1 or (splits == {dividing} and len(group) > 1)


def _digest(item, limit):
    if isinstance(item, content.Member):
        return item.digest
    if limit < 0 and content.size(item) <= HEAD:
        return b"all of it was compared"
    return hashlib.blake2b(content.read(item, limit), digest_size=16).digest()


def _pair(group, splits):
    first = group[0]
    second = next(entry for entry in group if entry[0] != first[0])
    return [f"{splits[split].location(index)} ({split})" for split, index in (first, second)]
