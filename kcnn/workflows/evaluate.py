"""Measure a trained model on images that training never saw."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from kcnn import data
from kcnn import recipe as recipes
from kcnn.classifier import Classifier
from kcnn.errors import DataError
from kcnn.run import atomic, write_text

BATCH = 256
Z_95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        metrics: Plain numbers; those of the test split are also in the run's metrics.json.
        classes: One row a class: class, support, precision, recall, f1.
        confusion: int array (K, K), rows are the true classes.
        confusion_picture: Where its picture lies.
    """

    metrics: dict
    classes: list
    confusion: np.ndarray
    confusion_picture: Path


def evaluate(run, *, data_path=None, split="test", progress=None):
    """Return the `Evaluation` of a finished run and write it to its report folder.

    Args:
        run: A `Run`.
        data_path: Images to use instead of those the recipe names: all of them where they have no splits.
        split: "test" or "validation".
        progress: Called as `(done, total, what)`.

    Raises:
        DataError: There are no such images, or they have labels that the model does not know.
    """
    recipe = recipes.load(run.recipe)
    classifier = Classifier.open(run.path)
    config = recipe.data
    if data_path:
        # Nothing is held out: of other data that has no splits, every image was unseen.
        config = config.model_copy(update={"name": "folder", "path": data_path, "test": 0.0, "validation": 0.0})
    dataset = data.load(
        config,
        recipe.seed,
        splits=(split,),
        class_names=classifier.class_names,
        undivided=bool(data_path),
        progress=progress,
    )
    images = getattr(dataset, split)
    if images is None:
        raise DataError(f"The data has no {split} images, and data.{split} holds none out. Name some with --data PATH.")
    probabilities = predict_split(classifier, images, progress)
    metrics, classes, confusion = measure(probabilities, images.labels, classifier.class_names)
    # Other data is reported under its own name, so that the run's own report stays what metrics.json says.
    what = f"{split}_{Path(data_path).resolve().name}" if data_path else split
    picture = run.report / f"confusion_{what}.png"
    draw_confusion(confusion, classifier.class_names, picture)
    write_text(run.report / f"classes_{what}.csv", _to_csv(classes))
    if split == "test" and not data_path:
        run.update_metrics(metrics)
    return Evaluation(metrics, classes, confusion, picture)


def predict_split(classifier, split, progress=None):
    """Return float32 (N, K): the probabilities of every image of a split."""
    found = []
    for start in range(0, len(split), BATCH):
        indices = np.arange(start, min(start + BATCH, len(split)))
        found.append(classifier.probabilities(split.images[indices]))
        if progress:
            progress(indices[-1] + 1, len(split), "evaluating")
    return np.concatenate(found)


def measure(probabilities, labels, class_names):
    """Return metrics, class rows and confusion matrix of probabilities (N, K) against labels (N,)."""
    count, classes = probabilities.shape
    known = np.arange(classes)
    guesses = probabilities.argmax(axis=1)
    correct = int((guesses == labels).sum())
    low, high = wilson_interval(correct, count)
    of_truth = probabilities[np.arange(count), labels].astype("float64")
    metrics = {
        "accuracy": correct / count,
        "accuracy_low": low,
        "accuracy_high": high,
        "loss": float(-np.log(np.maximum(of_truth, np.finfo("float32").tiny)).mean()),
        "count": count,
    }
    if classes > 5:
        metrics["top5"] = float(top_k_accuracy_score(labels, probabilities, k=5, labels=known))
    precision, recall, f1, support = precision_recall_fscore_support(labels, guesses, labels=known, zero_division=0.0)
    rows = [
        {
            "class": name,
            "support": int(support[k]),
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
        }
        for k, name in enumerate(class_names)
    ]
    return metrics, rows, confusion_matrix(labels, guesses, labels=known)


def wilson_interval(correct, count):
    """Return the 95 % interval of a proportion (Wilson 1927), which stays within 0 and 1."""
    share = correct / count
    centre = (share + Z_95**2 / (2 * count)) / (1 + Z_95**2 / count)
    half = Z_95 / (1 + Z_95**2 / count) * np.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2))
    return float(centre - half), float(centre + half)


def draw_confusion(confusion, class_names, path):
    """Draw the confusion matrix: colour and number are the share of a true class, in per cent."""
    from matplotlib.figure import Figure

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    size = min(max(4.5, 0.55 * len(class_names) + 1.5), 30)
    figure = Figure(figsize=(size, size * 0.9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=45, ha="right")
    axes.set_yticks(ticks, class_names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(class_names) <= 30:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            share = shares[row, column]
            text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
            axes.text(column, row, text, ha="center", va="center", size=8, color="white" if share > 0.5 else "black")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _to_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
