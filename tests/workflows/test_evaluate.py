import csv
import json
import shutil

import numpy as np
import pytest
from copied_runs import copy_of
from labelled import by_label

from kcnn import data
from kcnn import recipe as recipes
from kcnn.classifier import Classifier
from kcnn.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from kcnn.errors import RunError, UsageError
from kcnn.explain.cam import grad_cam
from kcnn.explain.maps import normalise
from kcnn.explain.network import TakenApart
from kcnn.explain.pictures import overlay
from kcnn.metrics.calibration import brier_score, log_loss, with_temperature
from kcnn.workflows._answers import answers
from kcnn.workflows.evaluate import MISTAKES, _heatmaps, evaluate, measure


def test_metrics_agree_with_a_hand_count():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6]], dtype="float32")
    metrics, classes, confusion = measure(probabilities, np.array([0, 1, 0, 1]), ["a", "b", "c"])
    assert metrics["accuracy"] == 0.5
    assert metrics["count"] == 4
    assert metrics["loss"] == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.2]).mean(), rel=1e-6)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert classes[0].items() >= {"support": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}.items()
    assert classes[2]["support"] == 0
    assert metrics["balanced_accuracy"] == 0.5
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1])),
        (np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])),  # one class is all that is predicted
        (np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([1, 1])),  # all wrong, all of one class
        (np.array([[0.9, 0.1]]), np.array([0])),
        (np.full((4, 3), 1 / 3), np.array([0, 1, 1, 0])),  # ties, and a class that never occurs
    ],
)
def test_numbers_are_numbers_or_none(probabilities, labels):
    metrics, classes, _ = measure(probabilities, labels, list("abc")[: probabilities.shape[1]])
    json.dumps([metrics, classes], allow_nan=False)
    for key in ("accuracy", "balanced_accuracy"):
        assert 0 <= metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"] <= 1


