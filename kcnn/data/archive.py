"""Images inside a .zip or .tar, which is read but never extracted to the disk under its own names."""

import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

from kcnn.data.content import Extent, Spool
from kcnn.data.counted import Progress, counted
from kcnn.data.decode import is_image
from kcnn.errors import DataError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
MAX_MEMBER = 2**29  # bytes; no image that kcnn decodes is larger, so such a member is a mistake or an attack


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
    members = _zip_members if path.suffix.lower() == ".zip" else _tar_members
    store = _Store(memory_limit * 2**30)
    entries, skipped = [], []
    try:
        for name, size, refusal, read in counted(members(path), progress, "files unpacked"):
            parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
            if parts[0] in ("", "..") or ".." in parts or ":" in parts[0]:
                refusal = "its path leads out of the archive"
            elif size > MAX_MEMBER:
                refusal = f"it has {size:,} bytes, more than {MAX_MEMBER:,}"
            if refusal:
                skipped.append((f"{path}/{name}", refusal))
            else:
                name = "/".join(parts)
                entries.append((name, store.keep(read()) if is_image(name) else b""))
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path} is not a whole archive, or not one at all: {error}.") from error
    except NotImplementedError as error:
        raise DataError(f"{path} is compressed in a way that Python cannot read: {error}.") from error
    return entries, skipped


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
