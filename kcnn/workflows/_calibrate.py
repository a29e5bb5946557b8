"""The temperature of a run, fitted once and kept in its calibration.json."""

from kcnn import data
from kcnn.errors import DataError
from kcnn.metrics.calibration import (
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
    with_temperature,
)
from kcnn.workflows._answers import answers


def calibrate(run, recipe, classifier, progress=None):
    """Return the run's temperature, or None, and why there is none; fit it if that was not done before.

    A finished run does not change, so that the second `evaluate` need not ask the model about these images again.

    Raises:
        RunError: What was kept is damaged.
    """
    if run.calibration.is_file():
        return run.known_temperature()
    wanted = {"splits": ("validation",), "class_names": classifier.class_names}
    try:
        images = data.load(recipe.data, recipe.seed, **wanted, progress=progress).validation
    except DataError as error:  # they may be gone where the test images are not
        first = str(error).partition("\n")[0]
        return None, f"the validation images cannot be read. {first}"
    if images is None:
        return None, "the data has no validation images."
    probabilities, _ = answers(classifier, images, progress, what="calibrating")
    temperature = fit_temperature(probabilities, images.labels)
    found = {"temperature": temperature, "split": "validation", "count": len(images)}
    if temperature is None:
        found["reason"] = f"its {len(images):,} validation images show no best temperature."
    else:
        found["before"] = quality(probabilities, images.labels)
        found["after"] = quality(with_temperature(probabilities, temperature), images.labels)
    run.write_json(run.calibration, found)
    return run.known_temperature()


def quality(probabilities, labels):
    """Return log loss and expected calibration error, which a temperature changes."""
    rows = reliability(probabilities, labels)
    return {"loss": log_loss(probabilities, labels), "calibration_error": expected_calibration_error(rows)}