def test_a_run_is_measured_and_the_numbers_are_kept(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    result = evaluate(run)
    kept = json.loads(run.metrics.read_text())
    assert kept["accuracy"] == result.metrics["accuracy"] > 0.7
    assert kept["count"] == result.confusion.sum() == 349
    assert "val_accuracy" in kept
    assert result.files["confusion"].read_bytes().startswith(b"\x89PNG")
    written = json.loads(result.files["evaluation"].read_text())
    assert written == json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert kept["balanced_accuracy_low"] < kept["balanced_accuracy"] < kept["balanced_accuracy_high"]


@pytest.fixture(scope="module")
def afresh(measured):
    """The classifier of the measured run, its test images, and its probabilities of them."""
    run, _ = measured
    classifier = Classifier.open(run.path)
    recipe = recipes.load(run.recipe)
    test = data.load(recipe.data, recipe.seed, splits=("test",), class_names=classifier.class_names).test
    return classifier, test, classifier.probabilities(test.images)


def test_calibrated_numbers_are_those_of_the_divided_logits(measured, afresh):
    run, result = measured
    _, test, probabilities = afresh
    soft = with_temperature(probabilities, run.temperature())
    assert run.temperature() != pytest.approx(1, abs=0.05)
    assert result.calibrated["loss"] == pytest.approx(log_loss(soft, test.labels), rel=1e-4)
    assert result.calibrated["brier_score"] == pytest.approx(brier_score(soft, test.labels), rel=1e-4)


def test_each_strength_of_a_corruption_is_measured(measured, afresh):
    _, result = measured
    classifier, test, _ = afresh
    positions = np.arange(len(test))
    for name, found in result.corruptions.items():
        corrupted = [corrupt(test.images, name, strength, positions) for strength in range(1, STRENGTHS + 1)]
        shares = [(classifier.probabilities(each).argmax(axis=1) == test.labels).mean() for each in corrupted]
        assert found == pytest.approx(shares, abs=1.5 / len(test)), name


def test_mistakes_are_the_most_confident_ones_each_with_its_own_heatmap(measured, afresh):
    _, result = measured
    classifier, test, probabilities = afresh
    guesses = probabilities.argmax(axis=1)
    wrong = np.sort(probabilities.max(axis=1)[guesses != test.labels])[::-1][:MISTAKES]
    np.testing.assert_allclose([one.confidence for one in result.mistakes], wrong, atol=1e-5)
    maps = _heatmaps(classifier, result.mistakes)
    for one in result.mistakes:
        at = test.names.index(one.image)
        names = classifier.class_names[test.labels[at]], classifier.class_names[guesses[at]]
        assert (one.true, one.predicted) == names
        assert one.confidence == pytest.approx(probabilities[at].max(), abs=1e-5)
        assert one.true_probability == pytest.approx(probabilities[at, test.labels[at]], abs=1e-5)
        np.testing.assert_array_equal(one.pixels, test.images[at])
        heat = grad_cam(TakenApart(classifier.model), one.pixels[None].astype("float32"), guesses[at : at + 1])
        shown = np.asarray(overlay(one.pixels, normalise(heat)[0]))
        assert np.abs(maps[one.image].astype(int) - shown).max() <= 2


def test_validation_images_give_the_accuracy_that_fit_saw(smoke_run, tmp_path):
    result = evaluate(copy_of(smoke_run, tmp_path), split="validation")
    kept = json.loads(smoke_run.metrics.read_text())
    assert result.metrics["accuracy"] == pytest.approx(kept["val_accuracy"], abs=1e-6)
    assert result.metrics["loss"] == pytest.approx(kept["val_loss"], rel=1e-3)


def test_answers_that_are_no_numbers_are_said(smoke_run, tmp_path, kcnn, digit_files):
    import keras

    run = copy_of(smoke_run, tmp_path)
    model = keras.saving.load_model(run.model)
    bias = model.get_layer("logits").bias
    bias.assign(np.full(bias.shape, np.nan))
    model.save(run.model)
    for arguments in (("evaluate", run.path), ("predict", run.path, digit_files, "--json")):
        code, _, err = kcnn(*arguments)
        assert code == 1
        assert "no numbers" in err


def test_classes_of_any_script_are_drawn_without_a_warning(tmp_path):
    from kcnn.workflows._tables import draw_confusion

    names = ["猫", "собака", "\x01", "n" * 40 + "1", "n" * 40 + "2"]
    draw_confusion(np.eye(5, dtype=int), names, tmp_path / "names.png")
    assert (tmp_path / "names.png").stat().st_size > 1000


def test_every_test_image_is_in_the_table_of_predictions(measured):
    _, result = measured
    rows = list(csv.DictReader(result.files["predictions"].read_text().splitlines()))
    assert len(rows) == result.metrics["count"]
    assert np.mean([row["right"] == "True" for row in rows]) == result.metrics["accuracy"]
    for row in rows:
        assert (row["right"] == "True") == (row["label"] == row["predicted"])
        assert float(row["confidence"]) >= float(row["label_probability"])
    wrong = sorted((row for row in rows if row["right"] == "False"), key=lambda row: -float(row["confidence"]))
    assert [one.image for one in result.mistakes] == [row["image"] for row in wrong[:MISTAKES]]


def test_parquet_holds_all_probabilities(smoke_run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run = copy_of(smoke_run, tmp_path)
    result = evaluate(run, predictions="parquet")
    table = parquet.read_table(result.files["predictions"])
    assert json.loads(table.schema.metadata[b"class_names"]) == result.class_names
    probabilities = np.array(table["probabilities"].to_pylist())
    assert probabilities.shape == (349, 10)
    np.testing.assert_allclose(probabilities.max(axis=1), table["confidence"], atol=1e-6)
    assert [result.class_names[k] for k in probabilities.argmax(axis=1)] == table["predicted"].to_pylist()


def test_parquet_without_pyarrow_is_a_clear_mistake(smoke_run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'kcnn\[data\]'"):
        evaluate(smoke_run, predictions="parquet")


def test_the_temperature_is_that_of_the_validation_images(measured, smoke_run):
    run, result = measured
    kept = json.loads(run.calibration.read_text())
    assert kept["temperature"] == result.calibrated["temperature"]
    assert kept["after"]["loss"] < kept["before"]["loss"]
    assert kept["before"]["loss"] == pytest.approx(json.loads(run.metrics.read_text())["val_loss"], rel=1e-3)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype("uint8")
    plain, calibrated = (Classifier.open(run.path, calibrated=choice).probabilities(pixels) for choice in (False, True))
    np.testing.assert_allclose(calibrated, with_temperature(plain, kept["temperature"]), atol=1e-6)
    assert np.abs(plain - calibrated).max() > 1e-3
    bare = Classifier.open(run.model, calibrated=True)
    assert bare.temperature == kept["temperature"]


def test_no_temperature_is_said_and_nothing_is_calibrated(smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    run.calibration.unlink(missing_ok=True)
    with pytest.raises(RunError, match=r"cannot be calibrated: there is no temperature yet\. .* with: kcnn evaluate"):
        Classifier.open(run.path, calibrated=True)
    recipe = run.recipe.read_text()
    run.recipe.write_text(recipe.replace("validation = 0.1", "validation = 0.0"))
    result = evaluate(run)
    assert result.calibrated == {"reason": "the data has no validation images."}
    assert "no validation images" in result.files["report"].read_text()
    run.calibration.write_text('{"temperature": null, "reason": "no temperature is best.", "count": 3}')
    with pytest.raises(RunError, match="cannot be calibrated: no temperature is best"):
        Classifier.open(run.path, calibrated=True)
    result = evaluate(run, predictions="parquet")
    assert result.calibrated == {"reason": "no temperature is best."}
    assert str(tmp_path) not in run.card.read_text()
    assert "--predictions parquet" in result.files["report"].read_text()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"temperature": "hot"}', '{"temperature": -1.0}'])
def test_a_damaged_temperature_is_said(text, smoke_run, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    run.calibration.write_text(text)
    with pytest.raises(RunError, match=r"calibration\.json is damaged\. Delete it, .*: kcnn evaluate"):
        Classifier.open(run.path, calibrated=True)
    with pytest.raises(RunError, match="is damaged"):
        evaluate(run)
    run.calibration.unlink()
    assert evaluate(run).calibrated["temperature"] == run.temperature()


def test_corruptions_cost_accuracy(measured):
    _, result = measured
    assert set(result.corruptions) == set(CORRUPTIONS)
    assert all(len(accuracies) == 5 for accuracies in result.corruptions.values())
    assert result.corruptions["blur"][4] < result.metrics["accuracy"] - 0.2


def test_corruptions_that_were_measured_are_kept_for_the_same_images(measured, tmp_path):
    run = copy_of(measured[0], tmp_path)
    again = evaluate(run)
    assert again.corruptions == measured[1].corruptions
    assert "--corrupt" in again.asked
    found = run.read_json(run.evaluation)
    run.write_json(run.evaluation, found | {"data_fingerprint": "of others"})
    assert evaluate(run).corruptions is None
    for damage in ("{", "[]"):
        run.evaluation.write_text(damage)
        assert evaluate(run).corruptions is None


def test_images_differ_in_brightness_and_in_size_where_they_do(measured, tmp_path, digit_files):
    from PIL import Image

    run, result = measured
    assert set(result.properties) == {"brightness"}
    assert sum(row["count"] for row in result.properties["brightness"]["groups"]) == 349
    sizes = by_label(digit_files.iterdir(), tmp_path / "sizes")
    for file in sorted(sizes.rglob("*.png"))[::4]:
        Image.open(file).resize((16, 16)).save(file)
    result = evaluate(run, data_path=str(sizes))
    groups = result.properties["size"]["groups"]
    assert [(row["low"], row["high"], row["count"]) for row in groups] == [(8, 8, 30), (16, 16, 10)]


def test_answers_are_those_of_the_classifier_image_by_image(smoke_run):
    from kcnn import data
    from kcnn import recipe as recipes

    classifier = Classifier.open(smoke_run.path)
    images = data.load(recipes.load("smoke").data, 0, splits=("test",), class_names=classifier.class_names).test
    probabilities, brightness = answers(classifier, images)
    np.testing.assert_allclose(probabilities[100:101], classifier.probabilities(images.images[[100]]), atol=1e-6)
    assert brightness[100] == pytest.approx(images.images[100].mean(), rel=1e-5)
    assert log_loss(probabilities, images.labels) < 1


def test_the_command_line_shows_a_short_table_and_json_everything(measured, kcnn, tmp_path):
    run, result = copy_of(measured[0], tmp_path), measured[1]
    code, out, _ = kcnn("evaluate", run.path)
    assert code == 0
    assert f"Report: {run.report}/index.html" in out
    assert "Most often confused" in out
    assert f">kcnn evaluate {run.path} --corrupt</pre>" in (run.report / "index.html").read_text()
    assert len(out.splitlines()) < 30
    code, out, _ = kcnn("evaluate", run.path, "--json")
    document = json.loads(out)
    assert document["metrics"] == pytest.approx(result.metrics)
    assert {"confused_pairs", "confusion", "reliability", "calibrated", "mistakes", "properties"} <= set(document)
    assert sum(row["count"] for row in document["confusion"]) == 349


def test_a_bare_file_has_no_temperature(smoke_run, tmp_path):
    shutil.copy(smoke_run.model, tmp_path / "bare.keras")
    with pytest.raises(RunError, match="only runs have a temperature"):
        Classifier.open(tmp_path / "bare.keras", calibrated=True)


def test_test_time_augmentation_is_reported_apart(measured, tmp_path):
    from kcnn import data
    from kcnn import recipe as recipes
    from kcnn.tta import averaged

    run = copy_of(measured[0], tmp_path)
    before = json.loads(run.metrics.read_text())
    pages = {path.name: path.read_bytes() for path in run.report.iterdir()}
    result = evaluate(run, tta="flip_shift")
    classifier = Classifier.open(run.path)
    images = data.load(recipes.load("smoke").data, 0, splits=("test",), class_names=classifier.class_names).test
    probabilities = averaged(classifier, "flip_shift").probabilities(images.images[:])
    accuracy = float((probabilities.argmax(axis=1) == images.labels).mean())
    assert result.metrics["accuracy"] == pytest.approx(accuracy, abs=1 / 349)
    assert accuracy != before["accuracy"]
    after = json.loads(run.metrics.read_text())
    assert after.items() >= before.items()
    assert after["tta_flip_shift_accuracy"] == result.metrics["accuracy"]
    assert {key for key in after if key not in before} == {f"tta_flip_shift_{key}" for key in result.metrics}
    assert {name: (run.report / name).read_bytes() for name in pages} == pages
    assert result.files["report"].name == "test_tta_flip_shift.html"
    page = result.files["report"].read_text()
    assert "the mean over the views of flip_shift" in page
    assert f"kcnn evaluate {run.path} --tta flip_shift" in page
    written = json.loads(result.files["evaluation"].read_text())
    assert written["tta"] == "flip_shift"
    assert f"| Accuracy of several views | {accuracy:.2%} |" in run.card.read_text()
    assert "    kcnn evaluate RUN --tta flip_shift\n" in run.card.read_text()
    assert f"{before['accuracy']:.2%} of {before['count']:,} test images" in run.card.read_text()
    assert result.calibrated["temperature"] == measured[1].calibrated["temperature"]  # of the plain model


def test_test_time_augmentation_of_other_images_changes_no_metrics(smoke_run, tmp_path, digit_files):
    run = copy_of(smoke_run, tmp_path)
    other = by_label(digit_files.iterdir(), tmp_path / "other")
    before = run.metrics.read_bytes()
    result = evaluate(run, data_path=str(other), tta="flip")
    assert result.files["evaluation"].name == "evaluation_test_other_tta_flip.json"
    assert run.metrics.read_bytes() == before


def test_the_command_line_says_that_views_were_averaged(smoke_run, kcnn, tmp_path):
    run = copy_of(smoke_run, tmp_path)
    code, out, _ = kcnn("evaluate", run.path, "--tta", "flip")
    assert code == 0
    assert "349 test images with test-time augmentation flip, loss" in out
    assert "No model card: it is made of what `kcnn evaluate` finds without --tta." in out
    assert not run.card.exists()
