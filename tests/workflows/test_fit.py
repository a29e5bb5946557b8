"""The main job: from a recipe to a run folder."""

import contextlib
import csv
import errno
import json

import keras
import numpy as np
import pytest
from labelled import by_label

from kcnn import recipe
from kcnn.errors import ImageError, Interrupted, RecipeError, RunError, TrainingError
from kcnn.workflows.evaluate import evaluate
from kcnn.workflows.fit import fit


def test_a_run_folder_holds_what_the_design_promises(smoke_run, backend_name):
    names = {path.name for path in smoke_run.path.iterdir()}
    assert {
        "model.keras",
        "recipe.toml",
        "labels.json",
        "history.csv",
        "metrics.json",
        "environment.json",
        "curves.png",
    } <= names
    environment = json.loads(smoke_run.environment.read_text())
    assert environment["backend"] == backend_name
    assert environment["command"] == "kcnn fit smoke"
    assert json.loads(smoke_run.labels.read_text()) == list("0123456789")
    rows = list(csv.DictReader(smoke_run.history.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    metrics = json.loads(smoke_run.metrics.read_text())
    assert metrics["val_accuracy"] == float(rows[-1]["val_accuracy"])
    assert metrics["val_accuracy"] > 0.7


def test_the_first_epochs_loss_is_the_same_on_every_backend(smoke_run):
    row = next(iter(csv.DictReader(smoke_run.history.read_text().splitlines())))
    assert float(row["loss"]) == pytest.approx(GOLDEN_LOSS, rel=1e-3)
    assert float(row["learning_rate"]) == pytest.approx(GOLDEN_RATE, rel=1e-7)


GOLDEN_LOSS = 1.954911
GOLDEN_RATE = 0.004352377727627754


def test_the_saved_recipe_repeats_the_run_to_the_bit(smoke_run, tmp_path):
    again = fit(recipe.load(smoke_run.recipe), out=tmp_path)
    first, second = (keras.saving.load_model(run.model).get_weights() for run in (smoke_run, again))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_is_another_run(smoke_run, tmp_path):
    other = fit(recipe.load("smoke", ("seed=1",)), out=tmp_path)
    one, another = (run.read_history() for run in (smoke_run, other))
    assert [row["learning_rate"] for row in one] == [row["learning_rate"] for row in another]
    assert all(abs(a["loss"] - b["loss"]) > 1e-5 for a, b in zip(one, another, strict=True))


def test_a_finished_run_stays_though_its_report_is_interrupted(tmp_path, monkeypatch):
    from kcnn.workflows import fit as module

    def interrupted(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_report", interrupted)
    with pytest.raises(Interrupted, match=r"The run is finished, but not its report.*kcnn evaluate .*whole"):
        fit(recipe.load("smoke", ("epochs=1", "data.limit=64")), out=tmp_path, name="whole")
    assert {path.name for path in (tmp_path / "whole").iterdir()} >= {"model.keras", "history.csv", "metrics.json"}
    assert not (tmp_path / "whole" / "checkpoint").exists()


def test_a_report_that_cannot_be_written_is_told(tmp_path, monkeypatch, kcnn):
    from kcnn.workflows import fit as module

    def full(run):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_report", full)
    code, out, err = kcnn("fit", "smoke", "--epochs", 1, "--set", "data.limit=64", "--out", tmp_path, "--name", "whole")
    assert code == 0
    assert "not its report: No space left on device. It is written by: kcnn evaluate" in err
    assert "Report:" not in out


@pytest.mark.parametrize("setting", ["callbacks.best=true", "callbacks.early_stopping.monitor=val_accuracy"])
def test_data_that_turn_out_to_have_no_validation_images_make_no_run(tmp_path, digit_files, setting):
    data = by_label(digit_files.iterdir(), tmp_path / "data")
    settings = (setting, "data.validation=0", "data.test=0")
    with pytest.raises(RecipeError, match="needs validation images, and the data has none"):
        fit(recipe.load("smoke", settings, data=str(data)), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_where_nothing_can_be_written_is_told_before_images_are_read(tmp_path, monkeypatch):
    from kcnn.workflows import fit as module

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(module, "prepare", None)
    with pytest.raises(RunError, match="Cannot write to"):
        fit(recipe.load("smoke"), out=tmp_path / "file")


def test_a_taken_name_is_refused_before_anything_is_done(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("kept")
    with pytest.raises(RunError, match="already there"):
        fit(recipe.load("smoke"), out=tmp_path, name="mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "kept"


def test_a_loss_that_explodes_leaves_nothing_half_done(tmp_path):
    exploding = recipe.load("smoke", ("optimizer.name=sgd", "optimizer.learning_rate=1e18"))
    with pytest.raises(TrainingError, match="Try a lower one"):
        fit(exploding, out=tmp_path, name="boom")
    assert not list(tmp_path.iterdir())


def test_validation_can_be_left_out(tmp_path):
    run = fit(recipe.load("smoke", ("data.validation=0.0", "epochs=1")), out=tmp_path)
    assert "val_accuracy" not in json.loads(run.metrics.read_text())


def test_average_best_and_early_stopping_go_together(tmp_path):
    settings = ("callbacks.ema.decay=0.9", "callbacks.best=true", "callbacks.early_stopping.patience=1")
    run = fit(recipe.load("smoke", (*settings, "callbacks.tensorboard=true")), out=tmp_path)
    metrics = json.loads(run.metrics.read_text())
    assert metrics["val_accuracy"] > 0.5
    assert list((run.path / "tensorboard").iterdir())
    found = evaluate(run, split="validation").metrics  # of the very file, whose weights are the best epoch's average
    assert found["accuracy"] == pytest.approx(metrics["val_accuracy"])
    assert found["loss"] == pytest.approx(metrics["val_loss"], rel=1e-4)


@pytest.fixture
def image_folder(tmp_path):
    """Two classes that are easy to tell apart: dark and bright noise, 12 each, of 20 x 24 pixels."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, low in (("bright", 155), ("dark", 0)):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = rng.integers(low, low + 100, (20, 24, 3), dtype="uint8")
            Image.fromarray(pixels).save(folder / f"{index:02d}.jpg")
    return tmp_path / "images"


def test_a_folder_of_images_streams_and_fits_alike(image_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("kcnn.assemble.cores", lambda: 3)  # that decode validation images, in their order
    settings = ("epochs=2", "batch_size=2", "data.image_size=16", "data.validation=0.2", "data.test=0.2")
    memory = fit(recipe.load("smoke", settings, data=str(image_folder)), out=tmp_path / "runs")
    streamed = fit(
        recipe.load("smoke", (*settings, "data.memory_limit=0.0"), data=str(image_folder)), out=tmp_path / "runs"
    )
    for key in ("loss", "val_loss"):
        found, expected = ([row[key] for row in run.read_history()] for run in (streamed, memory))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bad_images_stop_the_run_or_are_listed(image_folder, tmp_path):
    (image_folder / "dark" / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    with pytest.raises(ImageError, match=r"broken.jpg"):
        fit(recipe.load("smoke", ("epochs=1",), data=str(image_folder)), out=tmp_path / "runs")
    skipping = recipe.load("smoke", ("epochs=1", "data.on_bad_image=skip"), data=str(image_folder))
    run = fit(skipping, out=tmp_path / "runs")
    assert "broken.jpg" in json.loads((run.path / "skipped.json").read_text())[0]["image"]


def test_an_interruption_that_keras_swallows_still_stops_the_run(tmp_path, monkeypatch):
    """Keras waits for the device inside of a bare `except: pass`, where most of a short step's time goes."""
    import signal

    class InterruptInLogs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                with contextlib.suppress(BaseException):  # what pythonify_logs does
                    signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        fit(recipe.load("smoke", ("epochs=6",)), out=tmp_path, name="half", extra_callbacks=[InterruptInLogs()])
    assert len((tmp_path / "half" / "history.csv").read_text().splitlines()) == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_home_folder_is_spelled_out_in_the_saved_recipe(image_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(image_folder.parent))
    settings = ("epochs=1", "batch_size=8", "data.image_size=16")
    run = fit(recipe.load("smoke", settings, data="~/images"), out=tmp_path / "runs")
    assert recipe.load(run.recipe).data.path == str(image_folder)
