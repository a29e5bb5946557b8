"""Finds the images that a user names on the command line."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from kcnn.data.archive import ARCHIVES, is_archive
from kcnn.data.counted import Progress, counted
from kcnn.data.decode import EXTENSIONS, is_image
from kcnn.data.folder import walk
from kcnn.data.listing import natural_key
from kcnn.errors import DataNotFoundError

LISTED = "-"  # stands for names that come on standard input
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def find_images(
    paths: Iterable[str | Path], *, archives: bool = False, listed: bool = False, progress: Progress | None = None
) -> list[str]:
    """Return the image files behind files, folders (searched to any depth) and globs, each once.

    They come in the order of `paths`, and in natural order inside a folder or glob. A file that is named itself is
    returned whatever its extension.

    Args:
        archives: Globs match archives too.
        listed: LISTED is no path, and returned as it is.
        progress: Called as `progress(found, None, what)` while folders are searched.

    Raises:
        DataNotFoundError: If a path does not exist or is a URL, or a folder or glob holds no image.
    """
    found = {}
    for path in map(str, paths):
        if listed and path == LISTED:
            found[path] = None
            continue
        for image in _expand(os.path.expanduser(path), archives, progress):
            found[image] = None
    if not found:
        raise DataNotFoundError("No images were named. Expected files, folders or globs.")
    return list(found)


def is_url(name: str) -> bool:
    """Return whether this is a URL, which kcnn does not download, and not the name of a file."""
    return bool(URL.match(name)) and not os.path.exists(name)


def _expand(path, archives, progress):
    if os.path.isdir(path):
        images = [found for _, found in counted(walk(Path(path)), progress, "files found") if is_image(found)]
    elif os.path.exists(path):
        return [path]
    elif is_url(path):
        raise DataNotFoundError(f"{path} is a URL, and kcnn downloads no images. Download it and name the file.")
    elif glob.has_magic(path):
        matches = glob.glob(path, recursive=True)
        wanted = [match for match in matches if is_image(match) or (archives and is_archive(match))]
        images = [match for match in wanted if os.path.isfile(match)]
    else:
        raise DataNotFoundError(f"There is no file or folder {path!r}.")
    if not images:
        raise DataNotFoundError(f"{path} holds no images ({', '.join(EXTENSIONS + (ARCHIVES if archives else ()))}).")
    return sorted(images, key=natural_key)
