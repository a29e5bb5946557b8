"""What a file of weights gives to a network: by the names of layers, where the shapes are the same."""

import hashlib
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from resumable import loaded

from kcnn import pretrained, recipe
from kcnn.errors import RecipeError, RunError, WeightsError
from kcnn.initial import initialize
from kcnn.pretrained.saved import Saved
from kcnn.registry import MODELS

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)


def network(classes=3, *, size=32, seed=0, mean=MEAN, std=STD, name="resnet20"):
    found = MODELS.get(name)((size, size, len(mean)), classes, mean=mean, std=std)
    initialize(found, seed)
    return found


def arrays(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model = network()
    for layer in model.layers:
        for weight in layer.weights:  # so that no array is that of another layer, or constant
            weight.assign(weight + np.float32(0.01) * np.arange(weight.shape[-1], dtype="float32"))
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    return folder, arrays(model)


@pytest.mark.parametrize("file", ["model.keras", "model.weights.h5"])
def test_all_but_a_head_of_other_classes_is_loaded(saved, file):
    folder, theirs = saved
    model = network(5, size=48, seed=1)  # the size of the images is no matter to convolutions
    before = arrays(model)
    loaded = Saved(folder / file).load_into(model, list("abcde"))
    for path, array in arrays(model).items():
        np.testing.assert_array_equal(array, before[path] if path.startswith("logits") else theirs[path])
    count = len(before)
    assert str(loaded) == (
        f"{count - 2} of {count} weights loaded from {folder / file}. Not loaded: logits (3 classes there, 5 here)."
    )


def test_logits_are_loaded_where_they_stand_for_the_same_classes(saved, tmp_path):
    folder, theirs = saved
    (tmp_path / "model.keras").write_bytes((folder / "model.keras").read_bytes())
    (tmp_path / "labels.json").write_text(json.dumps(["cat", "dog", "fox"]))
    model = network(seed=1)
    assert Saved(tmp_path / "model.keras").load_into(model, ["cat", "dog", "owl"]).left == {
        "logits": "the classes are others"
    }
    assert not Saved(tmp_path / "model.keras").load_into(model, ["cat", "dog", "fox"]).left
    np.testing.assert_array_equal(arrays(model)["logits/kernel"], theirs["logits/kernel"])


def test_a_file_knows_its_pixels_and_its_hash(saved):
    folder, _ = saved
    weights = Saved(folder / "model.keras")
    assert (weights.mean, weights.std) == (MEAN, STD)
    assert weights.digest == hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    assert Saved(folder / "model.weights.h5").mean is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), (3, MEAN, STD)),
        (("data.mean=[0.5,0.5,0.5]", "data.std=[1.0,1.0,1.0]"), (3, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))),
    ],
)
def test_pixels_are_what_the_network_knows_unless_the_recipe_says_otherwise(saved, settings, expected):
    settled = Saved(saved[0] / "model.keras").settle(recipe.load("smoke", settings))
    assert (settled.data.channels, settled.data.mean, settled.data.std) == expected


def test_grey_images_are_refused_where_the_network_takes_colours(saved):
    with pytest.raises(RecipeError, match=r"data.channels: the network of .* takes 3. Received: 1"):
        Saved(saved[0] / "model.keras").settle(recipe.load("smoke", ("data.channels=1",)))


def test_what_fits_of_another_network_is_named(saved):
    loaded = Saved(saved[0] / "model.keras").load_into(network(name="resnet32"), list("abc"))
    assert loaded.count == len(saved[1])
    assert "and 18 more (not there)." in str(loaded)


def test_it_is_an_error_where_nothing_fits(saved):
    with pytest.raises(RecipeError, match=r"nothing fits simple_cnn\. 0 of 34 .*Without a place in the network: \w+, "):
        Saved(saved[0] / "model.keras").load_into(network(name="simple_cnn"), list("abc"))


def test_namesakes_of_other_shapes_are_left(saved):
    model = network(name="residual_cnn")
    before = arrays(model)
    with pytest.raises(RecipeError, match=r"the shapes differ: \(3, 3, 16, 16\) there, \(3, 3, 32, 32\) here"):
        Saved(saved[0] / "model.keras").load_into(model, list("abc"))
    for path, array in arrays(model).items():
        np.testing.assert_array_equal(array, before[path])


def test_files_that_are_none_are_told(tmp_path, saved):
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"Cannot read weights from .*bad.keras"):
        Saved(bad)
    bad = tmp_path / "bad.weights.h5"
    bad.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="holds no weights as Keras 3 saves them"):
        Saved(bad).load_into(network(), list("abc"))
    for name in ("missing.keras", "missing.weights.h5"):
        with pytest.raises(RunError, match="there is no file"):
            pretrained.find(loaded(f"model.weights={tmp_path / name}"))
    with pytest.raises(RunError, match="Did you mean 'imagenet'"):
        pretrained.find(loaded("model.weights=imagnet"))
    with pytest.raises(RunError, match="is not a run"):
        pretrained.find(loaded(f"model.weights={tmp_path / 'run'}"))


def test_numbers_of_another_file_are_not_read(tmp_path, saved):
    """An HDF5 file can point to any file of the machine."""
    path = tmp_path / "sly.weights.h5"
    (tmp_path / "secret").write_bytes(bytes(4 * 3 * 3 * 3 * 16))
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.attrs["name"] = "stem_conv"
        group.create_dataset("0", (3, 3, 3, 16), "f4", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)])
        group = file.create_group("layers/conv2d_1/vars")
        group.attrs["name"] = "stage1_block1_conv1"
        group["0"] = h5py.ExternalLink(str(saved[0] / "model.weights.h5"), "layers/conv2d_1/vars/0")
    with pytest.raises(RecipeError, match=r"0 of \d+ weights"):
        Saved(path).load_into(network(), list("abc"))


@pytest.mark.parametrize("config", ["[]", "3", '{"config": {"layers": 1}}', '{"config": {"layers": ["x"]}}'])
def test_a_config_of_another_form_is_one_line(config, saved, tmp_path):
    with zipfile.ZipFile(saved[0] / "model.keras") as file:
        numbers = file.read("model.weights.h5")
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("config.json", config)
        file.writestr("model.weights.h5", numbers)
    with pytest.raises(WeightsError, match=r"Cannot read weights from .*model.keras"):
        Saved(tmp_path / "model.keras")


def test_damaged_bytes_are_one_line(saved, tmp_path):
    """Some damage goes unnoticed, as HDF5 has no sums to check; what is noticed must be told."""
    content = (saved[0] / "model.weights.h5").read_bytes()
    path, model, random = tmp_path / "model.weights.h5", network(), np.random.default_rng(0)
    told = 0
    for _ in range(60):
        damaged = np.frombuffer(content, "uint8").copy()
        damaged[random.integers(0, 20_000, 3)] = random.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            Saved(path).load_into(model, list("abc"))
        except (WeightsError, RecipeError):
            told += 1
    assert told
