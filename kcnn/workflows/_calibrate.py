"""The temperature of a run, fitted once and kept in its calibration.json."""

from kcnn import data
from kcnn.classifier import temperature_of
from kcnn.errors import RunError
from kcnn.metrics.calibration import (
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
    with_temperature,
)
from kcnn.workflows._answers import answers


def calibrate(run, recipe, classifier, progress=None):
    """Fit the temperature to the run's validation images and keep it, unless it is there already.

    A finished run does not change, so that the second `evaluate` need not ask the model about these images again.
    """
    if run.calibration.is_file():
        return
    images = data.load(
        recipe.data, recipe.seed, splits=("validation",), class_names=classifier.class_names, progress=progress
    ).validation
    if images is None:
        run.write_json(run.calibration, {"temperature": None, "reason": "it has no validation images."})
        return
    probabilities, _ = answers(classifier, images, progress, what="calibrating")
    temperature = fit_temperature(probabilities, images.labels)
    found = {"temperature": temperature, "split": "validation", "count": len(images)}
    if temperature is None:
        found["reason"] = f"no temperature is best for its {len(images):,} validation images."
    else:
        found["before"] = quality(probabilities, images.labels)
        found["after"] = quality(with_temperature(probabilities, temperature), images.labels)
    run.write_json(run.calibration, found)


def known_temperature(run):
    """Return the temperature of a run, or None, and why there is none."""
    try:
        return temperature_of(run), None
    except RunError as error:
        return None, str(error)


def quality(probabilities, labels):
    """Return log loss and expected calibration error, which a temperature changes."""
    rows = reliability(probabilities, labels)
    return {"loss": log_loss(probabilities, labels), "calibration_error": expected_calibration_error(rows)}
