"""A file of rows that grows batch by batch under another name, and can be gone on with after any kind of end.

Beside FILE.part lies FILE.part.json: how far the rows are certain, and what they are the answers of. What was written
after that note is cut off and made again, so that it does not matter where a line was torn.
"""

import contextlib
import glob
import hashlib
import itertools
import json
import os
import time
from dataclasses import asdict, dataclass

from kcnn.data.counted import counted
from kcnn.errors import Interrupted, RunError, UsageError
from kcnn.files import hold, replaceable, write_text

SECONDS = 1.0  # between two notes


@dataclass(frozen=True)
class Note:
    """How far a file is.

    Attributes:
        images: That are answered.
        unread: Of them, how many could not be read.
        bytes: Of the file.
        names: A hash of the names of the images, in hexadecimal.
    """

    images: int = 0
    unread: int = 0
    bytes: int = 0
    names: str = hashlib.sha256().hexdigest()


class Partial:
    """The rows of FILE as far as they are there.

    Attributes:
        part: Where they are.
        note: How far they are.
    """

    def __init__(self, path, identity):
        self.path, self.identity = replaceable(path), identity
        self.part = self.path.with_name(self.path.name + ".part")
        self._notes = self.path.with_name(self.path.name + ".part.json")
        self.note = Note()
        self._names = hashlib.sha256()
        self._file = None
        self._last = time.monotonic()

    def open(self, resume):
        """Begin the file, or go on with it. Raises `UsageError` where it is whole, or another's."""
        begun = self.part.exists()
        if begun and not resume and (self._notes.exists() or self.part.stat().st_size):
            self._hold("r+b")  # or else what another process is writing would seem to be left behind
            raise UsageError(
                f"{self.part} holds the answers of a call that was stopped. "
                "Go on with it by --resume, or delete it to begin anew."
            )
        if resume and not begun and self.path.exists():
            self.remove_notes()  # of a call that was killed at its very end
            raise UsageError(f"{self.path} is whole already; there is nothing to resume.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._hold("r+b" if begun else "xb")
        if begun:
            self.note = self._recalled()
            self._file.seek(self.note.bytes)
            self._file.truncate()
        self._write_note()

    def rest(self, images, progress=None):
        """Yield the images that are not answered yet; raise `UsageError` where those before them are others."""
        images, count = iter(images), self.note.images
        skipped = itertools.islice(images, count)
        for one in counted(skipped, progress, "images skipped", count):
            _add(self._names, one.name)
        if self._names.hexdigest() != self.note.names:
            raise UsageError(
                f"The first {count:,} images are not those that {self.part} holds the answers of. "
                "Name the same images in the same order, or delete it to begin anew."
            )
        yield from images

    def append(self, data, predictions):
        """Write the rows of a batch."""
        self._file.write(data)
        self._file.flush()
        for one in predictions:
            _add(self._names, one.image)
        # In one step, so that an interruption finds the note from before or from after the batch.
        self.note = Note(
            images=self.note.images + len(predictions),
            unread=self.note.unread + sum(one.error is not None for one in predictions),
            bytes=self.note.bytes + len(data),
            names=self._names.hexdigest(),
        )
        if time.monotonic() - self._last >= SECONDS:
            self.keep()

    def keep(self):
        """Note how far the rows are, once they are on the disk."""
        os.fsync(self._file.fileno())
        self._write_note()
        self._last = time.monotonic()

    def finish(self):
        """Give the file its name."""
        os.fsync(self._file.fileno())
        self.part.replace(self.path)
        self.remove_notes()

    def close(self):
        if self._file:
            self._file.close()

    def remove(self):
        self.part.unlink(missing_ok=True)
        self.remove_notes()

    def remove_notes(self):
        half_done = self.path.parent.glob(f".{glob.escape(self._notes.stem)}-*.json")  # by a process that was killed
        for path in (self._notes, *half_done):
            path.unlink(missing_ok=True)

    def _hold(self, mode):
        taken = f"Another process is writing {self.part} right now."
        try:
            self._file = self.part.open(mode)
        except FileExistsError as error:  # it began in this very moment
            raise RunError(taken) from error
        hold(self._file.fileno(), taken)

    def _write_note(self):
        write_text(self._notes, json.dumps({"identity": self.identity, **asdict(self.note)}, indent=2) + "\n")

    def _recalled(self):
        try:
            found = json.loads(self._notes.read_text(encoding="utf-8"))
            before, note = found.pop("identity"), Note(**found)
            whole = self.part.stat().st_size >= note.bytes
        except FileNotFoundError as error:
            if not self.part.stat().st_size:  # of a call that was killed as it began
                return Note()
            raise UsageError(
                f"{self._notes} is missing, which says how far {self.part.name} is. "
                "Bring it back, or delete that file to begin anew."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise UsageError(f"{self.part} or {self._notes.name} is damaged. Delete both to begin anew.")
        pairs = {key: (before.get(key), self.identity.get(key)) for key in before | self.identity}
        changes = [f"{key}: {then} -> {now}" for key, (then, now) in pairs.items() if then != now]
        if changes:
            lines = "".join(f"\n  - {change}" for change in changes)
            raise UsageError(
                f"{self.part} was begun otherwise:{lines}\nGive back what it began with, or delete it to begin anew."
            )
        return note


@contextlib.contextmanager
def growing(path, identity, *, resume, command):
    """Yield a `Partial` that takes its name when the block ends without an error.

    Args:
        path: Of the file.
        identity: What decides the rows, as plain values; a resume with another is refused.
        resume: Go on with what an earlier call left, if it left anything.
        command: The command that goes on.

    Raises:
        Interrupted: Ctrl-C came, and there is something to go on with.
    """
    partial = Partial(path, identity)
    with contextlib.closing(partial):
        partial.open(resume)
        try:
            yield partial
            partial.finish()
        except KeyboardInterrupt:
            if not partial.part.exists():  # it has its name already
                partial.remove_notes()
                raise
            if not partial.note.images:
                partial.remove()
                raise
            partial.keep()
            done = f"{partial.note.images:,} images are answered, in {partial.part}."
            raise Interrupted(f"Stopped: {done}", command) from None
        except BaseException:
            if not partial.note.images:
                partial.remove()
            raise


def _add(names, name):
    names.update(os.fsencode(name) + b"\0")
