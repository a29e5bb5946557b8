"""Inference, and that every backend gives the same answers."""

import csv
import itertools
import json
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from archives import pack
from made_runs import made_run
from PIL import Image

from kcnn import data
from kcnn import recipe as recipes
from kcnn.classifier import Classifier
from kcnn.data.decode import decode
from kcnn.data.named import named_images
from kcnn.errors import KcnnError, RunError, UsageError
from kcnn.workflows import _ahead, _answers
from kcnn.workflows.predict import predict, predict_batches


def test_predictions_are_mostly_right(smoke_run, digit_files):
    files = sorted(map(str, digit_files.glob("*.png")))
    found = list(predict(Classifier.open(smoke_run.path), files, top=3))
    right = [one.top[0][0] == one.image.rsplit("/", 1)[1][0] for one in found]
    assert np.mean(right) > 0.8
    for one in found:
        assert len(one.top) == 3
        assert one.top[0][1] >= one.top[1][1] >= one.top[2][1]


def test_one_bad_image_spoils_only_itself(smoke_run, digit_files, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image")
    good = str(next(digit_files.glob("*.png")))
    found = list(predict(Classifier.open(smoke_run.path), [str(bad), good]))
    assert "bad.png" in found[0].error
    assert found[1].top


def test_a_bare_keras_file_is_enough(smoke_run, digit_files, tmp_path):
    bare = tmp_path / "somewhere.keras"
    shutil.copy(smoke_run.model, bare)
    file = str(next(digit_files.glob("*.png")))
    (from_file,) = predict(Classifier.open(bare), [file])
    (from_run,) = predict(Classifier.open(smoke_run.path), [file])
    assert from_file.top == from_run.top  # here the labels are the class numbers anyway


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "damaged"), (b"nonsense", "damaged"), (b"PK\x05\x06" + 18 * b"\0", "")]
)
def test_a_file_that_is_no_model_says_so(tmp_path, content, words):
    """Of the first two Keras says that there is no such file."""
    path = tmp_path / "x.keras"
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"cannot load .*{words}"):
        Classifier.open(path)


@pytest.mark.parametrize(("shape", "outputs"), [((3, 8, 8), 4), ((8, 8, 4), 4), ((8, 8), 4), ((8, 8, 3), 1)])
def test_a_model_that_answers_no_images_says_so(tmp_path, shape, outputs):
    x = inputs = keras.Input(shape)
    keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.Flatten()(x))).save(tmp_path / "x.keras")
    with pytest.raises(RunError, match="no image classifier: expected an input of"):
        Classifier.open(tmp_path / "x.keras")


def test_every_backend_gives_the_same_answers(smoke_run, digit_files, other_backends, child):
    """The run was trained on this backend; each other one has to agree on every image."""
    if not other_backends:
        pytest.skip("one backend alone is installed")
    files = sorted(map(str, digit_files.glob("*.png")))
    own = {one.image: one for one in predict(Classifier.open(smoke_run.path), files, top=10)}
    for other in other_backends:
        result = child("predict", smoke_run.path, digit_files, "--top", 10, "--json", backend_name=other)
        assert result.returncode == 0, result.stderr
        answers = json.loads(result.stdout)["predictions"]
        assert len(answers) == len(files)
        for answer in answers:
            mine = own[answer["image"]]
            assert answer["label"] == mine.top[0][0]
            theirs = {row["label"]: row["probability"] for row in answer["top"]}
            assert max(abs(theirs[label] - probability) for label, probability in mine.top) < 1e-5


def test_the_model_file_needs_no_kcnn(smoke_run, other_backends, digit_files, tmp_path):
    """Plain Keras, in a process that cannot import kcnn, on each backend."""
    if not other_backends:
        pytest.skip("one backend alone is installed")
    import os
    import subprocess
    import sys

    file = next(digit_files.glob("*.png"))
    classifier = Classifier.open(smoke_run.path)
    pixels = decode(file, classifier.image_shape)[None]
    np.save(tmp_path / "pixels.npy", pixels)
    expected = classifier.probabilities(pixels)
    code = (
        "import sys; sys.modules['kcnn'] = None\n"
        "import keras, numpy as np\n"
        f"model = keras.saving.load_model({str(smoke_run.model)!r})\n"
        f"np.save({str(tmp_path / 'out.npy')!r}, model.predict(np.load({str(tmp_path / 'pixels.npy')!r}), verbose=0))\n"
    )
    for other in other_backends:
        environment = {**os.environ, "KERAS_BACKEND": other}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120, capture_output=True)
        np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-5)


def test_tables_are_csv_and_json(smoke_run, digit_files, kcnn):
    code, out, _ = kcnn("predict", smoke_run.path, digit_files, "--format", "csv", "--top", 2)
    assert code == 0
    rows = list(csv.DictReader(out.splitlines()))
    assert len(rows) == 80
    assert set(rows[0]) == {"image", "rank", "label", "probability"}
    code, out, _ = kcnn("predict", smoke_run.path, f"{digit_files}/0_*.png", "--json")
    assert code == 0
    assert {one["label"] for one in json.loads(out)["predictions"]} == {"0"}


