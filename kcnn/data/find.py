"""Finds the images that a user names on the command line."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from kcnn.data.decode import EXTENSIONS, is_image
from kcnn.data.folder import walk
from kcnn.data.listing import natural_key
from kcnn.errors import DataNotFoundError


def find_images(paths: Iterable[str | Path]) -> list[str]:
    """Return the image files behind files, folders (searched to any depth) and globs, each once.

    They come in the order of `paths`, and in natural order inside a folder or glob. A file that is named itself is
    returned whatever its extension.

    Raises:
        DataNotFoundError: If a path does not exist, or a folder or glob holds no image.
    """
    found = {}
    for path in map(str, paths):
        for image in _expand(os.path.expanduser(path)):
            found[image] = None
    if not found:
        raise DataNotFoundError("No images were named. Expected files, folders or globs.")
    return list(found)


def _expand(path):
    if os.path.isdir(path):
        images = _images_below(path)
    elif os.path.exists(path):
        return [path]
    elif glob.has_magic(path):
        matches = glob.glob(path, recursive=True)
        images = [match for match in matches if os.path.isfile(match) and is_image(match)]
    else:
        raise DataNotFoundError(f"There is no file or folder {path!r}.")
    if not images:
        raise DataNotFoundError(f"{path} holds no images ({', '.join(EXTENSIONS)}).")
    return sorted(images, key=natural_key)


def _images_below(folder):
    return [path for _, path in walk(Path(folder)) if is_image(path)]
