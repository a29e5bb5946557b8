"""Decoded images kept in the cache folder, so that a later start reads them instead of decoding and hashing files."""

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL

from kcnn import cache
from kcnn.data.counted import Progress, counted
from kcnn.data.decode import decode_many, decode_some
from kcnn.data.fingerprint import DIGEST_BYTES, digests
from kcnn.data.listing import Listing
from kcnn.data.notes import identity, key, mark_used

FORMAT = 1  # of an entry; another number makes all entries anew
SLAB = 2**28  # bytes of pixels that are decoded before they are written
BLOCK = 2**24  # bytes of pixels that are read at once


class KeptRows:
    """Looks like a uint8 array (N, H, W, C) that is indexed with arrays of integers: some rows of an entry."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray):
        self.pixels = pixels
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        return self.pixels[self.rows[indices]]


@dataclass(frozen=True)
class Kept:
    """An entry: the pixels of a set of files, whatever splits these are divided into.

    Attributes:
        path: The folder of the entry.
        rows: Split -> int array, the row of each of its images.
        bad: Row -> why that image cannot be decoded.
        digests: uint8 (N, DIGEST_BYTES) of the files.
    """

    path: Path
    rows: dict[str, np.ndarray]
    bad: dict[int, str]
    digests: np.ndarray

    def images(self, split: str, chosen: np.ndarray, in_memory: bool) -> np.ndarray | KeptRows:
        """Return the images at the positions `chosen` of a split, copied to memory or left in the file."""
        rows = self.rows[split][chosen]
        if not in_memory:
            return KeptRows(_pixels(self.path), rows)
        return _copy(self.path, rows)

    def bad_of(self, split: str) -> list[tuple[int, str]]:
        """Return (position, reason) of each image of a split that cannot be decoded."""
        return [(index, self.bad[row]) for index, row in enumerate(self.rows[split].tolist()) if row in self.bad]

    def digests_of(self) -> dict[str, Iterable[bytes]]:
        """Return the digest of each image of each split, as `fingerprint` takes them."""
        return {split: map(bytes, self.digests[rows]) for split, rows in self.rows.items()}


def keep(
    listings: dict[str, Listing],
    image_shape: tuple[int, int, int],
    resize: str,
    *,
    progress: Progress | None = None,
) -> Kept | None:
    """Return the entry that holds the images of all listings, made first if there is none.

    None where nothing can be kept: the cache is off, full or cannot be written, a file cannot be read, or the images
    are arrays already.

    Args:
        image_shape, resize: As for `decode_many`.
        progress: Called as `progress(done, total, what)` while images are decoded.
    """
    if not cache.limit() or not _are_files(listings):
        return None
    count = sum(map(len, listings.values()))
    files = (
        (name, identity(item), split, index)
        for split, listing in listings.items()
        for index, (name, item) in enumerate(zip(listing.names, listing.contents, strict=True))
    )
    order = sorted(counted(files, progress, "looking at the files", count))
    identities = counted((entry[:2] for entry in order), progress, "looking for kept images", count)
    name = key((FORMAT, PIL.__version__, image_shape, resize), identities)
    rows = {split: np.empty(len(listing), "int64") for split, listing in listings.items()}
    for row, (_, _, split, index) in enumerate(order):
        rows[split][index] = row
    path = cache.folder("datasets") / name
    found = _open(path, rows, (len(order), *image_shape))
    if found is None:
        contents = [listings[split].contents[index] for _, _, split, index in order]
        try:
            _make(path, contents, image_shape, resize, progress)
        except OSError:
            return None
        found = _open(path, rows, (len(order), *image_shape))
    return found


def _are_files(listings):
    return not any(isinstance(listing.contents, np.ndarray) for listing in listings.values())


def _open(path, rows, shape):
    """Return the entry at `path`, or None where there is none that is whole; a damaged one is removed."""
    if not path.exists():
        return None
    try:
        pixels = _pixels(path)
        facts = json.loads((path / "facts.json").read_text(encoding="utf-8"))
        known = np.load(path / "digests.npy")
        whole = pixels.shape == shape and pixels.dtype == np.uint8 and known.shape == (shape[0], DIGEST_BYTES)
        bad = {int(row): str(reason) for row, reason in facts["bad"]}
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        whole = False
    if not whole:
        cache.remove(path)
        return None
    mark_used(path)
    return Kept(path, rows, bad, known)


def _pixels(path):
    return np.asarray(np.load(path / "pixels.npy", mmap_mode="r", allow_pickle=False))


def _copy(path, rows):
    """Return the rows, which ascend, as an array of its own; mapped pages would count as memory a second time."""
    count, *shape = _pixels(path).shape
    copy = np.empty((len(rows), *shape), "uint8")
    step = max(BLOCK // int(np.prod(shape)), 1)
    with open(path / "pixels.npy", "rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        for start in range(0, count, step):
            block = np.fromfile(file, "uint8", min(step, count - start) * int(np.prod(shape))).reshape(-1, *shape)
            first, last = np.searchsorted(rows, (start, start + step))
            np.take(block, rows[first:last] - start, axis=0, out=copy[first:last])
    return copy


def _make(path, contents, image_shape, resize, progress):
    """Decode into a folder beside `path` that takes its name when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bytes_each = int(np.prod(image_shape)) + DIGEST_BYTES
    if not cache.make_room(path.parent, len(contents) * bytes_each):
        raise OSError("there is no room")
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        known = b"".join(digests(contents, progress, strict=True))  # first, since they end at what cannot be read
        known = np.frombuffer(known, "uint8").reshape(len(contents), DIGEST_BYTES)
        bad = _write_pixels(beside / "pixels.npy", contents, image_shape, resize, progress)
        # What only could not be read this time, as over a network, must not count as damaged for ever.
        if len(decode_some([contents[row] for row, _ in bad], image_shape, resize, None)) < len(bad):
            raise OSError("an image could be read at the second try alone")
        np.save(beside / "digests.npy", known)
        (beside / "facts.json").write_text(json.dumps({"bad": bad}), encoding="utf-8")
        beside.chmod(0o755)
        if not path.exists():  # else another process was faster
            beside.rename(path)
    finally:
        cache.remove(beside)


def _write_pixels(path, contents, image_shape, resize, progress):
    step = max(SLAB // int(np.prod(image_shape)), 1)
    slab = np.zeros((min(step, len(contents)), *image_shape), "uint8")
    bad = []
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(contents), *image_shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(contents), step):
            part = contents[start : start + step]
            told = progress and (lambda done, start=start: progress(start + done, len(contents), "images"))
            found = decode_many(part, image_shape, resize, out=slab[: len(part)], progress=told)
            bad += [(start + index, reason) for index, reason in found]
            file.write(slab[: len(part)])
        file.flush()
        os.fsync(file.fileno())  # after a power failure the name must not stand for a file of zeros
    return bad
