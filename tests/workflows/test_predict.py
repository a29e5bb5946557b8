"""Inference, and that every backend gives the same answers."""

import csv
import json
import shutil

import numpy as np
import pytest

from kcnn.classifier import Classifier
from kcnn.errors import RunError
from kcnn.workflows.predict import predict


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


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x05\x06" + 18 * b"\0"])
def test_a_file_that_is_no_model_says_so(tmp_path, content):
    path = tmp_path / "x.keras"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"cannot load"):
        Classifier.open(path)


def test_every_backend_gives_the_same_answers(smoke_run, digit_files, other_backends, child):
    """The run was trained on this backend; each other one has to agree on every image."""
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
    import os
    import subprocess
    import sys

    from kcnn.data.decode import decode

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
