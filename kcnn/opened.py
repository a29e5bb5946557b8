"""Whatever answers what an image shows, behind one door: a run, a .keras file."""


def open_model(path, *, calibrated=False):
    """Return what answers for the run or file at `path`.

    It has `class_names`, `image_shape`, `resize` and `probabilities(images)`, as `kcnn.classifier.Classifier` has.

    Args:
        path: Of a run or a .keras file.
        calibrated: Give probabilities at the run's temperature, which `kcnn evaluate` fits.

    Raises:
        RunError: There is nothing at `path` that answers.
    """
    from kcnn.classifier import Classifier

    return Classifier.open(path, calibrated=calibrated)
