"""Embedded and downloaded data; every registered dataset passes the same checks."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from kcnn.data import load
from kcnn.errors import DataError, UsageError
from kcnn.registry import DATASETS


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_dataset_resolves_and_has_a_summary(name):
    assert callable(DATASETS.get(name))
    assert DATASETS.summary(name)
    assert DATASETS.options(name) == {}


def test_unknown_dataset(make_config, tmp_path):
    for path in (None, tmp_path):
        with pytest.raises(UsageError, match="Did you mean 'digits'"):
            load(make_config(path, name="digit"), 0)


def test_digits(make_config):
    dataset = load(make_config(name="digits", validation=0.1), 0, splits=("train", "validation", "test"))
    assert dataset.class_names == list("0123456789")
    assert dataset.image_shape == (8, 8, 1)
    splits = (dataset.train, dataset.validation, dataset.test)
    assert sum(len(split) for split in splits) == 1797
    assert 300 < len(dataset.test) < 420
    names = [name for split in splits for name in split.names]
    assert len(set(names)) == 1797
    values = np.unique(dataset.train.images)
    np.testing.assert_array_equal(values, np.round(np.arange(17) * 255 / 16))


def test_test_images_never_depend_on_the_seed(make_config):
    one, two = (
        load(make_config(name="digits", validation=0.1), seed, splits=("validation", "test")) for seed in (0, 1)
    )
    assert one.test.names == two.test.names
    assert one.validation.names != two.validation.names


def test_digits_in_another_shape(make_config):
    dataset = load(make_config(name="digits", image_size=(16, 12), channels=3, limit=50), 0)
    assert dataset.train.images.shape == (50, 16, 12, 3)
    assert len(dataset.mean) == 3


@pytest.fixture
def fake_keras(monkeypatch):
    datasets = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(datasets=datasets))
    return datasets


# In the order of the published labels.
NAMES = {
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    "cifar100": ["apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle"],
    "mnist": list("0123456789"),
    "fashion_mnist": [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_downloads(make_config, fake_keras, capsys, name):
    shape = (32, 32, 3) if "cifar" in name else (28, 28)
    classes = 100 if name == "cifar100" else 10

    def load_data():
        print("Downloading data")
        found = []
        for count, level in ((300, 0), (200, 100)):  # the training images are the darker ones
            images = np.random.default_rng(count).integers(level, level + 100, (count, *shape), dtype="uint8")
            labels = np.arange(count) % classes
            found.append((images, labels[:, None] if "cifar" in name else labels))
        return tuple(found)

    setattr(fake_keras, name, SimpleNamespace(load_data=load_data))
    dataset = load(make_config(name=name), 0, splits=("train", "test"))
    assert dataset.image_shape == (*shape[:2], 3 if len(shape) == 3 else 1)
    assert len(dataset.class_names) == len(set(dataset.class_names)) == classes
    assert dataset.class_names[:10] == NAMES[name]
    np.testing.assert_array_equal(dataset.test.labels, np.arange(200) % classes)
    assert (len(dataset.train), len(dataset.test)) == (300, 200)
    assert dataset.train.images.max() < 100 <= dataset.test.images.min()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [Exception("URL fetch failure on https://x: None"), OSError("no route")])
def test_a_failed_download_names_the_way_out(make_config, fake_keras, error):
    def load_data():
        raise error

    fake_keras.cifar10 = SimpleNamespace(load_data=load_data)
    with pytest.raises(DataError, match=r"Cannot download 'cifar10'.*--data PATH"):
        load(make_config(name="cifar10"), 0)


def test_a_path_replaces_the_download(make_config, tmp_path, write_classes):
    assert load(make_config(write_classes(tmp_path), name="cifar10"), 0).class_names == ["cat", "dog"]


def test_importing_and_loading_brings_no_framework(tmp_path, write_classes):
    code = f"""
import sys
import kcnn.data
assert "numpy" not in sys.modules and "PIL" not in sys.modules
from types import SimpleNamespace
import kcnn.data.batches, kcnn.data.find
config = SimpleNamespace(name="folder", path={str(write_classes(tmp_path))!r}, validation=0.2, test=0.0, limit=None,
    image_size=None, channels=None, resize="crop", mean=None, std=None, on_bad_image="fail", memory_limit=1.0)
kcnn.data.load(config, 0)
bad = {{"keras", "tensorflow", "torch", "jax", "grain", "sklearn"}} & set(sys.modules)
assert not bad, bad
"""
    subprocess.run([sys.executable, "-c", code], check=True)
