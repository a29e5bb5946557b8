"""Images of the user: a folder, an archive of one, or a CSV file that lists them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kcnn.data.archive import ARCHIVES, is_archive
from kcnn.data.counted import Progress, counted
from kcnn.data.layout import LAYOUT, arrange, is_clutter
from kcnn.data.listing import Source
from kcnn.data.packed import read_packed
from kcnn.data.table import read_table
from kcnn.errors import DataError, DataNotFoundError

ELSEWHERE = "--data PATH says where the images lie."


def folder(
    path: str | None,
    memory_limit: float = 4.0,
    class_names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Source:
    """Images from a folder with one folder a class, from an archive of one, or from a CSV file.

    Args:
        path: The folder, archive or CSV file.
        memory_limit: In GiB; what exceeds it of an archive is kept in a temporary file.
        class_names: Classes that are known already, when a trained model is evaluated.
        progress: Called as `progress(found, None, what)` while files are listed.

    Raises:
        DataNotFoundError: If there is nothing, or nothing that looks like labelled images.
        DataError: If there is something that cannot be used.
    """
    if not path:
        raise DataNotFoundError(f"The dataset 'folder' needs a path: --data PATH, or data.path. {LAYOUT}")
    root = Path(os.path.expanduser(path))  # Path's own raises where there is no such user
    try:
        exists = root.exists()
    except OSError as error:
        raise DataError(f"Cannot look at {path}: {error.strerror}.") from error
    if not exists:
        raise DataNotFoundError(f"There is no file or folder {str(path)!r}. {ELSEWHERE}")
    if root.is_dir():
        return arrange(counted(walk(root), progress, "files found"), str(root), class_names, progress)
    if root.suffix.lower() == ".csv":
        return read_table(root)
    if is_archive(root.name):
        entries, skipped = read_packed(root, memory_limit, progress)
        source = arrange(entries, str(root), class_names, progress)
        return Source(source.splits, source.class_names, [*skipped, *source.skipped])
    raise DataNotFoundError(f"{path} is no folder, archive ({', '.join(ARCHIVES)}) or CSV file. {LAYOUT}")


def walk(root: Path) -> Iterator[tuple[str, str]]:
    """Yield (path relative to `root` with forward slashes, path) of every file below it, hidden ones left out.

    Links are followed, except to a folder that contains them.
    """
    yield from _walk(str(root), "", frozenset())


def _walk(folder, relative, ancestors):
    try:
        status = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"Cannot list the folder {folder}: {error.strerror}.") from error
    identity = (status.st_dev, status.st_ino)
    if identity in ancestors:
        return
    for entry in entries:
        if is_clutter(entry.name):
            continue
        if _is_folder(entry):
            yield from _walk(entry.path, f"{relative}{entry.name}/", ancestors | {identity})
        else:
            yield relative + entry.name, entry.path


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where nothing may be looked at; decoding reports what looks like an image
        return False
