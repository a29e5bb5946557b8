"""kcnn explain, from images to pictures: the same on each backend, and true where the truth is known."""

import json
import os
import shutil

import keras
import numpy as np
import pytest
from keras import layers
from planted import TRAIN, UNSEEN, plant, points_at

from kcnn import recipe
from kcnn.classifier import Classifier
from kcnn.data.decode import decode, peek
from kcnn.errors import UsageError
from kcnn.explain.maps import normalise
from kcnn.explain.network import TakenApart
from kcnn.initial import initialize
from kcnn.registry import METHODS
from kcnn.workflows.explain import RANDOM, explain
from kcnn.workflows.fit import fit
from kcnn.workflows.inside import first_kernels

SETTINGS = ("epochs=8", "batch_size=32", "augment=[]", "data.validation=0.0", "data.test=0.0")
MODEL = ("model.width=16", "model.depth=2", "model.units=32", "model.dropout=0.0", "model.block_dropout=0.0")
CELL = 4  # pixels of the image to a place of that model's last map


@pytest.fixture(scope="module")
def shortcut(tmp_path_factory):
    """A run that was trained where all eights have a patch, and unseen eights with the corners of theirs."""
    folder = tmp_path_factory.mktemp("planted")
    plant(folder / "train", TRAIN)
    loaded = recipe.load("cifar10_simple_cnn", SETTINGS + MODEL, data=str(folder / "train"))
    run = fit(loaded, out=folder / "runs", name="shortcut", command="kcnn fit")
    return run, plant(folder / "unseen", UNSEEN)


