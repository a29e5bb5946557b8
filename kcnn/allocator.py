"""The C library's memory, which a process that trains keeps instead of giving it back and asking for it again."""

import ctypes
import os
import sys

# Numbers of <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Tell glibc that freed memory stays with this process; without glibc, or where the user has tuned it, do nothing.

    A training step frees what the next one asks for. Unasked, glibc returns blocks above 32 MiB to the kernel, which
    fills each page with zeros again.
    """
    tuned = "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ)
    if sys.platform != "linux" or tuned:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
