"""Real images, written where a test wants them."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

DEFAULTS = {
    "name": "folder",
    "path": None,
    "validation": 0.0,
    "test": 0.0,
    "limit": None,
    "image_size": None,
    "channels": None,
    "resize": "crop",
    "mean": None,
    "std": None,
    "on_bad_image": "fail",
    "memory_limit": 4.0,
}


@pytest.fixture(scope="session")
def make_config():
    """Return a function that builds what a recipe's [data] would be."""

    def make(path=None, **options):
        assert set(options) <= set(DEFAULTS)
        return SimpleNamespace(**DEFAULTS | {"path": None if path is None else str(path)} | options)

    return make


@pytest.fixture(scope="session")
def make_pixels():
    """Return a function that makes different pixels for each name."""

    def make(name, size=(8, 8), channels=3):
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")
        shape = (*size, channels) if channels > 1 else size
        return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")

    return make


@pytest.fixture(scope="session")
def write_image(make_pixels):
    """Return a function that writes an image with pixels made from its name."""

    def write(root, name, size=(8, 8), channels=3):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_pixels(name, size, channels)).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def write_classes(write_image):
    """Return a function that writes `count` PNG files of 8x8 for each class."""

    def write(root, classes=("cat", "dog"), count=10, prefix="", **options):
        for name in classes:
            for index in range(count):
                write_image(root, f"{prefix}{name}/{index:03d}.png", **options)
        return root

    return write


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """Turn the cache on; return its folder."""
    monkeypatch.setenv("KCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KCNN_CACHE_LIMIT", "1")
    return tmp_path / "cache" / "datasets"
