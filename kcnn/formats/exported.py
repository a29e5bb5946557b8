"""Finding an exported file, and asking it as one asks a classifier."""

import contextlib
import importlib.metadata
import json
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np

from kcnn.digest import sha256
from kcnn.errors import KcnnError, RunError, UsageError
from kcnn.metrics.calibration import softmax
from kcnn.registry import FORMATS
from kcnn.run import places

CERTIFICATE = "certificate.json"


class Exported:
    """An exported file with the manners of a `Classifier`.

    Args:
        model: An instance of a format.
        temperature: What the logits are divided by; 1 gives the probabilities of the trained model.
    """

    def __init__(self, model, *, temperature=1.0):
        self.model = model
        self.metadata = model.metadata
        self.temperature = temperature

    @classmethod
    def open(cls, path, *, calibrated=False):
        """Open the export at `path`, whose format is found by its name.

        Raises:
            RunError: There is none, or it cannot be read, or it is not what its certificate is about, or it has no
                temperature where one is asked for.
            UsageError: What runs such files is not installed.
        """
        name, file = found(path) or (None, None)
        if name is None:
            raise RunError(f"{path} is not a file that `kcnn export` wrote.")
        check_installed(name)
        _check_certificate(file)
        try:
            model = FORMATS.get(name)(file)
            _check_answer(model)
        except KcnnError:
            raise
        except Exception as error:  # each runtime has its own
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise RunError(f"{file} cannot be read as {name}: {reason}") from error
        if calibrated and model.metadata.temperature == 1:
            raise RunError(
                f"{path} has no temperature: its run had none when it was exported. "
                "`kcnn evaluate RUN` fits one; then export again."
            )
        return cls(model, temperature=model.metadata.temperature if calibrated else 1.0)

    def at(self, temperature):
        """Return what gives probabilities at another temperature."""
        return Exported(self.model, temperature=temperature)

    @property
    def class_names(self):
        return self.metadata.class_names

    @property
    def image_shape(self):
        return self.metadata.image_shape

    @property
    def resize(self):
        return self.metadata.resize

    def probabilities(self, images):
        """Return float32 (B, K) for uint8 images (B, H, W, C)."""
        logits, probabilities = self.model.answer(np.ascontiguousarray(images))
        if self.temperature == self.metadata.temperature:
            return probabilities  # that the graph computes
        return softmax(logits, self.temperature)


def found(path):
    """Return the name of the format, and the path of the file, that `path` means; None where it is no export.

    It may be the file itself, or the folder in which `kcnn export` put it, there or below ./saved_models.

    Raises:
        RunError: It has the name of an export, and there is none.
    """
    # A SavedModel is a folder, and has none.
    suffixes = {name: suffix for name in FORMATS.names() if (suffix := FORMATS.get(name).SUFFIX)}
    for candidate in places(path):
        if candidate.is_dir():
            return _in_folder(candidate)
        for name, suffix in suffixes.items():
            if candidate.is_file() and candidate.suffix == suffix:
                return name, candidate
    if Path(path).suffix in suffixes.values():
        raise RunError(f"There is no file {path}.")
    return None


def _in_folder(folder):
    if (folder / "saved_model.pb").is_file():
        return "savedmodel", folder
    if not (folder / CERTIFICATE).is_file():
        return None
    for name in FORMATS.names():
        if (folder / FORMATS.get(name).FILE).exists():
            return name, folder / FORMATS.get(name).FILE
    certificate = folder / CERTIFICATE
    if _read(certificate).get("holds"):
        raise RunError(f"{folder} lacks the file that {certificate} is about. Export again.")
    raise RunError(f"{folder} holds no file to answer with: it was refused. {certificate} says why.")


def _check_certificate(file):
    """Raise `RunError` where the certificate beside a file is about other bytes; a file may lie without one."""
    file = file.absolute()  # that of "." has a parent and a name
    path = file.parent / CERTIFICATE
    certified = _certified(path, "exported")
    if not any(name == file.name or name.startswith(f"{file.name}/") for name in certified):
        return  # a file of another name is another file
    for name, digest in certified.items():
        if not (file.parent / name).is_file():
            raise RunError(f"{file.parent} lacks {name}, which {path} is about. Export again.")
        if sha256(file.parent / name) != digest:
            raise RunError(f"{file.parent / name} was changed: {path} is about other bytes. Export again.")


def _check_answer(model):
    """Raise `ValueError` where a file does not answer an image as its own metadata says."""
    found = [each.shape for each in model.answer(np.zeros((1, *model.metadata.image_shape), "uint8"))]
    expected = (1, len(model.metadata.class_names))
    if found != [expected, expected]:
        raise ValueError(f"its metadata promises answers of shape {expected}, and they have {found[0]}")


def check_trained(folder, model):
    """Raise `RunError` where the certificate in an export's folder is about another model.keras than `model`."""
    certified = _certified(folder / CERTIFICATE, "trained")
    if model.name in certified and sha256(model) != certified[model.name]:
        raise RunError(f"{folder} was made of another {model.name} than {model}. Export again.")


def _certified(path, side):
    """Return {name: SHA-256} of the files of one side that a certificate is about; none where there is none."""
    found = _read(path).get(side, {"files": {}})
    try:
        return {name: facts["sha256"] for name, facts in found["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read as a certificate.") from error


def _read(path):
    """Return what a certificate says; nothing where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as a certificate.") from error
    if not isinstance(found, dict):
        raise RunError(f"{path} cannot be read as a certificate.")
    return found


def missing(modules):
    """Return those of the modules that are not installed, importing none."""
    return [name for name in modules if PathFinder.find_spec(name) is None]


def versions(modules):
    """Return the version of what each module was installed as."""
    found = {}
    for name in modules:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a build of another name, such as a GPU's
            found[name] = importlib.metadata.version(_distribution(name))
    return found


def install_command(modules):
    """Return the command that installs them."""
    return f"pip install {' '.join(map(_distribution, modules))}"


def check_installed(name):
    """Raise `UsageError` where what runs files of a format is not installed."""
    if lacking := missing(FORMATS.get(name).RUNTIME):
        raise UsageError(f"Running {name} takes {' and '.join(lacking)}. Install it with: {install_command(lacking)}")


def _distribution(module):
    return module.replace("_", "-")
