"""Images inside a .zip or .tar, which is read but never extracted to the disk under its own names."""

import contextlib
import errno
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from kcnn.data.content import Extent, Spool
from kcnn.data.counted import Progress, counted
from kcnn.data.decode import is_image
from kcnn.errors import DataError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
MAX_MEMBER = 2**29  # bytes; no image that kcnn decodes is larger, so such a member is a mistake or an attack
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError),
    *(UnicodeDecodeError, IndexError),  # what zipfile says of names that are none
)


def read_archive(
    path: Path, memory_limit: float, progress: Progress | None = None
) -> tuple[list[tuple[str, bytes | Extent]], list[tuple[str, str]]]:
    """Return (name, content) of every file in the archive, and (name, reason) of those that are refused.

    A name that is absolute or climbs with ".." is refused, as are links. Only images have their content read.

    Args:
        path: An archive that ends in one of ARCHIVES.
        memory_limit: In GiB; what exceeds it is kept in one temporary file.
        progress: Called as `progress(done, None, what)` while files are unpacked.

    Raises:
        DataError: If the archive is damaged or encrypted.
    """
    store = _Store(memory_limit * 2**30)
    entries, skipped = [], []
    with _damage_told(path):
        for name, refusal, read in counted(_members(path), progress, "files unpacked"):
            if refusal:
                skipped.append((f"{path}/{name}", refusal))
            else:
                entries.append((name, store.keep(read()) if is_image(name) else b""))
    return entries, skipped


def images_in(path: Path) -> Iterator[tuple[str, bytes | None, str | None]]:
    """Yield (name, content, None) of each image in the archive, one at a time, in its order; or (name, None, reason).

    Names and refusals are those of `read_archive`. An image that is damaged in the archive is passed over with its
    reason, where the archive can be read on.

    Raises:
        DataError: If the archive is damaged or encrypted.
    """
    with _damage_told(path):
        for name, refusal, read in _members(path):
            if not is_image(name):
                continue
            content = None
            try:
                content = None if refusal else read()
            except (*DAMAGE, NotImplementedError) as error:
                refusal = f"it is damaged in the archive ({error})"
            yield name, content, refusal


def is_archive(name: str) -> bool:
    """Return whether the name ends like an archive that kcnn reads."""
    return name.lower().endswith(ARCHIVES)


@contextlib.contextmanager
def _damage_told(path):
    try:
        yield
    except DAMAGE as error:
        # What the system refuses, no permission or a full disk, is no damage; an invalid place in the file is.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise DataError(f"{path} is not a whole archive, or not one at all: {error}.") from error
    except NotImplementedError as error:
        raise DataError(f"{path} is compressed in a way that Python cannot read: {error}.") from error


def _members(path):
    """Yield (name, why it is refused or None, a function that reads it) of each file in the archive."""
    members = _zip_members if path.suffix.lower() == ".zip" else _tar_members
    for name, size, refusal, read in members(path):
        parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
        if not parts or parts[0] in ("", "..") or ".." in parts or ":" in parts[0]:
            refusal = "its path leads out of the archive"
        elif size > MAX_MEMBER:
            refusal = f"it has {size:,} bytes, more than {MAX_MEMBER:,}"
        yield name if refusal else "/".join(parts), refusal, read


def _zip_members(path):
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if any(info.flag_bits & 0x1 for info in infos):
            raise DataError(f"{path} is encrypted. Unpack it with its password and give the folder instead.")
        for info in infos:
            yield info.filename, info.file_size, None, lambda info=info: archive.read(info)


def _tar_members(path):
    with tarfile.open(path) as archive:
        for info in archive:
            archive.members.clear()  # else it keeps what it says about each, as long as it is open
            if info.isdir():
                continue
            refusal = None if info.isreg() else "it is a link or a device, not a file"
            yield info.name, info.size, refusal, lambda info=info: archive.extractfile(info).read()


class _Store:
    """Keeps contents in memory up to a limit, and in a temporary file from there on."""

    def __init__(self, limit):
        self._left = limit
        self._spool = None

    def keep(self, data):
        self._left -= len(data)
        if self._left >= 0:
            return data
        self._spool = self._spool or Spool()
        return self._spool.append(data)
