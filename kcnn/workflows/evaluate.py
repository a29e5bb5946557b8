"""Measure a trained model on images that training never saw."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from kcnn import data
from kcnn import recipe as recipes
from kcnn.anatomy.macs import count_macs
from kcnn.classifier import Classifier
from kcnn.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from kcnn.data.fingerprint import fingerprint
from kcnn.data.loading import divided, load_source
from kcnn.errors import DataError, RunError, UsageError
from kcnn.explain.cam import grad_cam
from kcnn.explain.maps import normalise
from kcnn.explain.network import TakenApart
from kcnn.explain.pictures import overlay
from kcnn.metrics import calibration, classes, intervals
from kcnn.metrics.groups import by_property
from kcnn.tta import averaged
from kcnn.workflows._answers import answers
from kcnn.workflows._calibrate import calibrate, quality
from kcnn.workflows._tables import check_predictions, table_files, write_tables
from kcnn.workflows.card import write_card
from kcnn.workflows.report import write_report

MISTAKES = 24  # in the gallery


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for something else.

    Attributes:
        image: Its name.
        true, predicted: Labels.
        confidence: The probability of the predicted label.
        true_probability: That of the true one.
        pixels: uint8 (H, W, C), as the model saw it.
    """

    image: str
    true: str
    predicted: str
    confidence: float
    true_probability: float
    pixels: np.ndarray

    def as_json(self):
        return {key: value for key, value in vars(self).items() if key != "pixels"}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        what: The split, the name of other data, and the test-time augmentation: it is part of the names of all files,
            with a number where other data of that name was measured before.
        asked: The options of `kcnn evaluate` that repeat it, as a list of words.
        class_names: K labels.
        metrics: Plain numbers; those of the test split are also in the run's metrics.json, with test-time augmentation
            as "tta_flip_accuracy" and so on beside the plain ones.
        classes: One row a class, as `metrics.classes.per_class` gives them.
        confusion: int array (K, K), rows are the true classes.
        reliability: The rows of the reliability diagram.
        calibrated: temperature, loss, calibration_error and reliability with the run's temperature, or the reason
            why there is none.
        mistakes: The most confident ones, a list of `Mistake`.
        properties: Property -> accuracy in groups of images; only those in which the images differ.
        corruptions: Corruption -> accuracy at each strength; None where nobody ever asked.
        right: Boolean array (N,), in the order of the images' names.
        fingerprint: Of the images and their labels.
        files: What was written: report, confusion, classes, predictions, evaluation, and of the run's own test images
            card.
        data: Where the images are, if they are not the run's own; else None.
        tta: The test-time augmentation, or None.
    """

    what: str
    asked: list
    class_names: list
    metrics: dict
    classes: list
    confusion: np.ndarray
    reliability: list
    calibrated: dict
    mistakes: list
    properties: dict
    corruptions: dict | None
    right: np.ndarray
    fingerprint: str
    files: dict
    data: str | None = None
    tta: str | None = None

    @property
    def pairs(self):
        """The pairs of classes most often confused, as `metrics.classes.confused_pairs` gives them."""
        return classes.confused_pairs(self.confusion, self.class_names)

    def as_json(self):
        """Return plain values for JSON, without any that is not a number."""
        return {
            "data": self.data,
            "tta": self.tta,
            "metrics": self.metrics,
            "classes": self.classes,
            "confused_pairs": self.pairs,
            "confusion": classes.confusion_entries(self.confusion, self.class_names),
            "reliability": self.reliability,
            "calibrated": self.calibrated,
            "mistakes": [one.as_json() for one in self.mistakes],
            "properties": self.properties,
            "corruptions": self.corruptions,
            "data_fingerprint": self.fingerprint,
            "files": {kind: str(path) for kind, path in self.files.items()},
        }


def evaluate(run, *, data_path=None, split="test", corruptions=False, predictions="csv", tta=None, progress=None):
    """Return the `Evaluation` of a finished run and write it to its report folder.

    Args:
        run: A `Run`.
        data_path: Where to take the images from: the run's own, if they lie there now, or others, which are measured
            whole where they have no splits.
        split: "test" or "validation".
        corruptions: Also measure images made worse, which asks the model about each of them 20 times more. What an
            earlier call found about the same images is kept otherwise.
        predictions: "csv", or "parquet" with the probabilities of all classes; this needs pyarrow.
        tta: Test-time augmentation, a name of `kcnn.registry.VIEWS`. The temperature is that of the plain model.
        progress: Called as `(done, total, what)`.

    Raises:
        DataError: There are no such images, or they have labels that the model does not know.
        UsageError: "parquet" was asked for, and pyarrow is not installed.
    """
    check_predictions(predictions)
    classifier = Classifier.open(run.path)
    dataset, own = load_images(run, classifier.class_names, data_path, split, progress)
    images = getattr(dataset, split)
    # Who names other data may not have the run's own, so that nothing is fitted then.
    temperature, reason = calibrate(run, own, classifier, progress) if own else run.known_temperature()
    answering = averaged(classifier, tta)
    probabilities, brightness = answers(answering, images, progress)
    metrics, rows, confusion = measure(probabilities, images.labels, classifier.class_names)
    right = probabilities.argmax(axis=1) == images.labels
    # What else is measured is reported under its own name, so that the run's own report stays what metrics.json says.
    source = None if own else str(Path(data_path).resolve())
    name = "_".join([split, *([Path(source).name] if source else []), *([f"tta_{tta}"] if tta else [])])
    what, before = _named(run, name, source)
    if corruptions:
        corrupted = _corrupted(answering, images, progress)
    else:
        same = before.get("data_fingerprint") == dataset.fingerprint
        corrupted = before.get("corruptions") if same else None
    result = Evaluation(
        what=what,
        asked=_asked(data_path, split, corrupted, predictions, tta),
        class_names=classifier.class_names,
        metrics=metrics,
        classes=rows,
        confusion=confusion,
        reliability=calibration.reliability(probabilities, images.labels),
        calibrated=_calibrated(probabilities, images.labels, temperature) if temperature else {"reason": reason},
        mistakes=_mistakes(probabilities, images, classifier.class_names),
        properties=_properties(images, brightness, right),
        corruptions=corrupted,
        right=right,
        fingerprint=dataset.fingerprint,
        files=table_files(run, what, predictions),
        data=source,
        tta=tta,
    )
    write_tables(result, probabilities, images, predictions)
    result.files["report"] = write_report(run, result, _heatmaps(classifier, result.mistakes))
    test_of_own = split == "test" and own
    if test_of_own and (not tta or run.evaluation.is_file()):  # of which the card is made
        result.files["card"] = run.card
    run.write_json(result.files["evaluation"], result.as_json())
    if test_of_own:
        run.update_metrics({**with_prefix(metrics, tta), "macs": count_macs(classifier.model)})
    if "card" in result.files:
        write_card(run)
    return result


def load_images(run, class_names, data_path=None, split="test", progress=None):
    """Return the `Dataset` of the images that a run is measured on, and the recipe of its data if they are its own.

    They are its own also where they lie somewhere else now: then they are divided as for the training, which other data
    without splits is not. Arguments and errors as of `evaluate`.
    """
    recipe = recipes.load(run.recipe)
    if data_path:
        moved = recipe.data.model_copy(update={"name": "folder", "path": data_path})
        recipe = recipe.model_copy(update={"data": moved})
    source = data.find_source(recipe.data, class_names, progress)
    config = recipe.data
    if data_path:
        config = None if split in source.splits else _as_divided(run, source, recipe, progress)
    own = config is not None
    recipe = recipe.model_copy(
        update={"data": config or recipe.data.model_copy(update={"test": 0.0, "validation": 0.0})}
    )
    dataset = load_source(
        source,
        recipe.data,
        recipe.seed,
        splits=(split,),
        class_names=class_names,
        undivided=not own,
        sizes=True,
        progress=progress,
    )
    if getattr(dataset, split) is None:
        if own and data_path:
            raise DataError(f"These are the run's own images, and it has no {split} images among them. Name others.")
        raise DataError(
            f"The data has no {split} images, and data.{split} holds none out. Name others with --data PATH."
        )
    return dataset, recipe if own else None


def _as_divided(run, source, recipe, progress):
    """Return how a source that holds the very images that the run was trained and validated on was divided, or None.

    Measured whole they would seem unseen. Where they had test images beside them, none were held out of them.
    """
    environment = run.known_environment()
    began = [environment, *environment.get("resumed", [])]  # a forced resumption may have had other data
    known = [facts for each in began if "fingerprint" in (facts := each.get("data") or {})]
    ways = [recipe.data, recipe.data.model_copy(update={"test": 0.0})] if known else []
    for config in ways[: 2 if recipe.data.test else 1]:
        try:
            listings = divided(source, config, recipe.seed, progress=progress)
        except DataError:  # it cannot be divided so
            continue
        count = sum(len(listings.get(split, ())) for split in ("train", "validation"))
        # There may be more than was counted then: what could not be read was left out.
        alike = [facts["fingerprint"] for facts in known if count >= facts.get("train", 0) + facts.get("validation", 0)]
        if alike and fingerprint(listings, progress) in alike:
            return config
    return None


def with_prefix(metrics, tta):
    """Return the metrics under the names that they are kept by, which with test-time augmentation are others."""
    return {f"tta_{tta}_{key}": value for key, value in metrics.items()} if tta else metrics


def _asked(data_path, split, corruptions, predictions, tta):
    return [
        *(["--data", str(data_path)] if data_path else []),
        *(["--split", split] if split != "test" else []),
        *(["--corrupt"] if corruptions else []),
        *(["--predictions", predictions] if predictions != "csv" else []),
        *(["--tta", tta] if tta else []),
    ]


def measure(probabilities, labels, class_names):
    """Return metrics, class rows and confusion matrix of probabilities (N, K) against labels (N,)."""
    count, size = probabilities.shape
    known = np.arange(size)
    guesses = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, guesses, labels=known)
    rows = classes.per_class(probabilities, labels, class_names)
    correct = int(confusion.trace())
    low, high = intervals.wilson(correct, count)
    balanced, balanced_low, balanced_high = intervals.balanced(confusion.diagonal(), confusion.sum(axis=1))
    metrics = {
        "accuracy": correct / count,
        "accuracy_low": low,
        "accuracy_high": high,
        "balanced_accuracy": balanced,
        "balanced_accuracy_low": balanced_low,
        "balanced_accuracy_high": balanced_high,
        "count": count,
        **quality(probabilities, labels),
        "brier_score": calibration.brier_score(probabilities, labels),
        "macro_f1": classes.mean_of(rows, "f1"),
    }
    if size > 5:
        metrics["top5"] = float(top_k_accuracy_score(labels, probabilities, k=5, labels=known))
    for key in ("roc_auc", "average_precision"):
        if (value := classes.mean_of(rows, key)) is not None:
            metrics[key] = value
    return metrics, rows, confusion


def _calibrated(probabilities, labels, temperature):
    probabilities = calibration.with_temperature(probabilities, temperature)
    return {
        "temperature": temperature,
        **quality(probabilities, labels),
        "brier_score": calibration.brier_score(probabilities, labels),
        "reliability": calibration.reliability(probabilities, labels),
    }


def _mistakes(probabilities, images, class_names):
    guesses = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(guesses != images.labels)
    worst = wrong[np.argsort(-probabilities[wrong, guesses[wrong]], kind="stable")[:MISTAKES]]
    return [
        Mistake(
            image=images.names[index],
            true=class_names[images.labels[index]],
            predicted=class_names[guesses[index]],
            confidence=float(probabilities[index, guesses[index]]),
            true_probability=float(probabilities[index, images.labels[index]]),
            pixels=pixels,
        )
        for index, pixels in zip(worst, images.images[worst], strict=True)
    ]


def _heatmaps(classifier, mistakes):
    """Return image name -> uint8 (H, W, 3), what Grad-CAM finds to speak for the wrong label, laid over the image."""
    if not mistakes:
        return {}
    pixels = np.stack([one.pixels for one in mistakes]).astype("float32")
    guesses = np.array([classifier.class_names.index(one.predicted) for one in mistakes])
    try:
        maps = grad_cam(TakenApart(classifier.model), pixels, guesses)
    except UsageError:  # a network without a feature map
        return {}
    return {
        one.image: np.asarray(overlay(one.pixels, heat)) for one, heat in zip(mistakes, normalise(maps), strict=True)
    }


def _properties(images, brightness, right):
    """Return the accuracy by brightness (0..255) and by size (pixels, the root of the area before resizing)."""
    size = np.sqrt(images.sizes.astype("float64").prod(axis=1))
    found = {"brightness": by_property(brightness, right), "size": by_property(size, right)}
    return {name: groups for name, groups in found.items() if groups}


def _corrupted(model, images, progress):
    """Return {corruption: [accuracy at each strength]}."""
    found = {name: [] for name in CORRUPTIONS}
    steps = [(name, strength) for name in CORRUPTIONS for strength in range(1, STRENGTHS + 1)]
    for step, (name, strength) in enumerate(steps):

        def change(pixels, positions, name=name, strength=strength):
            return corrupt(pixels, name, strength, positions)

        def told(done, total, what, step=step):
            if progress:
                progress(step * total + done, len(steps) * total, what)

        probabilities, _ = answers(model, images, told, change=change, what="evaluating corrupted images")
        found[name].append(float((probabilities.argmax(axis=1) == images.labels).mean()))
    return found


def _named(run, name, source):
    """Return `name`, with a number where other data has it, and what is known of the evaluation that is replaced."""
    count, what = 1, name
    while (before := _before(run, what)).get("data", source) != source:
        count += 1
        what = f"{name}-{count}"
    return what, before


def _before(run, what):
    """Return what an evaluation of that name wrote; nothing where there is none, or it is damaged."""
    try:
        found = run.read_json(table_files(run, what, "csv")["evaluation"])
    except RunError:
        return {}
    return found if isinstance(found, dict) else {}
