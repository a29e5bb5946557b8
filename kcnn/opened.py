"""Whatever answers what an image shows, behind one door: a run, a .keras file, an exported file."""


def is_exported(path):
    """Return whether what is at `path` answers in a runtime of its own, without Keras and its backends."""
    from kcnn.formats.exported import found

    return found(path) is not None


def open_model(path, *, calibrated=False):
    """Return what answers for the run or file at `path`.

    It has `class_names`, `image_shape`, `resize` and `probabilities(images)`, as `kcnn.classifier.Classifier` has.

    Args:
        path: Of a run, a .keras file, a file that `kcnn export` wrote, or the folder in which it put it.
        calibrated: Give probabilities at the run's temperature, which `kcnn evaluate` fits.

    Raises:
        RunError: There is nothing at `path` that answers.
        UsageError: It is an exported file, and what runs it is not installed.
    """
    if is_exported(path):
        from kcnn.formats.exported import Exported

        return Exported.open(path, calibrated=calibrated)

    from kcnn.classifier import Classifier

    return Classifier.open(path, calibrated=calibrated)
