"""Predictions as rows of a file: CSV, JSON lines, one JSON document, Parquet."""

import csv
import importlib.util
import io
import json

from kcnn.errors import UsageError

ROWS = 2**14  # images in a row group of a Parquet file, or fewer
VALUES = 2**22  # where their embeddings have more numbers than this


class CsvRows:
    """A row for each label of an image that was read, the best first; one for an image that is not known.

    Like the others of text it gives bytes: what a file begins with, what a list of predictions adds, what it ends with.
    """

    def __init__(self, *, known):
        self._known = known

    def begin(self):
        return _csv([["image", "rank", "label", "probability", *(["known"] if self._known else [])]])

    def rows(self, predictions):
        return _csv(row for one in predictions if not one.error for row in self._rows(one))

    def end(self):
        return b""

    def _rows(self, one):
        if one.known is False:
            return [[one.image, 1, one.label, f"{one.probability:.6f}", "false"]]
        known = ["true"] if self._known else []
        return [[one.image, rank, label, f"{p:.6f}", *known] for rank, (label, p) in enumerate(one.top, 1)]


class JsonLines:
    """A line of JSON for each image, also for one that could not be read."""

    def begin(self):
        return b""

    def rows(self, predictions):
        return b"".join(_json(one.as_json()) + b"\n" for one in predictions)

    def end(self):
        return b""


class JsonDocument:
    """One document: {"predictions": [...]}, written as `json.dumps` with an indent of 2 would."""

    def __init__(self):
        self._first = True

    def begin(self):
        return b'{\n  "predictions": ['

    def rows(self, predictions):
        return b"".join(map(self._item, predictions))

    def end(self):
        return b"]\n}\n" if self._first else b"\n  ]\n}\n"

    def _item(self, one):
        separator, self._first = b"\n" if self._first else b",\n", False
        return separator + b"    " + _json(one.as_json(), indent=2).replace(b"\n", b"\n    ")


class ParquetRows:
    """A row for each image, also for one that could not be read, whose other columns are null.

    Columns: image, label, probability, known (with a threshold), top (a list of label and probability), embedding (a
    list of numbers, where asked for), error.

    Args:
        path: Of the file, which is whole after `close`.
        known, embeddings: Whether there are such columns.
    """

    def __init__(self, path, *, known, embeddings):
        import pyarrow
        from pyarrow import parquet

        pair = pyarrow.struct({"label": pyarrow.string(), "probability": pyarrow.float32()})
        types = {
            "image": pyarrow.string(),
            "label": pyarrow.string(),
            "probability": pyarrow.float32(),
            **({"known": pyarrow.bool_()} if known else {}),
            "top": pyarrow.list_(pair),
            **({"embedding": pyarrow.list_(pyarrow.float32())} if embeddings else {}),
            "error": pyarrow.string(),
        }
        self._types = types
        self._writer = parquet.ParquetWriter(path, pyarrow.schema(types.items()))
        self._waiting, self._values = [], 0

    def write(self, predictions):
        for one in predictions:
            self._waiting.append(self._row(one))
            self._values += len(one.top) + (0 if one.embedding is None else len(one.embedding))
            if len(self._waiting) >= ROWS or self._values >= VALUES:
                self._flush()

    def close(self):
        self._flush()
        self._writer.close()

    def _row(self, one):
        if one.error:
            return {"image": _text(one.image), "error": _text(one.error)}
        top = [{"label": label, "probability": probability} for label, probability in one.top]
        known = {"label": one.label, "probability": one.probability, "known": one.known, "embedding": one.embedding}
        return {"image": _text(one.image), **known, "top": top}

    def _flush(self):
        import pyarrow

        if self._waiting:
            columns = {
                name: pyarrow.array([row.get(name) for row in self._waiting], kind)
                for name, kind in self._types.items()
            }
            self._writer.write_table(pyarrow.table(columns))
        self._waiting, self._values = [], 0


def check_parquet(otherwise):
    """Raise `UsageError`, which ends in what to do `otherwise`, where Parquet cannot be written."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError(f"Parquet files need pyarrow: pip install 'kcnn[data]'. Or {otherwise}.")


def text_rows(form, *, known):
    """Return what makes rows of "csv", "jsonl" or "json"."""
    return {"csv": lambda: CsvRows(known=known), "jsonl": JsonLines, "json": JsonDocument}[form]()


def _csv(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")  # a name that is no UTF-8 stays what it is on the disk


def _json(value, **options):
    try:
        return json.dumps(value, ensure_ascii=False, **options).encode()
    except UnicodeEncodeError:  # a name that is no UTF-8
        return json.dumps(value, **options).encode()


def _text(name):
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
