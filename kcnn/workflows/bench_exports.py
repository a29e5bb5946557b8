"""How fast are a run's exported files on this machine, beside the trained model?"""

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kcnn import backend
from kcnn.environment import machine
from kcnn.errors import RunError
from kcnn.formats.exported import CERTIFICATE, check_trained
from kcnn.registry import FORMATS
from kcnn.workflows._child import Child, ended_by_sigterm
from kcnn.workflows._speed_of_answers import BATCHES, speed

SECONDS = 0.3  # of calls of one size in one round
ROUNDS = 5
TRAINED = "trained"


@dataclass(frozen=True)
class Row:
    """One side of the comparison.

    Attributes:
        name: Of the folder of an export; "trained, " and a backend for the trained model.
        bytes: Of its files.
        accuracy: As certified, on the images of the certificate.
        speeds: As `_speed_of_answers.speed` gives them, one for each size of a batch.
    """

    name: str
    bytes: int
    accuracy: float
    speeds: list


@dataclass(frozen=True)
class ExportsBench:
    """What `bench_exports` found: the trained model first, then each export; and where."""

    run: str
    machine: dict
    rounds: int
    rows: list

    def document(self):
        """Return all of it as plain values."""
        return {**vars(self), "versions": backend.versions(), "rows": [vars(row) for row in self.rows]}


def bench_exports(run, *, reference=None, batches=BATCHES, rounds=ROUNDS, progress=None):
    """Time the trained model and each export of a run and return an `ExportsBench`.

    Each is in a process of its own; they take turns, so that a noisy neighbour hits all alike. On the processor.

    Args:
        run: A `Run`.
        reference: The backend of the trained model; default: that of the certificates.
        batches: Sizes of batches.
        rounds: How often each has its turn.
        progress: Called as `(done, total, what)`.

    Raises:
        RunError: The run has no exports.
        BackendError: The backend is not installed.
    """
    found = _exports(run)
    first = next(iter(found.values()))
    reference = backend.choose(reference or first["trained"]["by"], "on which the trained model answers").name
    with contextlib.ExitStack() as stack:
        stack.enter_context(ended_by_sigterm())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kcnn-bench-")))
        trained = stack.enter_context(Child("kcnn.workflows._converting", reference, folder))
        trained.ask(run=str(run.path.resolve()))
        children = {TRAINED: trained}
        for name, certificate in found.items():
            child = Child("kcnn.workflows._running", f"{name} file", folder, {"KERAS_BACKEND": ""})
            children[name] = stack.enter_context(child)
            child.ask(path=str((run.exports / name / FORMATS.get(certificate["format"]).FILE).resolve()))
        facts = {name: child.answer() for name, child in children.items()}
        shape = facts[TRAINED]["image_shape"]
        images = folder / "images.npy"
        np.save(images, np.random.default_rng(0).integers(0, 256, (max(batches), *shape)).astype("uint8"))
        times = _turns(children, images, batches, rounds, progress)
    accuracy, *_ = first["accuracy"]["trained"]
    rows = [Row(f"{TRAINED}, {reference}", first["trained"]["bytes"], accuracy, times[TRAINED])]
    for name, certificate in found.items():
        rows.append(Row(name, certificate["exported"]["bytes"], certificate["accuracy"]["exported"][0], times[name]))
    return ExportsBench(str(run.path), machine(), rounds, rows)


def _exports(run):
    """Return {name of the folder: its certificate} of a run."""
    paths = sorted(run.exports.glob(f"*/{CERTIFICATE}"))
    # A hidden folder is what an export left that was killed.
    found = {path.parent.name: run.read_json(path) for path in paths if not path.parent.name.startswith(".")}
    found = {name: each for name, each in found.items() if each["holds"]}
    for name in found:
        check_trained(run.exports / name, run.model)
    if not found:
        raise RunError(f"{run.path} has no exports. Make one with: {run.export_command} --format onnx")
    return found


def _turns(children, images, batches, rounds, progress):
    """Return {name: speeds} after each has had so many turns."""
    seconds = {name: {batch: [] for batch in batches} for name in children}
    done, total = 0, rounds * len(children)
    for number in range(rounds):
        for name, child in children.items():
            if progress:
                progress(done, total, f"round {number + 1} of {rounds}: {name}")
            done += 1
            for batch in batches:
                child.ask(time=str(images), batch=batch, seconds=SECONDS)
                seconds[name][batch] += child.answer()["seconds"]
    return {name: [speed(each, batch) for batch, each in found.items()] for name, found in seconds.items()}
