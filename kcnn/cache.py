"""The user's cache folder: what can be made again, kept because making it takes time."""

import os
from pathlib import Path

import platformdirs


def folder(kind: str) -> Path:
    """Return the folder for one kind of content; it may not exist yet.

    It lies in KCNN_CACHE, else where the system keeps caches: on Linux `$XDG_CACHE_HOME/kcnn` or `~/.cache/kcnn`.
    """
    return Path(os.environ.get("KCNN_CACHE") or platformdirs.user_cache_dir("kcnn", appauthor=False)) / kind
