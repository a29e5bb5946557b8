"""The files of an evaluation beside its page: pictures and tables in the report folder."""

import csv

import numpy as np

from kcnn.amount import percent
from kcnn.files import atomic
from kcnn.workflows._lettering import any_script, short
from kcnn.workflows._rows import check_parquet

MOST_NAMES = 100  # classes whose names fit beside a picture of the confusion matrix
MOST_NUMBERS = 30  # classes whose shares fit into its cells
LONGEST_NAME = 24  # characters that fit beside it


def table_files(run, what, predictions):
    """Return {kind: path} of the files of an evaluation beside its page.

    Args:
        run: A `Run`.
        what: As of an `Evaluation`.
        predictions: "csv" or "parquet".
    """
    return {
        kind: run.report / f"{kind}_{what}.{suffix}"
        for kind, suffix in (
            ("confusion", "png"),
            ("classes", "csv"),
            ("predictions", predictions),
            ("evaluation", "json"),
        )
    }


def write_tables(result, probabilities, images, predictions):
    """Write the tables and the picture of an `Evaluation` to its `files`.

    Args:
        result: An `Evaluation`.
        probabilities: float32 (N, K).
        images: The `Split` that was measured.
        predictions: "csv" or "parquet".
    """
    files = result.files
    draw_confusion(result.confusion, result.class_names, files["confusion"])
    _write_csv(files["classes"], list(result.classes[0]), (row.values() for row in result.classes))
    columns = _predictions(probabilities, images, result.class_names)
    for other in {"csv", "parquet"} - {predictions}:  # of an earlier evaluation, which this one replaces
        files["predictions"].with_suffix(f".{other}").unlink(missing_ok=True)
    if predictions == "parquet":
        _write_parquet(files["predictions"], columns, probabilities, result.class_names)
    else:
        _write_csv(files["predictions"], list(columns), zip(*columns.values(), strict=True))


def check_predictions(form):
    """Raise `UsageError` where predictions cannot be written in that form."""
    if form == "parquet":
        check_parquet("leave --predictions out for CSV")


@any_script()
def draw_confusion(confusion, class_names, path):
    """Draw the confusion matrix: colour and number are the share of a true class, in per cent."""
    from matplotlib.figure import Figure

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    size = min(max(4.5, 0.55 * len(class_names) + 1.5), 30)
    figure = Figure(figsize=(size, size * 0.9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(class_names) <= MOST_NAMES:
        ticks = range(len(class_names))
        names = [short(name, LONGEST_NAME) for name in class_names]
        axes.set_xticks(ticks, names, rotation=45, ha="right", parse_math=False)
        axes.set_yticks(ticks, names, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(class_names) <= MOST_NUMBERS:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            share = shares[row, column]
            axes.text(
                column,
                row,
                percent(share)[:-1],
                ha="center",
                va="center",
                size=8,
                color="white" if share > 0.5 else "black",
            )
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _predictions(probabilities, images, class_names):
    """Return the columns of the table of all images: image, label, predicted, right, confidence, label_probability."""
    guesses = probabilities.argmax(axis=1)
    rows = np.arange(len(guesses))
    return {
        "image": images.names,
        "label": [class_names[k] for k in images.labels],
        "predicted": [class_names[k] for k in guesses],
        "right": (guesses == images.labels).tolist(),
        "confidence": probabilities[rows, guesses].tolist(),
        "label_probability": probabilities[rows, images.labels].tolist(),
    }


def _write_csv(path, header, rows):
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_parquet(path, columns, probabilities, class_names):
    """Write the columns and one more, a list of the probabilities of all classes, whose names are in the metadata."""
    import json

    import pyarrow
    import pyarrow.parquet

    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(probabilities.ravel()), probabilities.shape[1])
    table = pyarrow.table({**columns, "probabilities": lists})
    with atomic(path) as temporary:
        pyarrow.parquet.write_table(table.replace_schema_metadata({"class_names": json.dumps(class_names)}), temporary)
