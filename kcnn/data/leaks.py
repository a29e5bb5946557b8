"""Finds the same image in two splits, which would make every measured accuracy too good."""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from kcnn.data import content
from kcnn.data.listing import Listing
from kcnn.errors import DataError

COUNTED = 10_000  # images between two reports of progress
HEAD = 65536  # bytes; most images are smaller, and for larger ones this rules nearly all pairs out


def check_leaks(splits: dict[str, Listing], progress: Callable[[int, int, str], None] | None = None) -> None:
    """Raise `DataError` if two splits hold a file with the same bytes.

    Only files whose size occurs in two splits are read. Arrays, which come from published data, are not checked.
    `progress` is called as `progress(done, total, what)`.
    """
    entries = [
        (split, index)
        for split, listing in splits.items()
        if not isinstance(listing.contents, np.ndarray)
        for index in range(len(listing))
    ]
    sieves = [content.size, lambda item: _digest(item, HEAD), lambda item: _digest(item, -1)]
    groups = [entries]
    for sieve in sieves:
        if progress:
            sieve = _watched(sieve, sum(map(len, groups)), progress)
        groups = [part for group in groups for part in _divide(group, sieve, splits)]
    if not groups:
        return
    count = sum(len(group) - 1 for group in groups)
    first, second = _pair(groups[0], splits)
    number = "1 image lies" if count == 1 else f"{count:,} images lie"
    raise DataError(
        f"{number} in more than one split, for instance {first!r} is the same as {second!r}. "
        "The model would be measured on images that it was trained on. Remove the copies."
    )


def _divide(group, sieve, splits):
    """Return the parts of `group` that agree in `sieve` and still span two splits."""
    parts = defaultdict(list)
    for split, index in group:
        try:
            value = sieve(splits[split].contents[index])
        except OSError:
            continue  # decoding will report it
        if value:  # an empty file equals every other empty file
            parts[value].append((split, index))
    return [part for part in parts.values() if len({split for split, _ in part}) > 1]


def _watched(sieve, total, progress):
    """Return the sieve as a function that also reports how often it was called."""
    numbers = itertools.count(1)

    def watched(item):
        number = next(numbers)
        if number % COUNTED == 0 or number == total:
            progress(number, total, "comparing the splits")
        return sieve(item)

    return watched


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
