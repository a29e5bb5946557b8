"""Fingerprints of files."""

import hashlib


def sha256(path):
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(folder, names=None):
    """Return {name: {"bytes", "sha256"}} of the files of a folder, those below it included, or of those named."""
    paths = (
        sorted(path for path in folder.rglob("*") if path.is_file()) if names is None else [folder / n for n in names]
    )
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in paths
    }
