"""Images, and a function that writes what is predicted for them."""

import pytest

from kcnn.classifier import Classifier
from kcnn.data.named import named_images
from kcnn.workflows import _answers, _partial
from kcnn.workflows.predict_to_file import predict_to_file


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_answers, "BATCH", 4)
    monkeypatch.setattr(_partial, "SECONDS", 0)


@pytest.fixture(scope="module")
def model(smoke_run):
    return Classifier.open(smoke_run.path)


@pytest.fixture(scope="module")
def images(digit_files, tmp_path_factory):
    """Twenty-two images, of which two cannot be read."""
    folder = tmp_path_factory.mktemp("some")
    for index, file in enumerate(sorted(digit_files.iterdir())[:22]):
        (folder / file.name).write_bytes(b"bad" if index in (3, 13) else file.read_bytes())
    return folder


@pytest.fixture
def write(model, images, smoke_run, tmp_path):
    """Return a function that writes predictions for the images."""

    def call(path, *, paths=(images,), form=None, **options):
        about = {"form": form or path.suffix[1:], "source": smoke_run.path, "command": "again"}
        return predict_to_file(model, named_images(paths)[0], path, **about, **{"top": 3, **options})

    return call
