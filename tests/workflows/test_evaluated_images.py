"""Whose images are measured: those of the run, where they lie now, or others; and what is kept of either."""

import json
import shutil
from pathlib import Path

import pytest
from copied_runs import copy_of
from labelled import by_label

from kcnn import recipe as recipes
from kcnn.errors import DataError
from kcnn.workflows.evaluate import evaluate


def test_labels_that_the_model_does_not_know_are_named(smoke_run, tmp_path, digit_files):
    table = tmp_path / "more.csv"
    files = sorted(digit_files.glob("*.png"))[:4]
    rows = [f"{file},{'zebra' if file == files[0] else file.name[0]},test" for file in files]
    table.write_text("path,label,split\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"does not know: 'zebra'"):
        evaluate(smoke_run, data_path=str(table))


def test_other_data_without_splits_is_measured_whole_and_reported_apart(smoke_run, tmp_path, digit_files):
    run = copy_of(smoke_run, tmp_path)
    evaluate(run)
    metrics, report = run.metrics.read_text(), (run.report / "classes_test.csv").read_text()
    result = evaluate(run, data_path=str(by_label(digit_files.iterdir(), tmp_path / "other")))
    assert result.metrics["count"] == 40
    assert result.files["confusion"].name == "confusion_test_other.png"
    assert run.metrics.read_text() == metrics
    assert (run.report / "classes_test.csv").read_text() == report
    assert result.calibrated["temperature"] > 0  # that of the run


def test_other_data_of_one_name_has_reports_of_its_own(smoke_run, tmp_path, digit_files):
    run = copy_of(smoke_run, tmp_path)
    folders = [tmp_path / "mine" / "photos", tmp_path / "theirs" / "photos", tmp_path / "tta_flip"]
    for count, folder in enumerate(folders, 1):
        by_label(sorted(digit_files.iterdir())[count:], folder)
    evaluate(run, tta="flip")  # whose name is that of the third folder's
    wanted = ["test_photos", "test_photos-2", "test_tta_flip-2"]
    for _ in range(2):  # the second time each takes the place of its first
        results = [evaluate(run, data_path=str(folder)) for folder in folders]
        assert [result.what for result in results] == wanted
    for folder, name, count in zip(folders, wanted, (39, 38, 37), strict=True):
        found = json.loads((run.report / f"evaluation_{name}.json").read_text())
        assert (found["data"], found["metrics"]["count"]) == (str(folder), count)
    assert json.loads((run.report / "evaluation_test_tta_flip.json").read_text())["metrics"]["count"] == 349


@pytest.fixture(scope="module")
def trained_on_folder(digit_files, tmp_path_factory):
    """A run on a folder without splits, of which a fifth is held out for tests, and another for validation."""
    from kcnn import recipe
    from kcnn.workflows.fit import fit

    folder = tmp_path_factory.mktemp("data") / "digits"
    for label in ("even", "odd"):
        (folder / label).mkdir(parents=True)
    for file in digit_files.iterdir():
        shutil.copy(file, folder / ("odd" if int(file.name[0]) % 2 else "even"))
    settings = ("data.test=0.2", "data.validation=0.2", "data.limit=20")
    return fit(recipe.load("smoke", settings, data=str(folder)), out=tmp_path_factory.mktemp("runs"), name="on-folder")


def test_images_of_the_run_that_lie_elsewhere_now_are_divided_as_for_the_training(trained_on_folder, tmp_path):
    """Measured whole, they would be called unseen though most were trained on."""
    run = copy_of(trained_on_folder, tmp_path)
    first = evaluate(run)
    metrics = run.metrics.read_bytes()
    data = run.read_json(run.environment)["data"]
    assert data["train"] == 20
    assert data["validation"] + first.metrics["count"] <= 20
    folder = Path(recipes.load(run.recipe).data.path)
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    again = evaluate(run, data_path=str(moved))
    assert again.metrics == first.metrics
    assert (again.what, again.data, again.fingerprint) == ("test", None, first.fingerprint)
    assert run.metrics.read_bytes() == metrics
    assert f"--data {moved}" in again.files["report"].read_text()
    validation = evaluate(run, data_path=str(moved), split="validation")
    assert validation.metrics["count"] == data["validation"]
    (found,) = evaluate_all(run, moved)
    assert found == first.metrics["count"]
    # One image more, and it is other data.
    shutil.copy(next(moved.rglob("*.png")), moved / "odd" / "copy.png")
    other = evaluate(run, data_path=str(moved))
    assert (other.what, other.data) == ("test_elsewhere", str(moved))
    assert other.metrics["count"] == 41


def test_the_training_images_without_the_test_images_beside_them_are_still_the_runs_own(digit_files, tmp_path):
    from kcnn import recipe
    from kcnn.workflows.fit import fit

    files = [file for file in sorted(digit_files.iterdir()) if file.name[0] in "01"]
    root = tmp_path / "digits"
    by_label(files[::4], root / "test")
    by_label([file for file in files if file not in files[::4]], root / "train")
    run = fit(recipe.load("smoke", ("data.validation=0.4",), data=str(root)), out=tmp_path, name="run")
    with pytest.raises(DataError, match="These are the run's own images, and it has no test images among them"):
        evaluate(run, data_path=str(root / "train"))
    count = run.read_json(run.environment)["data"]["validation"]
    assert evaluate(run, data_path=str(root / "train"), split="validation").metrics["count"] == count
    assert run.read_json(run.calibration)["count"] == count
    assert evaluate(run, data_path=str(root / "test")).what == "test_test"


def evaluate_all(run, path):
    """Return the counts of images of a comparison."""
    from kcnn.workflows.compare import compare

    twin = copy_of(run, run.path.parent / "twin")
    found, _ = compare([run, twin], data_path=str(path))
    return {result.metrics["count"] for _, result in found}


def test_images_larger_than_memory_give_the_same(smoke_run, tmp_path, digit_files, monkeypatch):
    """Streamed from disk, and a batch smaller than the split."""
    other = by_label(digit_files.iterdir(), tmp_path / "stream")
    run = copy_of(smoke_run, tmp_path)
    expected = evaluate(run, data_path=str(other)).as_json()
    monkeypatch.setattr("kcnn.workflows._answers.BATCH", 16)
    run.recipe.write_text(run.recipe.read_text().replace("memory_limit = 2.0", "memory_limit = 0.0"))
    found = evaluate(run, data_path=str(other)).as_json()
    assert found["confusion"] == expected["confusion"]
    assert found["metrics"] == pytest.approx(expected["metrics"], rel=1e-4)
    assert found["data_fingerprint"] == expected["data_fingerprint"]


def test_validation_images_that_are_gone_cost_the_temperature_alone(smoke_run, tmp_path, digit_files):
    for split in ("train", "test"):
        by_label(digit_files.iterdir(), tmp_path / "data" / split)
    run = copy_of(smoke_run, tmp_path)
    run.calibration.unlink(missing_ok=True)
    text = run.recipe.read_text().replace('name = "digits"', f'name = "folder"\npath = "{tmp_path}/data"')
    run.recipe.write_text(text)
    for file in (tmp_path / "data" / "train").rglob("*.png"):
        file.write_bytes(b"damaged " + file.name.encode())
    result = evaluate(run)
    assert result.metrics["count"] == 40
    assert result.calibrated["reason"].startswith("the validation images cannot be read.")
    assert not run.calibration.exists()
