"""One short text that stands for the data of a run: it changes if any image, label or name does."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kcnn.data import content
from kcnn.data.decode import cores
from kcnn.data.listing import Listing

CHUNK = 512  # images between two reports of progress


def fingerprint(listings: dict[str, Listing], progress: Callable[[int, int, str], None] | None = None) -> str:
    """Return 32 hexadecimal digits, a hash of each split's names, labels, sizes and bytes, in the order of the names.

    Where the data lies makes no difference, nor whether a folder or an archive holds it. A file that cannot be read,
    which the recipe may allow, counts by its name.
    """
    total = hashlib.blake2b(digest_size=16)
    count, done = sum(map(len, listings.values())), 0
    with ThreadPoolExecutor(cores()) as pool:
        for split, listing in listings.items():
            total.update(f"{split}\0{len(listing)}\0".encode())
            for start in range(0, len(listing), CHUNK):
                rows = range(start, min(start + CHUNK, len(listing)))
                for row, digest in zip(rows, pool.map(_digest, (listing.contents[row] for row in rows)), strict=True):
                    total.update(f"{listing.names[row]}\0{listing.labels[row]}\0".encode() + digest)
                done += len(rows)
                if progress:
                    progress(done, count, "fingerprint of the data")
    return total.hexdigest()


def _digest(item):
    try:
        data = item.tobytes() if isinstance(item, np.ndarray) else content.read(item)
    except OSError:
        data = b""
    return len(data).to_bytes(8, "little") + hashlib.blake2b(data, digest_size=16).digest()
