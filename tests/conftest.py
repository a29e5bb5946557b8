"""One backend a test process: KERAS_BACKEND, or the first installed."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kcnn import backend

# What a test caches, in this process or in a child, does not stay.
CACHE = tempfile.TemporaryDirectory(prefix="kcnn-cache-")
os.environ["KCNN_CACHE"] = CACHE.name
os.environ["KCNN_CACHE_LIMIT"] = "0"  # tests of the cache turn it on

# Nor do the terminal of whoever runs the tests, a key for servers of his own, or his settings of Keras change what they
# see.
for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "KCNN_API_KEY"):
    os.environ.pop(name, None)
for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
    os.environ.pop(name, None)
os.environ["KERAS_HOME"] = str(Path(CACHE.name) / "keras")

CHOICE = backend.select()

# Folders and files whose tests say the same on each backend, so that they are marked `once`.
ONCE = (
    "anatomy",
    "cli/test_cli.py",
    "cli/test_describe.py",
    "cli/test_explain.py",
    "cli/test_predict.py",
    "data",
    "docs",
    "formats/test_exported.py",
    "formats/test_folded.py",
    "metrics",
    "models/test_applications.py",
    "models/test_article_networks.py",
    "models/test_facts.py",
    "models/test_parameter_counts.py",
    "models/test_residual_cnn.py",
    "models/test_resnet.py",
    "models/test_simple_cnn.py",
    "models/test_structure.py",
    "models/test_wide_resnet.py",
    "pretrained",
    "serving/test_answerer.py",
    "serving/test_app.py",
    "serving/test_batcher.py",
    "serving/test_page.py",
    "serving/test_refusals.py",
    "serving/test_region.py",
    "test_architecture.py",
    "test_recipe.py",
    "test_reference.py",
    "test_registry.py",
    "workflows/test_bench_exports.py",
    "workflows/test_card.py",
    "workflows/test_certificate.py",
    "workflows/test_compare.py",
    "workflows/test_curves.py",
    "workflows/test_describe.py",
    "workflows/test_diagram.py",
    "workflows/predict_to_file",
    "workflows/test_quantised_export.py",
    "workflows/test_report.py",
    "workflows/test_serve.py",
)

# A window that needs no screen, and that asks nobody for anything.
BROWSER = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)


def pytest_collection_modifyitems(items):
    """Mark what is in `ONCE`."""
    here = Path(__file__).parent
    places = [here / name for name in ONCE]
    assert all(place.exists() for place in places), "ONCE names what is not there"
    for item in items:
        if any(item.path.is_relative_to(place) for place in places):
            item.add_marker("once")


@pytest.fixture(scope="session")
def backend_name():
    return CHOICE.name


@pytest.fixture(scope="session")
def other_backends():
    return [name for name in backend.installed() if name != CHOICE.name]


@pytest.fixture
def kcnn(capsys, monkeypatch):
    """Run the command line in this process; return (exit code, stdout, stderr)."""
    from kcnn.cli import main

    def run(*arguments):
        arguments = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["kcnn", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        out, err = capsys.readouterr()
        return exit_info.value.code, out, err

    return run


@pytest.fixture(scope="session")
def child():
    """Run the command line in a process of its own, optionally on another backend."""

    def run(*arguments, backend_name=None, cwd=None, timeout=180, **environment):
        environ = {**os.environ, **environment}
        environ.pop("KERAS_BACKEND", None)
        if backend_name:
            environ["KERAS_BACKEND"] = backend_name
        return subprocess.run(
            [sys.executable, "-m", "kcnn", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=environ,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """A finished run of the recipe `smoke` on this backend. All tests share it, so what changes a run takes a copy."""
    from kcnn import recipe
    from kcnn.workflows.fit import fit

    run = fit(recipe.load("smoke"), out=tmp_path_factory.mktemp("runs"), name="smoke", command="kcnn fit smoke")
    files = _contents(run.path)
    yield run
    assert _contents(run.path) == files, "a test changed the run that all tests share"


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def measured(smoke_run, tmp_path_factory):
    """A copy of the smoke run, and what `evaluate` found about it, corruptions included."""
    from copied_runs import copy_of

    from kcnn.workflows.evaluate import evaluate

    run = copy_of(smoke_run, tmp_path_factory.mktemp("measured"))
    return run, evaluate(run, corruptions=True)


@pytest.fixture(scope="session")
def jpegs(tmp_path_factory):
    """A folder of coloured pictures in JPEG files of various sizes, a folder a class."""
    from made_runs import pictures

    return pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def jpeg_pixels(jpegs):
    """The pixels of 70 of them as a run decodes them, uint8 (70, 32, 32, 3)."""
    import numpy as np

    from kcnn.data.decode import decode_many

    files = sorted(map(str, jpegs.rglob("*.jpg")))[:70]
    found = np.zeros((len(files), 32, 32, 3), "uint8")
    assert not decode_many(files, (32, 32, 3), "crop", out=found)
    return found


@pytest.fixture(scope="session")
def short_timing():
    """Exports are timed for an instant: what they say of speed is not tested."""
    from kcnn.workflows import export

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "SECONDS", 0.01)
        yield


@pytest.fixture(scope="session")
def exported(jpegs, short_timing, tmp_path_factory):
    """A run of this backend with a temperature, and its certificates in all formats, from one call.

    All tests share it, so what changes a run takes a copy.
    """
    from exports import TEMPERATURE
    from made_runs import made_run

    from kcnn.registry import FORMATS
    from kcnn.workflows.export import export

    run = made_run(tmp_path_factory.mktemp("runs"), "simple_cnn", jpegs, "model.width=8", temperature=TEMPERATURE)
    certificates = {one.format: one for one in export(run, FORMATS.names())}
    files = _contents(run.path)
    yield run, certificates
    assert _contents(run.path) == files, "a test changed the run that all tests share"


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory):
    """Forty handwritten digits as PNG files, named by their label."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digits")
    digits = load_digits()
    for index in range(40):
        pixels = (digits.images[index] * 255 / 16).round().astype("uint8")
        Image.fromarray(pixels).save(folder / f"{digits.target[index]}_{index:03d}.png")
    return folder


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; where there is none the test is skipped."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in BROWSER:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield found
    found.quit()
