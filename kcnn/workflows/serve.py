"""Put a model behind HTTP."""

from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from kcnn import backend
from kcnn.errors import RunError
from kcnn.formats.exported import check_trained
from kcnn.opened import is_exported, open_model
from kcnn.run import Run, places
from kcnn.serving.answerer import Answerer
from kcnn.serving.app import create_app
from kcnn.serving.explainer import Explainer
from kcnn.serving.server import address_of, bind, run
from kcnn.serving.service import Served, Service

EXPORT, RUNTIME = "onnx", "onnxruntime"  # the folder of a run's exports that answers in its place, and what it takes


@dataclass(frozen=True)
class Sources:
    """Which files answer and explain.

    Attributes:
        name: What the model is called.
        answers: What predictions come from: an export, a run, or a .keras file.
        explains: What heatmaps come from: a run or a .keras file; None where there is only an export.
        stands_in: Whether an export answers where the user named its run.
    """

    name: str
    answers: Path
    explains: Path | None
    stands_in: bool = False

    @property
    def by_keras(self):
        """Whether predictions need Keras."""
        return self.answers == self.explains


def find_sources(path, *, export=True):
    """Return the `Sources` for a run, a .keras file, or an export.

    Args:
        path: What the user named.
        export: Whether a run's ONNX export answers in its place.
    """
    path = Path(path)
    if path.suffix == ".keras":
        return Sources(path.stem, path, path)
    try:
        found = Run.open(path).path
    except RunError:
        exported = next((one for one in places(path) if one.exists()), None)
        if exported is None or not is_exported(exported):
            raise
        return _export(exported)
    exported = found / "exports" / EXPORT
    usable = export and exported.is_dir() and PathFinder.find_spec(RUNTIME) is not None
    if usable:
        check_trained(exported, found / "model.keras")  # which explains, and is what the run means elsewhere
    return Sources(found.resolve().name, exported if usable else found, found, stands_in=usable)


def _export(path):
    """Return the `Sources` of an export: it explains by the run that it was made from, where it still lies in that."""
    whole = path.resolve()
    for folder in whole.parents:
        if folder.name == "exports" and (folder.parent / "model.keras").is_file():
            check_trained(folder / whole.relative_to(folder).parts[0], folder.parent / "model.keras")
            return Sources(f"{folder.parent.name}/{whole.relative_to(folder)}", path, folder.parent)
    return Sources(whole.stem, path, None)


def serve(
    path,
    *,
    host="127.0.0.1",
    port=8000,
    limits,
    most=32,
    window=0.002,
    calibrated=False,
    export=True,
    key=None,
    access_log=False,
    use_keras=lambda: None,
    listening=lambda address, document: None,
    ready=lambda: None,
):
    """Answer HTTP requests until a signal stops it; what was accepted by then is answered.

    Args:
        path: A run, a .keras file, or an export.
        host, port: Where to listen; port 0 is a free one.
        limits: A `kcnn.serving.limits.Limits`.
        most: Images in a batch.
        window: Seconds that the first of a batch waits for others.
        calibrated: Give probabilities at the run's temperature.
        export: Whether a run's ONNX export answers, where it has one.
        key: What clients have to send; None lets everyone in.
        access_log: Whether uvicorn logs each request.
        use_keras: Called before Keras is imported, to choose its backend.
        listening: Called with the address and a dictionary about the server once it accepts connections.
        ready: Called once the model is warm.

    Raises:
        UsageError: The address is taken, or there is no such model.
    """
    sources = find_sources(path, export=export)
    with bind(host, port) as bound:
        served = _open(sources, most=most, calibrated=calibrated, use_keras=use_keras)
        service = Service(served, limits, most=most, window=window)
        address = address_of(bound)
        document = {"address": address, "name": served.name, "runtime": served.runtime, "key": key is not None}
        run(
            create_app(service, key=key),
            service,
            bound,
            access_log=access_log,
            listening=lambda: listening(address, document),
            ready=ready,
        )


def _open(sources, *, most, calibrated, use_keras):
    if sources.by_keras:
        use_keras()
    if calibrated and sources.stands_in:  # at the run's temperature, which may have been fitted after the export
        opened = open_model(sources.answers).at(Run(sources.explains).temperature())
    else:
        opened = open_model(sources.answers, calibrated=calibrated)

    def classifier():
        if sources.by_keras:
            return opened
        use_keras()
        return open_model(sources.explains)

    explains = sources.explains is not None
    framework = backend.current() if sources.by_keras else None
    return Served(
        name=sources.name,
        runtime=f"Keras on {framework}" if framework else _runtime(sources.answers),
        opened=opened,
        answerer=Answerer(opened, most=most, padded=framework == "jax"),
        calibrated=calibrated,
        explainer=Explainer(classifier) if explains else None,
        no_explainer=None if explains else "Only an export is served, and heatmaps need the Keras model of its run.",
        shared=sources.by_keras,
    )


def _runtime(exported):
    name = exported.resolve().name  # that of "." is empty
    return "ONNX Runtime" if name == EXPORT or exported.suffix == f".{EXPORT}" else f"the export {name}"
