"""What JAX compiled is kept: quietly, within bounds, and without changing a bit."""

import os
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from kcnn import compiled


@pytest.fixture
def folder(monkeypatch, tmp_path):
    for name in compiled.DECIDED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KCNN_CACHE", str(tmp_path / "cache"))
    return Path(compiled.variables()["JAX_COMPILATION_CACHE_DIR"])


def entry(folder, name, content, when):
    path = folder / f"{name}-cache"
    path.write_bytes(content)
    os.utime(path, (when, when))
    return path


def test_it_lies_in_the_cache_folder_of_this_processor(folder, tmp_path):
    assert folder.parent == tmp_path / "cache" / "jax"
    assert folder.is_dir()


@pytest.mark.parametrize("name", compiled.DECIDED)
def test_what_the_user_decided_stands(folder, monkeypatch, name):
    monkeypatch.setenv(name, "false")
    assert compiled.variables() == {}


def test_a_folder_that_cannot_be_made_is_no_error(folder, monkeypatch):
    monkeypatch.setenv("KCNN_CACHE", "/proc/nowhere")
    assert compiled.variables() == {}


def test_a_folder_that_cannot_be_written_is_read(folder, monkeypatch):
    whole = entry(folder, "a", b"half", 0)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert float(compiled.variables()["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"]) > 1e6
    assert whole.exists()


def test_the_least_recently_used_go_first(folder, monkeypatch):
    content = zlib.compress(os.urandom(1000))
    paths = [entry(folder, name, content, when) for name, when in (("new", 3e9), ("oldest", 1e9), ("old", 2e9))]
    monkeypatch.setattr(compiled, "LIMIT", len(content) * 2)
    compiled.variables()
    assert [path.exists() for path in paths] == [True, False, True]


def test_what_was_half_written_goes(folder):
    content = zlib.compress(os.urandom(1000))
    paths = [entry(folder, str(size), content[:size], 4e9) for size in (0, 500, len(content))]
    compiled.variables()
    assert [path.exists() for path in paths] == [False, False, True]


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "jax", reason="only JAX has such a cache")
def test_a_second_process_takes_what_the_first_compiled_and_ends_with_the_same_bits(tmp_path):
    weights = {}
    for kind in ("cold", "warm", "damaged", "none"):
        environment = {key: value for key, value in os.environ.items() if key not in compiled.DECIDED}
        environment["KCNN_CACHE"] = str(tmp_path / "cache")
        if kind == "none":
            environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        entries = set(tmp_path.glob("cache/jax/*/*-cache"))
        assert bool(entries) == (kind != "cold")
        if kind == "damaged":
            for path in entries:
                path.write_bytes(path.read_bytes()[:100])
                os.utime(path, (0, 0))  # so old that tidying does not look into it, and JAX has to
        result = subprocess.run(
            [sys.executable, "-m", "kcnn", "fit", "smoke", "--backend", "jax", "--out", tmp_path, "--name", kind],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        assert all(line.startswith("Epoch ") for line in result.stderr.splitlines()), result.stderr
        if kind == "warm":
            assert set(tmp_path.glob("cache/jax/*/*-cache")) == entries
        with zipfile.ZipFile(tmp_path / kind / "model.keras") as file:
            weights[kind] = file.read("model.weights.h5")
    assert len(set(weights.values())) == 1