def test_damaged_labels_beside_a_bare_file_are_told_in_one_line(smoke_run, tmp_path):
    shutil.copy(smoke_run.model, tmp_path / "x.keras")
    (tmp_path / "labels.json").write_text("[")
    with pytest.raises(RunError, match="damaged"):
        Classifier.open(tmp_path / "x.keras")


def test_calibrated_probabilities_are_asked_for(measured, kcnn, digit_files):
    run, result = measured
    answers = []
    for option in ([], ["--calibrated"]):
        code, out, _ = kcnn("predict", run.path, digit_files, "--json", "--top", 10, *option)
        assert code == 0
        tops = [one["top"] for one in json.loads(out)["predictions"]]
        answers.append([{row["label"]: row["probability"] for row in top} for top in tops])
    for plain, calibrated in zip(*answers, strict=True):
        powers = {label: value ** (1 / result.calibrated["temperature"]) for label, value in plain.items()}
        total = sum(powers.values())
        assert calibrated == pytest.approx({label: power / total for label, power in powers.items()}, abs=1e-4)


# ------------------------------------------------------------ any number of images


class Brightness:
    """Answers by the mean pixel, and notes how many images it is asked about at one time."""

    class_names, image_shape, resize = ["dark", "bright"], (8, 8, 1), "crop"

    def __init__(self):
        self.asked = []

    def probabilities(self, images):
        self.asked.append(len(images))
        bright = images.mean(axis=(1, 2, 3), dtype="float32") / 255
        return np.stack([1 - bright, bright], axis=1)


def test_rows_that_are_no_images_may_be_answered_with_no_numbers(digit_files, tmp_path):
    """As of a model that divides each image by its deviation; of three images a batch of four is made."""

    class Standardising(Brightness):
        def probabilities(self, images):
            found = super().probabilities(images)
            found[images.std(axis=(1, 2, 3)) == 0] = np.nan
            return found

    (bad := tmp_path / "bad.png").write_bytes(b"bad")
    files = [str(bad), *sorted(map(str, digit_files.iterdir()))[:2]]
    assert [bool(one.error) for one in predict(Standardising(), files)] == [True, False, False]
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(KcnnError, match="no numbers"):
        list(predict(Standardising(), [str(tmp_path / "black.png")]))


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(_answers, "BATCH", 16)


def test_an_archive_is_answered_as_its_folder(smoke_run, digit_files, tmp_path):
    classifier = Classifier.open(smoke_run.path)
    plain = {Path(one.image).name: one.top for one in predict(classifier, sorted(map(str, digit_files.iterdir())))}
    archive = pack(digit_files, tmp_path / "digits.tar.xz")
    packed = list(predict(classifier, named_images([archive])[0]))
    assert {one.image.removeprefix(f"{archive}/pets/"): one.top for one in packed} == plain


def test_batches_have_few_sizes_and_change_no_answer(digit_files, small_batches):
    files = sorted(map(str, digit_files.iterdir()))
    one_by_one = [next(iter(predict(Brightness(), [file]))).top for file in files]
    sizes = set()
    for count in range(1, len(files) + 1):
        model = Brightness()
        assert [one.top for one in predict(model, files[:count])] == one_by_one[:count]
        sizes |= set(model.asked)
    assert sizes == {1, 2, 4, 8, 16}


def test_a_list_without_an_end_is_answered_and_read_no_further_than_needed(digit_files, small_batches):
    pulled = itertools.count()
    files = map(str, itertools.cycle(sorted(digit_files.iterdir())))
    batches = predict_batches(Brightness(), (file for file in files if next(pulled) >= 0))
    for _ in range(5):
        assert len(next(batches)) == 16
    batches.close()
    assert next(pulled) <= 16 * (5 + _ahead.DEPTH + 2)
    assert not [thread for thread in threading.enumerate() if thread.name == "kcnn-ahead"]


def test_what_has_come_is_answered_while_the_next_has_yet_to_come(digit_files):
    files = sorted(map(str, digit_files.iterdir()))
    asked = threading.Event()

    def images():
        yield from [*files[:3], None]
        assert asked.wait(20), "the next image was waited for"
        yield from [None, None, files[3]]

    batches = predict_batches(Brightness(), images())
    assert [one.image for one in next(batches)] == files[:3]
    asked.set()
    assert [one.image for batch in batches for one in batch] == files[3:4]


def test_a_batch_is_decoded_while_the_one_before_is_answered(digit_files, small_batches):
    files = sorted(map(str, digit_files.iterdir()))
    came = threading.Event()

    def images():
        yield from files[:32]
        came.set()

    class Waiting(Brightness):
        def probabilities(self, images):
            assert came.wait(20), "the second batch was not read meanwhile"
            return super().probabilities(images)

    assert len(list(predict(Waiting(), images()))) == 32


