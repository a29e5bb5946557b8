"""Files that are written whole or not at all, and files and folders that one process holds for itself."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kcnn.errors import RunError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MOST_LINKS = 40  # from one to the next, as Linux allows; more may lead to each other


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name when the block ends without an error.

    Raises:
        UsageError: As `replaceable`.
    """
    suffix, path = Path(path).suffix, replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept, a link's own, since writers such as Keras and matplotlib read the format from it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner may read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replaceable(path: Path | str) -> Path:
    """Return the path that a file is written to which may be there already, or a link to it, which then stays.

    Raises:
        UsageError: What is there is no file: a folder, a pipe, a device, or a stream of a process as /dev/stdout is.
    """
    named = path = Path(path)
    for _ in range(MOST_LINKS):
        if not path.is_symlink() or path.parent.resolve().is_relative_to("/proc"):
            break
        path = path.parent / path.readlink()
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UsageError(f"{named} is no file that could be replaced.")
    return path


def check_writable(folder: Path | str) -> None:
    """Raise `RunError` where `folder` is not to be written to, or not to be made; nothing of the test is left."""
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise RunError(f"Cannot write to {folder}: {error.strerror}.") from error


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all; what is no UTF-8 in a path is spelled out, as in `caf\\udce9`."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def hold(handle: int, taken: str) -> bool:
    """Lock an open file or folder until it is closed, and return whether it is locked: not everywhere there are locks.

    Raises:
        RunError: With `taken`: another process has it.
    """
    if not fcntl:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(taken) from error
    except OSError:  # a file system without locks
        return False
    return True


@contextlib.contextmanager
def alone(folder: Path, taken: str) -> Iterator[bool]:
    """Hold a folder for this process; yield and raise as `hold` returns and raises."""
    if not fcntl:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield hold(handle, taken)
    finally:
        os.close(handle)
