"""Reads splits and classes off the paths of a folder or an archive."""

from collections.abc import Iterable, Sequence
from typing import Any

from kcnn.data.counted import Progress, counted
from kcnn.data.decode import EXTENSIONS, is_image
from kcnn.data.listing import Listing, Source, quoted, readable
from kcnn.errors import DataError, DataNotFoundError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "validate", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
LAYOUT = (
    "Expected one folder a class, PATH/<class>/<image>, or splits of those, PATH/train/<class>/<image> with "
    "validation/ and test/ beside train/; or a .zip or .tar of such a folder; or a CSV file with the header "
    f"path,label or path,label,split. Images end in {', '.join(EXTENSIONS)}."
)
CLUTTER = {"__macosx", "thumbs.db", "desktop.ini"}


def split_of(name: str) -> str | None:
    """Return "train", "validation" or "test" for a usual name of that split, else None."""
    lowered = name.strip().lower()
    return next((split for split, names in SPLIT_NAMES.items() if lowered in names), None)


def is_clutter(name: str) -> bool:
    """Return whether a file or folder of this name is hidden or a leftover of some system."""
    return name.startswith(".") or name.lower() in CLUTTER


def arrange(
    entries: Iterable[tuple[str, Any]],
    where: str,
    class_names: Sequence[str] | None,
    progress: Progress | None = None,
) -> Source:
    """Return the splits that the paths stand for.

    Args:
        entries: (path relative to the root with forward slashes, content) of every file.
        where: The root, for messages.
        class_names: Known classes: a single folder of such a name is a class, not a wrapping folder.
        progress: Called as `progress(done, total, what)` while many files are put in order.

    Raises:
        DataNotFoundError: If no image lies in a class folder.
        DataError: If split folders stand beside others, or two folders stand for one split.
    """
    # Names are hashed and written to tables and pages; the content is found by the path as it is on the disk.
    files = {tuple(readable(path).split("/")): content for path, content in entries}
    told = counted(sorted(files), progress, "putting files in order", len(files))
    files = {path: files[path] for path in told if not any(map(is_clutter, path))}
    images = {path: content for path, content in files.items() if is_image(path[-1])}
    if not any(len(path) > 1 for path in images):
        found = f"{len(images)} images, but in no class folder" if images else "no images"
        raise DataNotFoundError(f"{where} holds {found}. {LAYOUT}")
    prefix = _wrapping(images, class_names or ())
    depth = len(prefix)
    outside = [("/".join(path), "it lies in no class folder") for path in images if path[:depth] != prefix]
    images = {path[depth:]: content for path, content in images.items() if path[:depth] == prefix}
    files = [path[depth:] for path in files if path[:depth] == prefix]
    root = "/".join((where.rstrip("/"), *prefix))

    folders = _split_folders(images, root)
    if not folders:
        source = _source({"train": ((), root)}, images, files, progress)
    else:
        roots = {split: ((name,), f"{root}/{name}") for split, name in folders.items()}
        source = _source(roots, images, files, progress)
    return Source(source.splits, skipped=outside + source.skipped)


def _wrapping(images, class_names):
    """Return the folders around everything, for instance ("cifar10",) in an archive of the folder cifar10."""
    prefix = ()
    while True:
        below = [path[len(prefix) :] for path in images if path[: len(prefix)] == prefix]
        tops = {path[0] for path in below if len(path) > 1}
        top = next(iter(tops))
        nested = any(len(path) > 2 for path in below)
        if len(tops) > 1 or not nested or split_of(top) or top in class_names:
            return prefix
        prefix += (top,)


def _split_folders(images, root):
    """Return split -> folder name, or an empty dict if the folders at the top are classes."""
    tops = {path[0] for path in images if len(path) > 1}
    deep = {path[0] for path in images if len(path) > 2}  # a class may be called "train": it has no folders
    splits = [top for top in sorted(tops) if top in deep and split_of(top)]
    if not splits:
        return {}
    others = sorted(top for top in tops if not split_of(top))
    if others:
        raise DataError(
            f"{root} has folders of splits, {quoted(splits)}, beside folders that are none: {quoted(others)}. "
            f"Move these away, or name them as splits: {', '.join(sum(SPLIT_NAMES.values(), ()))}."
        )
    folders = {}
    for top in splits:
        other = folders.setdefault(split_of(top), top)
        if other != top:
            raise DataError(
                f"{root} has two folders for the {split_of(top)} images, {other!r} and {top!r}. Merge or move one."
            )
    return folders


def _source(roots, images, files, progress):
    """Build the listing of each split; `roots` maps it to (path of its folder, the same for messages)."""
    splits = {}
    left = dict(images)
    skipped = []
    for split, (prefix, where) in roots.items():
        depth = len(prefix)
        told = counted(images, progress, "sorting images into classes", len(images))
        inside = [path for path in told if path[:depth] == prefix and len(path) > depth + 1]
        splits[split] = Listing(
            names=["/".join(path[depth:]) for path in inside],
            labels=[path[depth] for path in inside],
            contents=[left.pop(path) for path in inside],
            where=f"{where}/",
        ).sorted()
        folders = {path[depth] for path in files if path[:depth] == prefix and len(path) > depth + 1}
        for folder in sorted(folders - set(splits[split].labels)):
            skipped.append((f"{where}/{folder}", "the folder holds no images of a known type"))
    skipped += [("/".join(path), "it lies in no class folder") for path in left]
    return Source(splits, skipped=skipped)
