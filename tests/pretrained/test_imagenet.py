"""Published weights: in the files that keras.applications looks for they give the logits of keras.applications."""

import importlib
import re

import h5py
import keras
import numpy as np
import pytest
from families import outline, unsettled
from keras.src.legacy.saving import legacy_h5_format

from kcnn import facts, pretrained, recipe
from kcnn.errors import RecipeError, WeightsError
from kcnn.initial import undrawn
from kcnn.pretrained.imagenet import Published
from kcnn.registry import MODELS

# One of each scaling; those of the sizes that are quick to write.
NAMES = (
    "resnet50",
    "efficientnet_b0",
    "resnet50_v2",
    "vgg16",
    "efficientnet_v2_b0",
    "efficientnet_v2_s",
    "convnext_tiny",
)
QUICK = NAMES[:2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of Keras of one's own, and no internet."""

    def refused(*arguments, **options):
        raise OSError("no internet in a test")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.backend.config.keras_home", lambda: str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refused)
    (tmp_path / "models").mkdir()
    return tmp_path


def published(name, home, monkeypatch, top):
    """Write weights where keras.applications finds them and return its model with them, from pixels to logits."""
    known = facts.find(name).imagenet
    function = getattr(keras.applications, known.application)
    options = {"classifier_activation": None} if top else {}
    with undrawn():
        model = function(weights=None, include_top=top, **options)
    rng = np.random.default_rng(0)
    # EfficientNet's file holds the deviation where its layer expects the square, for which Keras makes up.
    scaling = {"mean": known.mean, "variance": known.std, "count": 0}
    for weight in model.weights:
        if weight.name in scaling:
            weight.assign(np.reshape(scaling[weight.name], weight.shape))
        elif len(weight.shape) > 1:
            inputs = np.prod(weight.shape[:2] if "dw" in weight.path else weight.shape[:-1])
            weight.assign(rng.normal(0, np.sqrt(2 / inputs), weight.shape))
        else:
            weight.assign(unsettled(weight, rng))
    files = []

    def get_file(fname, origin=None, **options):
        files.append(home / "models" / fname)
        if not files[-1].exists():
            with h5py.File(files[-1], "w") as file:
                legacy_h5_format.save_weights_to_hdf5_group(file, model)
        return str(files[-1])

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with undrawn():
        return function(weights="imagenet", include_top=top, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_they_give_the_logits_of_keras_applications(name, home, monkeypatch):
    known = facts.find(name)
    theirs = published(name, home, monkeypatch, top=True)
    shape = theirs.input_shape[1:]
    with undrawn():
        ours = MODELS.get(name)(shape, 1000, mean=known.imagenet.mean, std=known.imagenet.std)
    loaded = Published(name).load_into(ours, [str(index) for index in range(1000)])
    assert loaded.count == loaded.total
    images = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype("float32")
    module = importlib.import_module(getattr(keras.applications, known.imagenet.application).__module__)
    prepare = getattr(module, "preprocess_input", lambda x: x)
    expected, received = theirs.predict_on_batch(prepare(images.copy())), ours.predict_on_batch(images)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(received / scale, expected / scale, atol=2e-5)
    assert np.ptp(expected[0] - expected[1]) > 1e-4 * scale, "the images make no difference"


def test_other_classes_get_a_new_head_and_the_file_without_one(home, monkeypatch):
    theirs = published("resnet50", home, monkeypatch, top=False)
    known = facts.find("resnet50").imagenet
    with undrawn():
        ours = MODELS.get("resnet50")((64, 64, 3), 5, mean=known.mean, std=known.std, stem="large")
    loaded = Published("resnet50").load_into(ours, list("abcde"))
    assert loaded.left == {"logits": "not there"}
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    features = keras.Model(ours.input, ours.get_layer("features").output).predict_on_batch(images)
    expected = theirs.predict_on_batch(keras.applications.resnet.preprocess_input(images.copy()))
    np.testing.assert_allclose(features / expected.max(), expected / expected.max(), atol=2e-5)
    assert np.ptp(expected[0] - expected[1]) > 1e-4 * expected.max()


def test_without_internet_one_line_says_what_to_do(home):
    with undrawn():
        ours = MODELS.get("resnet50")((224, 224, 3), 5)
    message = (
        "Cannot get the ImageNet weights of keras.applications.ResNet50: no internet in a test. Where there is no "
        f"internet, put the file of that address into {home / 'models'}, or give model.weights a run or a .keras file."
    )
    with pytest.raises(WeightsError, match=f"^{re.escape(message)}$"):
        Published("resnet50").load_into(ours, list("abcde"))


def test_the_same_is_told_on_the_command_line_and_no_run_is_left(home, kcnn, tmp_path):
    changes = ("model.name=resnet50", "model.weights=imagenet", "data.image_size=32", "data.limit=20")
    settings = [word for change in changes for word in ("--set", change)]
    code, _, err = kcnn("fit", "smoke", *settings, "--out", tmp_path / "runs", "--name", "run")
    assert code == 1
    assert err.splitlines()[-1].startswith("Error: Cannot get the ImageNet weights of keras.applications.ResNet50")
    assert not (tmp_path / "runs" / "run").exists()


def test_networks_without_published_weights_are_told_which_have_them():
    with pytest.raises(RecipeError, match=r"no published ImageNet weights of simple_cnn. There are of: resnet50, "):
        recipe.load("smoke", ("model.weights=imagenet",))


@pytest.mark.parametrize("name", facts.pretrained())
def test_they_are_of_networks_that_keras_has(name):
    known = facts.find(name).imagenet
    assert callable(getattr(keras.applications, known.application))
    assert name in MODELS.names()
    settled = Published(name).settle(recipe.load("smoke"))
    assert (settled.data.channels, settled.data.mean, settled.data.std) == (3, known.mean, known.std)


def test_options_that_change_the_layers_are_refused(home, monkeypatch):
    published("vgg16", home, monkeypatch, top=False)
    with pytest.raises(RecipeError, match="are for vgg16 with its default options"):
        Published("vgg16").load_into(outline("vgg16", batch_norm=True), list("ab"))


def test_finding_takes_no_file():
    found = pretrained.find(recipe.load("smoke", ("model.name=resnet50", "model.weights=imagenet")))
    assert isinstance(found, Published)
    assert found.digest is None
