"""A CSV file that lists images: path,label and perhaps split."""

import csv
from collections import defaultdict
from pathlib import Path

from kcnn.data.layout import SPLIT_NAMES, split_of
from kcnn.data.listing import Listing, Source, quoted
from kcnn.errors import DataError, DataNotFoundError


def read_table(path: Path) -> Source:
    """Return the images that the CSV file at `path` lists; their paths are relative to its folder, or absolute.

    Raises:
        DataError: If the file is no such table; the message holds every kind of mistake, with line numbers.
        DataNotFoundError: If it lists no images, or images that are not there.
    """
    rows = _rows(path)
    if not rows:
        raise DataNotFoundError(f"{path} lists no images below its header.")
    _check(path, rows)
    missing = [row["path"] for _, row in rows if not (path.parent / row["path"]).is_file()]
    if missing:
        raise DataNotFoundError(
            f"{path} lists {len(missing):,} of {len(rows):,} images that are not there: {quoted(missing)}. "
            f"Paths are relative to {path.parent.absolute()}, or absolute."
        )
    splits = defaultdict(list)
    for _, row in rows:
        splits[split_of(row.get("split") or "train")].append(row)
    return Source({split: _listing(path, splits[split]) for split in SPLIT_NAMES if split in splits})


def _rows(path):
    """Return (line number, row with stripped values) of every row that is not blank."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [column.strip().lower() for column in next(reader, [])]
            missing = [column for column in ("path", "label") if column not in header]
            if missing:
                raise DataError(
                    f"{path} must begin with the header path,label or path,label,split. "
                    f"Missing: {', '.join(missing)}. Received: {','.join(header) or 'an empty file'}"
                )
            rows = []
            for row in reader:
                values = dict(zip(header, (value.strip() for value in row), strict=False))
                if any(values.values()):
                    rows.append((reader.line_num, values))
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read {path} as a CSV file in UTF-8: {error}.") from error


def _check(path, rows):
    incomplete, unknown, repeated, seen = [], [], [], set()
    for line, row in rows:
        if not row.get("path") or not row.get("label"):
            incomplete.append(f"line {line}")
            continue
        if row.get("split") and not split_of(row["split"]):
            unknown.append(f"line {line}: {row['split']}")
        if row["path"] in seen:
            repeated.append(f"line {line}: {row['path']}")
        seen.add(row["path"])
    mistakes = [
        ("rows without a path or a label", incomplete),
        ("splits that are none of " + ", ".join(sum(SPLIT_NAMES.values(), ())), unknown),
        ("images that are listed twice", repeated),
    ]
    found = [f"\n  - {len(rows):,} {what}: {quoted(rows)}" for what, rows in mistakes if rows]
    if found:
        raise DataError(f"{path} is not a valid list of images:{''.join(found)}")


def _listing(path, rows):
    return Listing(
        names=[row["path"] for row in rows],
        labels=[row["label"] for row in rows],
        contents=[str(path.parent / row["path"]) for row in rows],
        where="" if all(Path(row["path"]).is_absolute() for row in rows) else f"{path.parent}/",
    ).sorted()