def test_an_error_in_the_list_is_raised_after_what_came_before_it(digit_files):
    def images():
        yield from [str(next(digit_files.iterdir())), None]
        raise UsageError("no list")

    batches = predict_batches(Brightness(), images())
    assert len(next(batches)) == 1
    with pytest.raises(UsageError, match="no list"):
        next(batches)


def test_progress_tells_the_total_where_it_is_known(digit_files, small_batches):
    files = sorted(map(str, digit_files.iterdir()))
    calls = []
    list(predict(Brightness(), files, total=45, done=5, progress=lambda *call: calls.append(call)))
    assert calls == [(21, 45, "predicting"), (37, 45, "predicting"), (45, 45, "predicting")]


PEAK = """
import re, sys
from pathlib import Path
import numpy as np
from kcnn.data.named import named_images
from kcnn.workflows.predict import predict_batches

class Model:
    class_names, image_shape, resize = ["a", "b"], (64, 64, 3), "crop"
    def probabilities(self, images):
        return np.full((len(images), 2), 0.5, "float32")

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

found, peaks = 0, []
for batch in predict_batches(Model(), named_images(sys.argv[1:])[0]):
    found += len(batch)
    peaks.append(peak())
print(found, peaks[-1] - peaks[4])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, digit_files):
    """10,000 images of 64x64 would take 117 MiB; from the fifth batch on next to nothing is added."""
    image = next(digit_files.iterdir())
    with tarfile.open(tmp_path / "many.tar", "w") as archive:
        for index in range(10_000):
            archive.add(image, f"{index}.png")
    result = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "many.tar"], capture_output=True, text=True, check=True
    )
    found, grown = map(int, result.stdout.split())
    assert found == 10_000
    assert grown < 2**24


# ------------------------------------------------------------ what is answered


def test_below_the_threshold_an_image_is_not_known(digit_files):
    files = sorted(map(str, digit_files.iterdir()))
    plain = list(predict(Brightness(), files))
    threshold = float(np.median([one.probability for one in plain]))
    found = list(predict(Brightness(), files, threshold=threshold))
    assert {one.known for one in found} == {True, False}
    for one, before in zip(found, plain, strict=True):
        assert before.known is None
        assert "known" not in before.as_json()
        assert one.top == before.top
        assert one.known == (one.probability >= threshold)
        assert one.label == (one.top[0][0] if one.known else "unknown")
        assert one.as_json().items() >= {"label": one.label, "known": one.known}.items()


def test_test_time_augmentation_is_that_of_the_classifier(smoke_run, digit_files):
    from kcnn.tta import averaged

    classifier = Classifier.open(smoke_run.path)
    files = sorted(map(str, digit_files.iterdir()))[:8]
    pixels = np.stack([decode(file, classifier.image_shape) for file in files])
    expected, embeddings = averaged(classifier, "flip_shift").probabilities_and_embeddings(pixels)
    found = list(predict(classifier, files, top=10, tta="flip_shift", embeddings=True))
    for one, row, embedding in zip(found, expected, embeddings, strict=True):
        assert dict(one.top) == pytest.approx(dict(zip(classifier.class_names, row.tolist(), strict=True)), abs=1e-6)
        np.testing.assert_allclose(one.embedding, embedding, atol=1e-4)
    plain = list(predict(classifier, files, top=10))
    assert max(abs(dict(a.top)["3"] - dict(b.top)["3"]) for a, b in zip(found, plain, strict=True)) > 1e-3


@pytest.mark.parametrize("resize", ["pad", "stretch"])
def test_images_get_their_shape_as_for_the_training(jpegs, tmp_path, resize):
    shape, names = (24, 40, 3), ["blue", "green", "grey", "red"]
    run = made_run(tmp_path, "simple_cnn", jpegs, "model.width=4", "data.image_size=[24, 40]", f"data.resize={resize}")
    files = sorted(map(str, jpegs.rglob("*.jpg")))[:6]
    pixels = np.stack([decode(file, shape, resize) for file in files])
    assert all((one != decode(file, shape, "crop")).any() for one, file in zip(pixels, files, strict=True))
    train = data.load(recipes.load(run.recipe).data, 0).train
    np.testing.assert_array_equal(train.images[0], decode(jpegs / train.names[0], shape, resize))
    classifier = Classifier.open(run.path)
    expected = classifier.model.predict_on_batch(pixels.astype("float32"))
    for opened in (classifier, Classifier.open(run.model)):
        for one, row in zip(predict(opened, files, top=4), expected, strict=True):
            assert dict(one.top) == pytest.approx(dict(zip(names, row.tolist(), strict=True)), abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_code_in_a_file_is_not_run(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.Lambda(lambda x: x * 2)(inputs))
    keras.Model(inputs, keras.layers.Dense(4)(x)).save(tmp_path / "x.keras")
    with pytest.raises(RunError, match=r"[Ll]ambda"):
        Classifier.open(tmp_path / "x.keras")


def test_who_has_no_embeddings_is_told_so(digit_files):
    with pytest.raises(UsageError, match="an exported file gives probabilities alone"):
        predict(Brightness(), [str(next(digit_files.iterdir()))], embeddings=True)
