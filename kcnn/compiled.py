"""What XLA compiled for JAX, kept in the cache folder so that the next process need not compile it again."""

import contextlib
import hashlib
import os
import platform
import zlib
from pathlib import Path

from kcnn import cache

LIMIT = 2**30  # bytes; cifar10_simple_cnn takes 0.5 MB
ZSTD = b"\x28\xb5\x2f\xfd"  # how an entry begins where JAX found a compressor other than zlib
# With one of these users have decided themselves; JAX_ENABLE_COMPILATION_CACHE=false goes without the cache.
DECIDED = ("JAX_COMPILATION_CACHE_DIR", "JAX_COMPILATION_CACHE_MAX_SIZE")


def variables() -> dict[str, str]:
    """Return the environment variables that let JAX use the cache, after tidying it; none where it cannot be used.

    They must be set before JAX is imported. What lies in a folder that cannot be written is read all the same.
    """
    if any(name in os.environ for name in DECIDED):
        return {}
    # The same home folder may serve machines whose processors differ, and code for one may kill a process on another.
    folder = cache.folder("jax") / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    writable = os.access(folder, os.W_OK)
    if writable:
        with contextlib.suppress(OSError):  # another process may tidy at the same moment
            _tidy(folder)
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        # Seconds: even the smallest, of which a training has dozens. None takes as long as what stands for never.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0" if writable else "1e9",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def _processor() -> str:
    """Return a short name for what this processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    able = [line for line in lines if line.startswith(("model name", "flags", "Features"))] or [platform.processor()]
    return hashlib.sha256("\n".join(sorted(set(able))).encode()).hexdigest()[:16]


def _tidy(folder: Path) -> None:
    """Remove new entries that a killed process left half written, which JAX never replaces, and the oldest in use.

    JAX's own bound needs a package that it does not install, and fails for good once a process was killed.
    """
    stamp = folder / "tidied"
    tidied = stamp.stat().st_mtime if stamp.exists() else 0.0
    for entry in folder.glob("*-cache"):
        if entry.stat().st_mtime >= tidied and not _is_whole(entry.read_bytes()):
            entry.unlink()
    stamp.touch()
    found = [(entry, entry.stat()) for entry in folder.glob("*-cache")]
    excess = sum(facts.st_size for _, facts in found) - LIMIT
    for entry, facts in sorted(found, key=lambda pair: max(pair[1].st_atime, pair[1].st_mtime)):
        if excess <= 0:
            break
        entry.unlink()
        excess -= facts.st_size


def _is_whole(content: bytes) -> bool:
    if content.startswith(ZSTD):
        return True  # Python has no means to tell
    try:
        zlib.decompress(content)
    except zlib.error:
        return False
    return True
