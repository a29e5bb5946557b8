"""Write a trained run as a file for another runtime, and certify that it answers alike."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from kcnn import __version__, backend
from kcnn import recipe as recipes
from kcnn.digest import files_of, sha256
from kcnn.environment import machine
from kcnn.errors import UsageError
from kcnn.files import alone, check_writable
from kcnn.formats.exported import CERTIFICATE, check_installed, install_command, missing, versions
from kcnn.formats.metadata import Metadata
from kcnn.registry import FORMATS, did_you_mean
from kcnn.workflows import _encoded
from kcnn.workflows._certified_images import certified_images
from kcnn.workflows._child import Child, ended_by_sigterm
from kcnn.workflows._speed_of_answers import BATCHES, speed
from kcnn.workflows.certificate import (
    BUDGET,
    TOLERANCE,
    Certificate,
    accuracies,
    complaints,
    counts,
    difference,
    export_name,
)
from kcnn.workflows.certificate_page import write_page

IMAGES = 1000  # that a file is measured on
CALIBRATION = 256  # training images that the scales of int8 are found on
SECONDS = 1.0  # of calls that are timed, about, for each size of a batch
QUANTIZATIONS = ("int8", "float16")


def export(
    run,
    formats,
    *,
    quantize=None,
    reference=None,
    data_path=None,
    images=IMAGES,
    budget=BUDGET,
    progress=None,
    each=lambda certificate: None,
):
    """Write a finished run in some formats and return a `Certificate` of each, in their order.

    A file lies in RUN/exports/FORMAT only where its certificate holds, with the certificate and a page about it. Of one
    that is refused only those two are kept, in RUN/exports/FORMAT-refused; what was exported earlier stays.

    Args:
        run: A `Run`.
        formats: Names in `FORMATS`.
        quantize: "int8" or "float16"; None is float32.
        reference: The backend that the trained model answers on; default: the one it was trained on.
        data_path: Where the run's images are now, if not where its recipe says.
        images: How many images of the validation split to measure on, at most; of the test split where there is none.
        budget: Points of accuracy that a quantised file may lose.
        progress: Called as `(done, total, what)`; the last says what is done just now.
        each: Called with each `Certificate` once its file has its place.

    Raises:
        UsageError: A format or backend is unknown or not installed, or does not go with `quantize`.
        RunError: The run's folder cannot be written to.
        DataError: There are no images to measure on.
        KcnnError: A format cannot hold this network.
    """
    formats = list(dict.fromkeys(formats))
    for name in formats:
        check(name, quantize)
    reference = _reference(run, reference)
    check_writable(run.exports)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        stack.enter_context(_alone(run.exports))
        stack.callback(_remove_if_empty, run.exports)  # while it is held
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kcnn-export-")))
        asked = _asked(quantize, budget, reference, data_path, images)
        work = _Work(run, reference, quantize, budget, asked, folder, stack, _counted(progress, 2 + 3 * len(formats)))
        work.load(data_path, images)
        certificates = []
        for name in formats:
            certificates.append(work.export(name))
            each(certificates[-1])
        return certificates


def check(name, quantize):
    """Raise `UsageError` where a format cannot be written, quantised like this, on this machine."""
    kind = FORMATS.get(name)
    if quantize is not None and quantize not in QUANTIZATIONS:
        hint = did_you_mean(quantize, QUANTIZATIONS) or f" Expected one of: {', '.join(QUANTIZATIONS)}."
        raise UsageError(f"Unknown quantisation {quantize!r}.{hint}")
    if quantize and quantize not in kind.QUANTIZATIONS:
        others = [other for other in FORMATS.names() if quantize in FORMATS.get(other).QUANTIZATIONS]
        raise UsageError(f"{quantize} is not offered for {name}. It is for: {', '.join(others)}.")
    backend.choose(kind.WRITTEN_ON, f"which writes {name}")
    lacking = missing((*kind.WRITING, *kind.QUANTIZATIONS.get(quantize, ())))
    if lacking:
        raise UsageError(
            f"Writing {export_name(name, quantize)} takes {' and '.join(lacking)}. "
            f"Install it with: {install_command(lacking)}"
        )
    check_installed(name)


def _remove_if_empty(folder):
    with contextlib.suppress(OSError):
        folder.rmdir()


def _reference(run, asked):
    if asked:
        return backend.choose(asked).name
    trained_on = run.known_environment().get("backend")
    return trained_on if trained_on in backend.installed() else backend.choose().name


def _asked(quantize, budget, reference, data_path, images):
    """Return the options of `kcnn export` that repeat a call, but for the format."""
    quantised = ["--quantize", quantize, "--budget", f"{budget:g}"] if quantize else []
    data = ["--data", str(data_path)] if data_path else []
    return [*quantised, *data, *(["--images", str(images)] if images != IMAGES else []), "--backend", reference]


def _counted(progress, total):
    done = 0

    def report(what):
        nonlocal done
        if progress is not None:
            progress(done, total, what)
        done += 1

    return report


class _Work:
    """One call of `export`: its processes, its images, and the trained model's answers to them."""

    def __init__(self, run, reference, quantize, budget, asked, folder, stack, report):
        self.run, self.reference, self.quantize, self.budget, self.asked = run, reference, quantize, budget, asked
        self.folder, self.stack, self.report = folder, stack, report
        self.children = {}

    # ------------------------------------------------------------ what all formats share

    def load(self, data_path, most):
        """Find the images, and what the trained model says about them."""
        self.report(f"{self.reference}: opening the trained model")
        self.facts = self._child(self.reference)[1]
        recipe = recipes.load(self.run.recipe)
        self.report("reading images")
        self.found = certified_images(
            recipe,
            self.facts["class_names"],
            path=data_path,
            most=most,
            calibration=CALIBRATION if self.quantize == "int8" else 0,
        )
        self.images = self._saved("images", self.found.images)
        self.calibration = None
        if self.found.calibration is not None:
            self.calibration = self._saved("calibration", self.found.calibration)
        self.trained = self._ask(self.reference, images=self.images)
        self.trained_speed = self._timed(self._child(self.reference)[0])

    def _child(self, name):
        """Return the process that has Keras on a backend, and what it said about the run."""
        if name not in self.children:
            child = self.stack.enter_context(Child("kcnn.workflows._converting", name, self.folder))
            child.ask(run=str(self.run.path.resolve()))
            self.children[name] = child, child.answer()
        return self.children[name]

    def _saved(self, name, images):
        path = self.folder / f"{name}.npy"
        np.save(path, images)
        return str(path)

    def _ask(self, name, **request):
        return _answers(self._child(name)[0], self.folder, **request)

    def _timed(self, child):
        found = []
        for batch in BATCHES:
            child.ask(time=self.images, batch=batch, seconds=SECONDS)
            found.append(speed(child.answer()["seconds"], batch))
        return found

    # ------------------------------------------------------------ one format

    def export(self, name):
        """Write, measure and, where it holds, keep one format; return its `Certificate`."""
        self.run.exports.mkdir(exist_ok=True)
        with _beside(self.run.exports, export_name(name, self.quantize)) as building:
            file = building / FORMATS.get(name).FILE
            self._write(name, file)
            certificate = self._certified(name, building, file)
            refused = self.run.exports / f"{certificate.name}-refused"
            if not certificate.holds:
                _emptied(building)
            self.run.write_json(building / CERTIFICATE, certificate.document())
            write_page(building, self.run, certificate)
            _take(building, self.run.exports / certificate.name if certificate.holds else refused)
            if certificate.holds:
                shutil.rmtree(refused, ignore_errors=True)
        return certificate

    def _write(self, name, file):
        kind = FORMATS.get(name)
        self.report(f"{name}: writing on {kind.WRITTEN_ON}")
        facts = {key: self.facts[key] for key in ("class_names", "image_shape", "resize", "temperature")}
        metadata = Metadata(
            **facts,
            quantize=self.quantize,
            run=self.run.path.resolve().name,
            model_sha256=sha256(self.run.model),
            version=__version__,
        )
        child, _ = self._child(kind.WRITTEN_ON)
        child.ask(
            write=name,
            path=str(file),
            metadata=metadata.as_json(),
            quantize=self.quantize,
            calibration=self.calibration,
        )
        child.answer()

    def _certified(self, name, building, file):
        self.report(f"{name}: comparing")
        with Child("kcnn.workflows._running", f"{name} file", self.folder, {"KERAS_BACKEND": ""}) as child:
            child.ask(path=str(file))
            child.answer()
            sizes = counts(len(self.found.images))
            exported = _answers(child, self.folder, images=self.images, counts=sizes)
            encoded = self._encoded(child) if hasattr(FORMATS.get(name), "decode") else None
            self.report(f"{name}: timing")
            times = self._timed(child)
        apart = difference(self.trained, exported, self.facts["temperature"])
        own = [exported[f"{output}_{max(sizes)}"][: len(self.found.images)] for output in ("probabilities", "logits")]
        accuracy = accuracies(self.trained["calibrated"], own, self.found.labels)
        files = files_of(building)
        return Certificate(
            run=str(self.run.path),
            format=name,
            quantize=self.quantize,
            complaints=complaints(apart, accuracy, encoded, quantize=self.quantize, budget=self.budget),
            rule={"budget": self.budget} if self.quantize else {"tolerance": TOLERANCE},
            images=self.found.facts(),
            temperature=self.facts["temperature"],
            difference=apart,
            accuracy=accuracy,
            encoded=encoded,
            trained=_side(self.reference, files_of(self.run.path, [self.run.model.name]), self.trained_speed),
            exported=_side(name, files, times),
            versions={**backend.versions(), **versions((*FORMATS.get(name).RUNTIME, *FORMATS.get(name).WRITING))},
            machine=machine(),
            made=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            asked=["--format", name, *self.asked],
        )

    def _encoded(self, child):
        """Return how close the file comes with encoded images."""
        shape, resize = self.facts["image_shape"], self.facts["resize"]
        samples = _encoded.samples(self.found, self.folder / "encoded")
        theirs = _answers(child, self.folder, encoded=[str(path) for path in samples])
        pixels = _encoded.decoded(samples, shape, resize)
        ours = self._ask(self.reference, images=self._saved("decoded", pixels))
        return _encoded.compare(samples, pixels, theirs, ours["calibrated"])