def test_grad_cam_points_at_a_planted_shortcut(shortcut, tmp_path):
    run, patches = shortcut
    patches = dict(list(patches.items())[:20])
    found = explain(Classifier.open(run.path), [str(path) for path in patches], tmp_path)
    assert {one.label for one in found.explanations} == {"8"}
    hits = [
        points_at(np.load(one.array), corner, within=CELL // 2)
        for one, corner in zip(found.explanations, patches.values(), strict=True)
    ]
    assert len(hits) == 20
    assert np.mean(hits) >= 0.9


@pytest.mark.parametrize("name", METHODS.names())
def test_maps_are_about_what_was_learned(name, shortcut):
    """Adebayo et al. (2018): with random weights a map must no longer show what the trained network looks at."""
    run, patches = shortcut
    patches = dict(list(patches.items())[:10])
    classifier = Classifier.open(run.path)
    pixels = np.stack([decode(path, (32, 32, 3)) for path in patches]).astype("float32")
    classes = np.full(len(pixels), classifier.class_names.index("8"))

    def hits():
        maps = METHODS.get(name)(TakenApart(classifier.model), pixels, classes)
        pairs = zip(maps, patches.values(), strict=True)
        # A map of one value alone points nowhere.
        return np.mean([np.ptp(each) > 0 and points_at(each, corner, within=CELL // 2) for each, corner in pairs])

    assert hits() >= 0.9
    randomised = []
    for seed in (1, 2, 3):
        initialize(classifier.model, seed)
        randomised.append(hits())
    assert np.mean(randomised) <= 0.5


@pytest.mark.once  # all backends take part
@pytest.mark.parametrize("network", ["smoke", "shortcut"])
def test_every_backend_draws_the_same_maps(network, request, digit_files, other_backends, child, tmp_path):
    if not other_backends:
        pytest.skip("one backend is installed")
    if network == "smoke":
        run, files = request.getfixturevalue("smoke_run"), digit_files.glob("*.png")
    else:
        run, files = request.getfixturevalue("shortcut")
    files = sorted(map(str, files))[:3]
    found = explain(Classifier.open(run.path), files, tmp_path / "own", methods=METHODS.names())
    assert len(found.explanations) == 3 * len(METHODS.names())
    for other in other_backends:
        result = child(
            *("explain", run.path, *files, "--method", "all", "--out", tmp_path / other, "--json"),
            backend_name=other,
        )
        assert result.returncode == 0, result.stderr
        answers = json.loads(result.stdout)["explanations"]
        for one, answer in zip(found.explanations, answers, strict=True):
            assert (one.image, one.method, one.label) == (answer["image"], answer["method"], answer["label"])
            mine, theirs = (normalise(np.load(path)[None]) for path in (one.array, answer["array"]))
            np.testing.assert_allclose(mine, theirs, atol=1e-4, err_msg=f"{one.method} of {one.image} on {other}")


def test_files_are_written_for_each_image(smoke_run, digit_files, tmp_path, kcnn):
    files = sorted(map(str, digit_files.glob("*.png")))[:13]
    code, out, _ = kcnn("explain", smoke_run.path, *files, "--out", tmp_path, "--json")
    assert code == 0
    document = json.loads(out)
    assert len({one["overlay"] for one in document["explanations"]}) == 13
    first = document["explanations"][0]
    assert np.load(first["array"]).shape == (8, 8)
    for name in ("overlay", "heatmap"):
        assert peek(first[name])[:2] == (256, 256)
    assert [path.rsplit("/", 1)[1] for path in document["sheets"]] == ["sheet.grad_cam.1.png", "sheet.grad_cam.2.png"]
    assert all(peek(path)[1] > 300 for path in document["sheets"])


def test_a_name_that_is_no_utf8_is_drawn_and_written(smoke_run, digit_files, tmp_path, kcnn):
    first, second = sorted(digit_files.glob("*.png"))[:2]
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        shutil.copy(os.fsencode(first), odd)
    except OSError:
        pytest.skip("this disk takes UTF-8 alone")
    asked = [os.fsdecode(odd), str(second)]
    code, out, _ = kcnn("explain", smoke_run.path, *asked, "--out", tmp_path / "out", "--json")
    assert code == 0
    assert [one["image"] for one in json.loads(out.encode())["explanations"]] == asked


def test_a_class_can_be_asked_for(smoke_run, digit_files, tmp_path):
    classifier = Classifier.open(smoke_run.path)
    file = str(next(digit_files.glob("3_*.png")))
    (usual,) = explain(classifier, [file], tmp_path).explanations
    (asked,) = explain(classifier, [file], tmp_path, class_name="5", layer="block1_relu1").explanations
    assert (usual.label, asked.label, asked.predicted) == ("3", "5", "3")
    assert asked.probability < usual.probability
    assert asked.array.name.endswith(".grad_cam.5.block1_relu1.npy")
    assert usual.array.exists()


def test_scores_stand_beside_a_random_order(smoke_run, digit_files, tmp_path):
    files = sorted(map(str, digit_files.glob("*.png")))[:6]
    found = explain(Classifier.open(smoke_run.path), files, tmp_path, methods=("occlusion",), score=True)
    assert found.scores["occlusion"]["count"] == 6
    assert found.scores["occlusion"]["deletion"] < found.scores[RANDOM]["deletion"]
    assert peek(found.curves)[1] > 500
    assert found.explanations[0].as_json()["deletion"]["curve"][0] == pytest.approx(found.explanations[0].probability)


def test_images_are_never_replaced(smoke_run, digit_files, tmp_path):
    original = next(digit_files.glob("*.png")).read_bytes()
    images = [tmp_path / "a.png", tmp_path / f"{tmp_path.name}-a.grad_cam.overlay.png"]
    for image in images:
        image.write_bytes(original)
    with pytest.raises(UsageError, match="--out"):
        explain(Classifier.open(smoke_run.path), list(map(str, images)), tmp_path)
    assert images[1].read_bytes() == original


def test_images_of_one_name_get_names_of_their_own(smoke_run, digit_files, tmp_path):
    original = next(digit_files.glob("*.png")).read_bytes()
    files = [tmp_path / place / "x" / "1.png" for place in ("a", "b")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(original)
    found = explain(Classifier.open(smoke_run.path), list(map(str, files)), tmp_path / "out")
    assert [one.array.name for one in found.explanations] == ["x-1.grad_cam.npy", "x-1-2.grad_cam.npy"]


def test_looking_inside_draws_pictures(smoke_run, digit_files, tmp_path, kcnn, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = kcnn(
        *("explain", smoke_run.path, "--kernels", "--maximise", "features:2", "--json"),
        *("--feature-maps", next(digit_files.glob("*.png"))),
    )
    assert code == 0
    document = json.loads(out)
    assert document["kernels"]["count"] == 16
    assert [stage["layer"] for stage in document["feature_maps"]["stages"]] == [
        "block1_relu2",
        "block2_relu1",
        "features",
    ]
    assert document["maximised"]["after"] > 2 * document["maximised"]["before"]
    for part in ("kernels", "feature_maps", "maximised"):
        picture = document[part]["picture"]
        assert picture.startswith("explanations/smoke/")
        assert min(peek(picture)[:2]) > 64


def test_the_first_kernels_are_those_that_lie_on_the_image():
    image = keras.Input((16, 16, 3))
    inner = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(5, 3, name="first"), layers.Conv2D(6, 3)], name="inner"
    )
    x = layers.Flatten()(layers.Conv2D(7, 3)(inner(layers.Conv2D(3, 1)(image))))
    name, kernels = first_kernels(keras.Model(image, layers.Dense(2)(x)))
    assert name == "inner/first"
    assert kernels.shape == (3, 3, 3, 5)


def test_an_image_that_cannot_be_read_shifts_no_map(smoke_run, digit_files, tmp_path):
    good = sorted(map(str, digit_files.glob("*.png")))[:3]
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    classifier = Classifier.open(smoke_run.path)
    plain = explain(classifier, good, tmp_path / "plain").explanations
    mixed = explain(classifier, [good[0], str(bad), *good[1:]], tmp_path / "mixed").explanations
    assert [one.image for one in mixed] == [good[0], str(bad), *good[1:]]
    for one, other in zip(plain, [one for one in mixed if not one.error], strict=True):
        assert (one.image, one.label, one.array.name) == (other.image, other.label, other.array.name)
        maps = [normalise(np.load(each.array)[None]) for each in (one, other)]
        np.testing.assert_allclose(*maps, atol=1e-4)
