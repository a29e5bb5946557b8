import json

import numpy as np
import pytest

from kcnn.errors import DataError
from kcnn.workflows.evaluate import evaluate, measure, wilson_interval


def test_metrics_agree_with_a_hand_count():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0.2, 0.2, 0.6]], dtype="float32")
    metrics, classes, confusion = measure(probabilities, np.array([0, 1, 0, 1]), ["a", "b", "c"])
    assert metrics["accuracy"] == 0.5
    assert metrics["count"] == 4
    assert metrics["loss"] == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.2]).mean(), rel=1e-6)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert classes[0] == {"class": "a", "support": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert classes[2]["support"] == 0


@pytest.mark.parametrize(
    ("correct", "count", "expected"),
    [(50, 100, (0.4038, 0.5962)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (4200, 5000, (0.8296, 0.8499))],
)
def test_the_interval_is_wilsons(correct, count, expected):
    assert wilson_interval(correct, count) == pytest.approx(expected, abs=2e-4)


def test_a_run_is_measured_and_the_numbers_are_kept(smoke_run):
    result = evaluate(smoke_run)
    kept = json.loads(smoke_run.metrics.read_text())
    assert kept["accuracy"] == result.metrics["accuracy"] > 0.7
    assert kept["count"] == result.confusion.sum() == 349
    assert "val_accuracy" in kept
    assert result.confusion_picture.read_bytes().startswith(b"\x89PNG")


def test_validation_images_give_the_accuracy_that_fit_saw(smoke_run):
    result = evaluate(smoke_run, split="validation")
    kept = json.loads(smoke_run.metrics.read_text())
    assert result.metrics["accuracy"] == pytest.approx(kept["val_accuracy"], abs=1e-6)
    assert result.metrics["loss"] == pytest.approx(kept["val_loss"], rel=1e-3)


def test_labels_that_the_model_does_not_know_are_named(smoke_run, tmp_path, digit_files):
    table = tmp_path / "more.csv"
    files = sorted(digit_files.glob("*.png"))[:4]
    rows = [f"{file},{'zebra' if file == files[0] else file.name[0]},test" for file in files]
    table.write_text("path,label,split\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"does not know: 'zebra'"):
        evaluate(smoke_run, data_path=str(table))


def test_other_data_without_splits_is_measured_whole_and_reported_apart(smoke_run, tmp_path, digit_files):
    evaluate(smoke_run)
    metrics, report = smoke_run.metrics.read_text(), (smoke_run.report / "classes_test.csv").read_text()
    other = tmp_path / "other"
    for file in digit_files.glob("*.png"):
        target = other / file.name[0] / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    result = evaluate(smoke_run, data_path=str(other))
    assert result.metrics["count"] == 40
    assert result.confusion_picture.name == "confusion_test_other.png"
    assert smoke_run.metrics.read_text() == metrics
    assert (smoke_run.report / "classes_test.csv").read_text() == report
