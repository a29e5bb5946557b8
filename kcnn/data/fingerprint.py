"""One short text that stands for the data of a run: it changes if any image, label or name does."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kcnn.data import content
from kcnn.data.counted import Progress, counted
from kcnn.data.decode import cores
from kcnn.data.listing import Listing

CHUNK = 256  # images that a thread reads before it reports
DIGEST_BYTES = 24
WHAT = "fingerprint of the data"


def fingerprint(
    listings: dict[str, Listing],
    progress: Progress | None = None,
    known: dict[str, Iterable[bytes]] | None = None,
) -> str:
    """Return 32 hexadecimal digits, a hash of each split's names, labels, sizes and bytes, in the order of the names.

    Where the data lies makes no difference, nor whether a folder or an archive holds it. A file that cannot be read,
    which the recipe may allow, counts by its name.

    Args:
        progress: Called as `progress(done, total, what)` while files are read.
        known: The `digest` of each image of each split, where they were computed before.
    """
    total = hashlib.blake2b(digest_size=16)
    count, before = sum(map(len, listings.values())), 0
    for split, listing in listings.items():
        total.update(f"{split}\0{len(listing)}\0".encode())
        told = progress and (lambda done, _, what, before=before: progress(before + done, count, what))
        found = digests(listing.contents, told) if known is None else counted(known[split], told, WHAT)
        for name, label, one in zip(listing.names, listing.labels, found, strict=True):
            total.update(f"{name}\0{label}\0".encode() + one)
        before += len(listing)
    return total.hexdigest()


def digests(contents: Sequence, progress: Progress | None = None, *, strict: bool = False) -> Iterator[bytes]:
    """Yield the `digest` of each of `contents`, in order, read on all cores."""
    starts = range(0, len(contents), CHUNK)
    with ThreadPoolExecutor(cores()) as pool:
        for start, found in zip(
            starts,
            pool.map(lambda at: [digest(item, strict=strict) for item in contents[at : at + CHUNK]], starts),
            strict=True,
        ):
            yield from found
            if progress:
                progress(min(start + CHUNK, len(contents)), len(contents), WHAT)


def digest(item: str | bytes | content.Extent | content.Member | np.ndarray, *, strict: bool = False) -> bytes:
    """Return DIGEST_BYTES that stand for the bytes of one image.

    A file that cannot be read counts as empty; with `strict` its OSError is raised.
    """
    if isinstance(item, content.Member):
        return item.digest
    try:
        data = item.tobytes() if isinstance(item, np.ndarray) else content.read(item)
    except OSError:
        if strict:
            raise
        data = b""
    return len(data).to_bytes(8, "little") + hashlib.blake2b(data, digest_size=16).digest()
