"""The predictions for any number of images as a file, which a later call can go on with."""

import contextlib
import hashlib
import json
import sys
from pathlib import Path

from kcnn import __version__
from kcnn.digest import sha256
from kcnn.files import atomic
from kcnn.formats import exported
from kcnn.run import Run
from kcnn.workflows._child import ended_by_sigterm
from kcnn.workflows._partial import growing
from kcnn.workflows._rows import ParquetRows, text_rows
from kcnn.workflows.predict import as_named, predict_batches

APPENDED = ("csv", "jsonl")  # forms of files that can be gone on with


def predict_to_file(model, images, path, *, form, source, resume=False, command="", watch=None, **options):
    """Write the predictions for `images` to a file that appears whole; return their number, and how many have errors.

    Args:
        model, images, **options: As of `predict_batches`. Batches are always full, whatever has yet to come, so that
            a resume finds the same ones and repeats their bits.
        path: Of the file.
        form: "csv", "jsonl", "json" or "parquet".
        source: The path that `model` was opened from.
        resume: Go on with what an earlier call left of a file in one of the forms of APPENDED.
        command: The command that does so.
        watch: Called with each list of predictions, once it is written.

    Raises:
        UsageError: As `predict_batches`; or what is there was begun with another model, other options or images.
        Interrupted: Ctrl-C or SIGTERM came, and there is something to go on with.
    """
    with ended_by_sigterm():
        return _write(model, images, path, form, source, resume, command, watch, options)


def _write(model, images, path, form, source, resume, command, watch, options):
    images = (as_named(one) for one in images if one is not None)
    known = options.get("threshold") is not None
    if form in APPENDED:
        identity = _identity(source, model, form, options)
        return _grow(model, images, path, text_rows(form, known=known), identity, resume, command, watch, options)
    count = unread = 0
    with (
        atomic(path) as temporary,
        _sink(temporary, form, known, options.get("embeddings", False)) as write,
        contextlib.closing(predict_batches(model, images, **options)) as batches,
    ):
        for predictions in batches:
            write(predictions)
            count += len(predictions)
            unread += sum(one.error is not None for one in predictions)
            if watch:
                watch(predictions)
    return count, unread


def _grow(model, images, path, rows, identity, resume, command, watch, options):
    with growing(path, identity, resume=resume, command=command) as partial:
        if not partial.note.bytes:
            partial.append(rows.begin(), [])
        images = partial.rest(images, options.get("progress"))
        with contextlib.closing(predict_batches(model, images, done=partial.note.images, **options)) as batches:
            for predictions in batches:
                partial.append(rows.rows(predictions), predictions)
                if watch:
                    watch(predictions)
    return partial.note.images, partial.note.unread


@contextlib.contextmanager
def _sink(path, form, known, embeddings):
    """Yield what writes a list of predictions to a file that is whole when the block ends."""
    if form == "parquet":
        with contextlib.closing(ParquetRows(path, known=known, embeddings=embeddings)) as rows:
            yield rows.write
    else:
        rows = text_rows(form, known=known)
        with path.open("wb") as file:
            file.write(rows.begin())
            yield lambda predictions: file.write(rows.rows(predictions))
            file.write(rows.end())


def _identity(source, model, form, options):
    """Return what decides the rows of a file, but for the images."""
    keras = sys.modules.get("keras")  # which an exported file does without
    kept = {key: options.get(key) for key in ("top", "threshold", "tta")}
    return {
        "kcnn": __version__,
        "model": _digest(source, model),
        "temperature": getattr(model, "temperature", None),
        "backend": keras.config.backend() if keras else None,
        "form": form,
        "embeddings": bool(options.get("embeddings")),
        **kept,
    }


def _digest(source, model):
    """Return the SHA-256 of a model's files and of what else decides its answers, in hexadecimal."""
    export = exported.found(source)
    path = Path(export[1] if export else source)
    if not (export or path.is_file()):
        path = Run.open(path).model
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
    about = [list(model.class_names), list(model.image_shape), model.resize]
    digest = hashlib.sha256(json.dumps(about).encode())
    for found in files:
        digest.update(sha256(found).encode())
    return digest.hexdigest()
