"""The models that are shipped: whole, small, and answering on this backend as where they were measured.

Of digits, which comes with scikit-learn, also as good as its card says. KCNN_REWRITE_GOLDEN=1 rewrites the answers in
saved_models.json and the cards; review the difference.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ship

from kcnn import data
from kcnn import recipe as recipes
from kcnn.classifier import Classifier
from kcnn.explain.cam import grad_cam
from kcnn.explain.faithfulness import area, deletion
from kcnn.explain.network import TakenApart
from kcnn.metrics.calibration import log_loss
from kcnn.run import Run
from kcnn.workflows._answers import answers
from kcnn.workflows.card import write_card

GOLDEN = Path(__file__).with_name("saved_models.json")
RUNS = [Run(folder) for folder in ship.shipped()]
EMBEDDED = [run for run in RUNS if recipes.load(run.recipe).data.name == "digits"]
each_run = pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
each_embedded = pytest.mark.parametrize("run", EMBEDDED, ids=lambda run: run.name)


def test_there_is_one():
    assert "digits" in [run.name for run in EMBEDDED]


@pytest.mark.once
@each_run
def test_it_is_whole_and_small_and_names_no_folder_of_a_machine(run):
    kept = [run.path / name for name in (*ship.WORDS, *ship.WHOLE)]
    assert [path for path in kept if not path.is_file()] == []
    assert sum(path.stat().st_size for path in [*kept, run.card]) < ship.MOST_BYTES
    for path in [*(run.path / name for name in ship.WORDS), run.card]:
        text = path.read_text()
        assert ship.without_folders(text) == text, path


@pytest.mark.once
@each_run
def test_its_card_is_what_its_files_say(run, tmp_path):
    if os.environ.get("KCNN_REWRITE_GOLDEN") == "1":
        write_card(run)
    copy = Run(shutil.copytree(run.path, tmp_path / run.name))
    again = f"python docs/ship.py saved_models/{run.name} saved_models/{run.name}"
    assert write_card(copy).read_text() == run.card.read_text(), f"{again} writes it anew"
    metrics = json.loads(run.metrics.read_text())
    assert f"**{metrics['accuracy']:.2%} of {metrics['count']:,} test images" in run.card.read_text()
    assert "| licence | `" in run.card.read_text()


@pytest.mark.once
@each_run
def test_git_keeps_it(run):
    names = [*ship.WORDS, *ship.WHOLE, "MODEL_CARD.md"]
    found = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "--error-unmatch", *names],
        cwd=run.path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if "not a git repository" in found.stderr:
        pytest.skip("this is not a checkout")
    assert found.returncode == 0, found.stderr


@each_run
def test_it_answers_by_its_name(run, kcnn, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(ship.ROOT)
    Image.effect_noise((40, 30), 90).save(tmp_path / "photo.png")
    code, out, err = kcnn("predict", f"saved_models/{run.name}", tmp_path / "photo.png", "--json")
    assert code == 0, err
    (answer,) = json.loads(out)["predictions"]
    assert answer["label"] in json.loads(run.labels.read_text())


def pictures(shape):
    """Return 64 images of blots, uint8 (64, *shape), which need no file."""
    height, width, channels = shape
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (64, -(-height // 4), -(-width // 4), channels), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]


@each_run
def test_it_answers_as_where_it_was_measured(run):
    """With `evaluate` on all backends once (docs/cifar10.md), its card then holds on this one too."""
    classifier = Classifier.open(run.path)
    found = classifier.probabilities(pictures(classifier.image_shape)[:16])
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if os.environ.get("KCNN_REWRITE_GOLDEN") == "1":
        golden[run.name] = [[round(float(one), 6) for one in row] for row in found]
        GOLDEN.write_text(json.dumps(golden) + "\n", encoding="utf-8")
    assert len(set(found.argmax(axis=1))) > 2  # pictures that it tells from one another
    np.testing.assert_allclose(found, golden[run.name], atol=1e-5)


@pytest.fixture(scope="module")
def asked():
    """Return a function from a run to its classifier, its test images and its probabilities; each is asked once."""
    known = {}

    def ask(run):
        if run.name not in known:
            classifier = Classifier.open(run.path)
            recipe = recipes.load(run.recipe)
            wanted = {"splits": ("test",), "class_names": classifier.class_names}
            images = data.load(recipe.data, recipe.seed, **wanted).test
            known[run.name] = classifier, images, answers(classifier, images)[0]
        return known[run.name]

    return ask


@each_embedded
def test_it_is_as_good_as_it_says_on_each_backend(run, asked):
    """The numbers are those of the backend that it was measured on; confusion and loss depend on each image."""
    classifier, images, probabilities = asked(run)
    metrics = json.loads(run.metrics.read_text())
    guesses = probabilities.argmax(axis=1)
    assert metrics["count"] == len(images)
    assert (guesses == images.labels).mean() == metrics["accuracy"]
    assert log_loss(probabilities, images.labels) == pytest.approx(metrics["loss"], rel=1e-4)
    found = json.loads(run.evaluation.read_text())
    names = classifier.class_names
    counted = {(row["true"], row["predicted"]): row["count"] for row in found["confusion"]}
    for (true, predicted), count in counted.items():
        here = (images.labels == names.index(true)) & (guesses == names.index(predicted))
        assert here.sum() == count
    for one in found["mistakes"]:
        index = images.names.index(one["image"])
        assert probabilities[index, names.index(one["predicted"])] == pytest.approx(one["confidence"], abs=1e-5)


@each_embedded
def test_grad_cam_shows_what_the_answer_rests_on(run, asked):
    """Without what it marks the answer goes sooner than without what it does not."""
    classifier, images, probabilities = asked(run)
    pixels = images.images[np.arange(20)].astype("float32")
    guesses, network = probabilities[:20].argmax(axis=1), TakenApart(classifier.model)
    maps = grad_cam(network, pixels, guesses)
    assert maps.shape == pixels.shape[:3]
    assert np.isfinite(maps).all()
    told, turned = (area(deletion(network, pixels, guesses, each, steps=8)) for each in (maps, -maps))
    assert told.mean() < turned.mean()


@each_run
def test_it_needs_no_kcnn(run, tmp_path, backend_name):
    classifier = Classifier.open(run.path)
    images = pictures(classifier.image_shape)
    np.save(tmp_path / "pixels.npy", images)
    code = (
        "import sys; sys.modules['kcnn'] = None\n"
        "import keras, numpy as np\n"
        f"model = keras.saving.load_model({str(run.model)!r})\n"
        f"np.save({str(tmp_path / 'out.npy')!r}, model.predict(np.load({str(tmp_path / 'pixels.npy')!r}), verbose=0))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": backend_name}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), classifier.probabilities(images), atol=1e-5)


@pytest.mark.once
@each_embedded
def test_its_data_have_the_fingerprint_that_they_had(run):
    recipe = recipes.load(run.recipe)
    assert data.load(recipe.data, recipe.seed).fingerprint == run.known_environment()["data"]["fingerprint"]
