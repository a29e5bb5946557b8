"""One page about a run that opens from disk: a single HTML file with everything in it."""

import base64
import io
import math
import shlex

import numpy as np
from PIL import Image

from kcnn.amount import percent
from kcnn.files import write_text
from kcnn.metrics.calibration import expected_calibration_error
from kcnn.workflows._charts import chart
from kcnn.workflows._page import number, quoted, share, template

MOST_CELLS = 30  # classes in the confusion matrix; of more, those that are confused most often
MOST_ROWS = 30  # classes in the table that is open; all of them are in the one below
DOT = 3  # the radius of a dot
LARGEST_PICTURE = 192  # pixels; larger images are shown smaller

# Key in metrics -> label, how it is written, what it means.
METRICS = {
    "accuracy": ("Accuracy", "share", "of the images, 95 % interval after Wilson"),
    "balanced_accuracy": ("Balanced accuracy", "share", "mean recall of the classes, 95 % interval"),
    "top5": ("Top-5 accuracy", "share", "the truth is among the five most likely classes"),
    "macro_f1": ("F1", "number", "mean of the classes"),
    "roc_auc": ("ROC-AUC", "number", "one class against the rest, mean of the classes"),
    "average_precision": ("Average precision", "number", "one class against the rest, mean of the classes"),
    "loss": ("Loss", "number", "cross-entropy in nats"),
    "brier_score": ("Brier score", "number", "0 to 2, 0 is best"),
    "calibration_error": ("Calibration error", "share", "mean distance of confidence and accuracy, 15 bins"),
}
TRAINING = {
    "train_count": "{:,} images",
    "epochs": "{} epochs",
    "parameters": "{:,} parameters",
    "seconds": "{:,.0f} s",
    "images_per_second": "{:,.0f} images a second",
}


def write_report(run, evaluation=None, heatmaps=None):
    """Write the page of a finished run and return its path: report/index.html, or one named after other data.

    Args:
        run: A `Run`.
        evaluation: What `evaluate` found, or None where nothing was measured yet.
        heatmaps: Image name -> uint8 (H, W, 3), shown beside the mistake of that name; None or {} for none.
    """
    environment = run.known_environment()
    metrics = run.read_json(run.metrics) if run.metrics.is_file() else {}
    page = template("report.html").render(
        run=run,
        metrics=metrics,
        training=", ".join(text.format(metrics[key]) for key, text in TRAINING.items() if key in metrics),
        recipe=run.recipe.read_text(encoding="utf-8"),
        environment=environment_rows(environment),
        commands=_commands(run, environment, evaluation),
        curves=_curves(run.read_history()) if run.history.is_file() else [],
        evaluation=evaluation,
        **(_measured(evaluation, heatmaps or {}) if evaluation else {}),
    )
    name = "index" if evaluation is None or evaluation.what == "test" else evaluation.what
    path = run.report / f"{name}.html"
    write_text(path, page)
    return path


def _measured(evaluation, heatmaps):
    """Return what the page shows of an evaluation."""
    shown = _shown_classes(evaluation)
    rows = sorted(evaluation.classes, key=lambda row: math.inf if row["f1"] is None else row["f1"])
    return {
        "numbers": numbers(evaluation.metrics),
        "hardest": evaluation.classes if len(rows) <= MOST_ROWS else rows[:MOST_ROWS],
        "shown": [evaluation.class_names[k] for k in shown],
        "matrix": _matrix(evaluation.confusion, evaluation.class_names, shown),
        "mistakes": [
            (one, data_uri(one.pixels), data_uri(heatmaps[one.image]) if one.image in heatmaps else None)
            for one in evaluation.mistakes
        ],
        "reliability": _reliability(evaluation),
        "corruption_chart": _corruption_chart(evaluation) if evaluation.corruptions else None,
    }


def numbers(metrics):
    """Return (label, value, interval or None, meaning) of each number, as texts."""
    found = []
    for key, (label, kind, meaning) in METRICS.items():
        if metrics.get(key) is None:
            continue
        write = share if kind == "share" else number
        ends = [metrics.get(f"{key}_low"), metrics.get(f"{key}_high")]
        found.append((label, write(metrics[key]), " to ".join(map(write, ends)) if None not in ends else None, meaning))
    return found


def _shown_classes(evaluation):
    """Return the indices of the classes in the confusion matrix: all, or those most often confused."""
    names = evaluation.class_names
    if len(names) <= MOST_CELLS:
        return list(range(len(names)))
    wrong = evaluation.confusion - np.diag(evaluation.confusion.diagonal())
    often = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1)), kind="stable")[:MOST_CELLS]
    return sorted(often.tolist())