def _answers(child, folder, **request):
    """Return the arrays that a process answers with."""
    out = folder / f"{child.name}.npz"
    child.ask(out=str(out), **request)
    child.answer()
    with np.load(out) as found:
        return dict(found)


def _side(name, files, times):
    return {"by": name, "files": files, "bytes": sum(one["bytes"] for one in files.values()), "speed": times}


@contextlib.contextmanager
def _beside(parent, name):
    """Yield a folder that is removed in the end, unless it was taken elsewhere."""
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=f".{name}-"))
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)  # mkdtemp makes folders that only their owner may enter
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone(exports):
    """Hold the folder of exports for this process, and tidy up what one left that was killed.

    Raises:
        RunError: Another process is exporting the run.
    """
    exports.mkdir(exist_ok=True)
    with alone(exports, f"Another process is writing to {exports} right now.") as held:
        if held:
            _tidy(exports)
        yield


def _tidy(exports):
    for old in exports.glob(".*-old"):  # it was to be replaced by what never took its name
        target = exports / old.name[1:].rsplit("-", 2)[0]
        if not target.exists():
            old.rename(target)
    for left in exports.glob(".*-*"):
        shutil.rmtree(left, ignore_errors=True)


def _emptied(folder):
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _take(folder, target):
    """Give a folder its final name; what had it goes, but not before."""
    old = folder.with_name(f".{target.name}-{folder.name.rpartition('-')[2]}-old")  # which `_alone` may find
    try:
        if target.exists():
            target.rename(old)
        folder.rename(target)
    except BaseException:  # Ctrl-C too
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
