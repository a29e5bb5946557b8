"""One backend a test process: KERAS_BACKEND, or the first installed."""

import os
import subprocess
import sys
import tempfile

import pytest

from kcnn import backend

# What a test caches, in this process or in a child, does not stay.
CACHE = tempfile.TemporaryDirectory(prefix="kcnn-cache-")
os.environ["KCNN_CACHE"] = CACHE.name
os.environ["KCNN_CACHE_LIMIT"] = "0"  # tests of the cache turn it on

CHOICE = backend.select()


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
    """A finished run of the recipe `smoke` on this backend."""
    from kcnn import recipe
    from kcnn.workflows.fit import fit

    return fit(recipe.load("smoke"), out=tmp_path_factory.mktemp("runs"), name="smoke", command="kcnn fit smoke")


@pytest.fixture(scope="session")
def measured(smoke_run, tmp_path_factory):
    """A copy of the smoke run, and what `evaluate` found about it, corruptions included."""
    from copied_runs import copy_of

    from kcnn.workflows.evaluate import evaluate

    run = copy_of(smoke_run, tmp_path_factory.mktemp("measured"))
    return run, evaluate(run, corruptions=True)


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