def _matrix(confusion, names, shown):
    """Return for each shown class its name and the (text, opacity, sentence) of each cell."""
    totals = confusion.sum(axis=1)
    rows = []
    for i in shown:
        cells = []
        for j in shown:
            count = int(confusion[i, j])
            share = count / max(int(totals[i]), 1)
            verb = "were recognised" if i == j else f"were taken for {names[j]}"
            text = percent(share)[:-1] if count else ""
            sentence = f"{count:,} of {totals[i]:,} {names[i]} ({percent(share, 1)}) {verb}"
            cells.append((text, round(math.sqrt(share), 3), sentence, i == j))
        rows.append((names[i], cells))
    return rows


def data_uri(pixels):
    """Return a uint8 image (H, W, 1 or 3) as the URI of a PNG that holds it."""
    image = Image.fromarray(pixels.squeeze(2) if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _curves(rows):
    charts = []
    for title, names in (
        ("Loss", {"training": "loss", "validation": "val_loss"}),
        ("Accuracy", {"training": "accuracy", "validation": "val_accuracy"}),
        ("Learning rate", {"learning rate": "learning_rate"}),
    ):
        series = {
            label: [
                (row["epoch"], row[name], f"epoch {row['epoch']:.0f}, {label}: {row[name]:.4g}", DOT)
                for row in rows
                if name in row  # a forced resume may bring or end one
            ]
            for label, name in names.items()
            if any(name in row for row in rows)
        }
        ends = "; ".join(f"{label} from {line[0][1]:.3g} to {line[-1][1]:.3g}" for label, line in series.items())
        summary = f"{title} over {len(rows)} epoch{'s' if len(rows) > 1 else ''}: {ends}."
        charts.append(chart(title, "epoch", series, summary=summary, whole_x=True))
    return charts


def _reliability(evaluation):
    series = {}
    for label, rows in (
        ("as the model gives it", evaluation.reliability),
        ("with temperature", evaluation.calibrated.get("reliability", [])),
    ):
        filled = [row for row in rows if row["count"]]
        most = max((row["count"] for row in filled), default=1)
        if filled:
            series[label] = [
                (row["confidence"], row["accuracy"], f"{label}: {_bin(row)}", _area(row["count"] / most))
                for row in filled
            ]
    error = expected_calibration_error(evaluation.reliability)
    summary = f"Accuracy over confidence; on the diagonal both agree. The mean distance is {error:.2%}."
    return chart("Accuracy", "confidence", series, summary=summary, x_range=(0, 1), y_range=(0, 1), diagonal=True)


def _area(share):
    """Return the radius of a dot whose area stands for a share, and that is still seen."""
    return round(max(2 * DOT * math.sqrt(share), 1), 2)


def _bin(row):
    right = percent(row["accuracy"], 1)
    return f"{row['count']:,} images of confidence {row['low']:.2f} to {row['high']:.2f}, {right} right"


def _corruption_chart(evaluation):
    clean = evaluation.metrics["accuracy"]
    series = {
        name: [
            (strength, value, f"{name}, strength {strength}: {percent(value, 1)}", DOT)
            for strength, value in enumerate([clean, *values])
        ]
        for name, values in evaluation.corruptions.items()
    }
    ends = "; ".join(f"{name} {percent(values[-1], 1)}" for name, values in evaluation.corruptions.items())
    summary = f"Accuracy over strength, from {percent(clean, 1)} without corruption. At strength 5: {ends}."
    return chart("Accuracy", "strength", series, summary=summary, y_range=(0, 1), whole_x=True)


def environment_rows(found):
    """Return (name, text) of what is known about where the run was trained."""
    data = found.get("data") or {}
    named = {
        "backend": found.get("backend"),
        "devices": ", ".join(map(str, found.get("devices") or [])),
        "versions": ", ".join(f"{name} {version}" for name, version in (found.get("versions") or {}).items()),
        "platform": found.get("platform"),
        "processor": found.get("processor"),
        "cores": found.get("cores"),
        "threads": found.get("threads"),
        "commit of kcnn": found.get("git_commit"),
        "fingerprint of the data": data.get("fingerprint"),
        "started": found.get("started"),
        "resumed": "; ".join(map(_resumption, found.get("resumed") or [])),
    }
    return [(name, str(value)) for name, value in named.items() if value]


def _resumption(found):
    commit = f"commit {found['git_commit']}, " if found.get("git_commit") else ""
    return f"after step {found['step']:,} on {found['backend']}, {commit}{found['started']}"


def _commands(run, environment, evaluation):
    """Return (what, command) of what was done and of what repeats it."""
    backend = f" --backend {environment['backend']}" if environment.get("backend") else ""
    found = [("Train it again", f"kcnn fit {quoted(run.recipe)}{backend}")]
    if evaluation:
        found.append(("Measure it again", shlex.join(["kcnn", "evaluate", str(run.path), *evaluation.asked])))
    else:
        found.append(("Measure it on test images", f"kcnn evaluate {quoted(run.path)}"))
    if environment.get("command"):
        found.insert(0, ("Was trained by", environment["command"]))
    return found
