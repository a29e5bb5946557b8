"""Archives of a folder of images."""

import tarfile
import zipfile

MODES = {".gz": "w:gz", ".tgz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}


def pack(root, path, *, link=None):
    """Write `root` into an archive as `pets`, and return its path.

    Args:
        link: (name below pets, what it points to) of a symbolic link that a tar file shall hold too.
    """
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, f"pets/{file.relative_to(root)}")
    else:
        with tarfile.open(path, MODES.get(path.suffix, "w")) as archive:
            archive.add(root, "./pets")
            if link:
                info = tarfile.TarInfo(f"./pets/{link[0]}")
                info.type, info.linkname = tarfile.SYMTYPE, link[1]
                archive.addfile(info)
    return path
