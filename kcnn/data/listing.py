"""What a source holds before anything is decoded: names, labels, and where the bytes are."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Listing:
    """The images of one split, undecoded.

    Attributes:
        names: Unique within the split; the hash of a name decides the image's split. It begins below the folder or
            archive; only of a CSV with absolute paths it is such a path, which on another machine is another one.
        labels: The class of each image, as text.
        contents: For each image a path (str), its bytes, an `Extent`, or all of them as one uint8 array.
        where: What stands before a name in messages, for instance `"pets.zip/train/"`.
    """

    names: list[str]
    labels: list[str]
    contents: Sequence
    where: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def location(self, index: int) -> str:
        """Return the name by which a user finds the image."""
        return self.where + self.names[index]

    def take(self, indices: Iterable[int]) -> "Listing":
        """Return the listing of the images at `indices`, in that order."""
        indices = [int(index) for index in indices]
        if isinstance(self.contents, np.ndarray):
            contents = self.contents[indices]
        else:
            contents = [self.contents[i] for i in indices]
        return replace(
            self,
            names=[self.names[i] for i in indices],
            labels=[self.labels[i] for i in indices],
            contents=contents,
        )

    def sorted(self) -> "Listing":
        """Return the listing in the order of its names, whatever order the disk had."""
        return self.take(sorted(range(len(self)), key=self.names.__getitem__))


@dataclass(frozen=True)
class Source:
    """All splits that a source itself has.

    Attributes:
        splits: `"train"`, `"validation"`, `"test"`, those that exist.
        class_names: The order of the classes where the source is famous for one, else None.
        skipped: (name, reason) of each image that is in no split.
    """

    splits: dict[str, Listing]
    class_names: list[str] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)


def natural_key(text: str) -> tuple:
    """Return a sort key under which "2" comes before "10"."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), text


def readable(name: str) -> str:
    """Return a file's name as text that UTF-8 can hold: a byte that is none is spelled out, as in `caf\\udce9`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def quoted(names: Iterable[str], most: int = 3) -> str:
    """Return the first few names in quotes, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(repr(str(name)) for name in names[:most]) + more
