"""Callbacks inside of a real `model.fit`."""

import csv
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kcnn.callbacks.average import AverageWeights
from kcnn.callbacks.best import KeepBest
from kcnn.callbacks.early_stopping import EarlyStopping
from kcnn.callbacks.finite import StopOnNaN
from kcnn.callbacks.history import COLUMNS, RunHistory
from kcnn.callbacks.tensorboard import TensorBoardScalars
from kcnn.errors import TrainingError


def model_and_data(rate=0.05):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.BatchNormalization(momentum=0.5)(inputs)
    outputs = keras.layers.Dense(3)(x)
    model = keras.Model(inputs, outputs)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"], jit_compile=keras.config.backend() == "jax")
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (40, 6)).astype("float32")
    y = np.eye(3, dtype="float32")[rng.integers(0, 3, 40)]
    return model, x, y


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def fit(model, x, y, callbacks, epochs=3, **options):
    model.fit(
        x,
        y,
        batch_size=10,
        epochs=epochs,
        validation_data=(x, y),
        callbacks=callbacks,
        verbose=0,
        shuffle=False,
        **options,
    )


def copied(model):
    return [np.array(weight) for weight in model.get_weights()]


class Recorder(keras.callbacks.Callback):
    """Copies all weights after every step."""

    def on_train_begin(self, logs=None):
        self.steps = [copied(self.model)]

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        self.steps.append(copied(self.model))


@pytest.mark.parametrize("every", [1, 5])
def test_the_average_covers_every_weight_and_the_statistics_too(every):
    model, x, y = model_and_data()
    recorder = Recorder()
    fit(model, x, y, [recorder, AverageWeights(0.9, every)])
    average = [w.astype("float64") for w in recorder.steps[0]]
    for count, weights in enumerate(recorder.steps[every::every], 1):
        decay = min(0.9, (1 + count) / (10 + count))
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
    for weight, found, expected in zip(model.weights, model.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=weight.path)


def test_the_average_does_not_disturb_the_training():
    plain, averaged = Recorder(), Recorder()
    for recorder, callbacks in ((plain, []), (averaged, [AverageWeights(0.9)])):
        model, x, y = model_and_data()
        fit(model, x, y, [recorder, *callbacks])
    for one, other in zip(plain.steps, averaged.steps, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_average_does_not_remember_how_it_came_about():
    """PyTorch would keep the history of every step in memory."""
    model, x, y = model_and_data()
    averaging = AverageWeights(0.9)
    fit(model, x, y, [averaging])
    assert not any(getattr(value, "requires_grad", False) for value in averaging.average)


def test_validation_sees_the_average():
    model, x, y = model_and_data()
    fit(model, x, y, [AverageWeights(0.9)])
    expected = model.history.history["val_loss"][-1]
    assert float(model.evaluate(x, y, batch_size=10, verbose=0)[0]) == pytest.approx(expected, rel=1e-5)


def test_an_average_that_has_not_begun_is_not_shown():
    """It would be that of the initial weights."""
    plain, late = (model_and_data() for _ in range(2))
    fit(*plain, [])
    fit(*late, [AverageWeights(0.9, every=100)])
    assert late[0].history.history["val_loss"] == plain[0].history.history["val_loss"]
    for one, other in zip(copied(late[0]), copied(plain[0]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_best_epoch_comes_back():
    model, x, y = model_and_data(rate=0.5)
    best = KeepBest()
    fit(model, x, y, [best], epochs=8)
    history = model.history.history
    scores = list(zip(history["val_accuracy"], [-loss for loss in history["val_loss"]], strict=True))
    assert best.epoch == scores.index(max(scores))
    assert float(model.evaluate(x, y, batch_size=10, verbose=0)[0]) == pytest.approx(
        history["val_loss"][best.epoch], rel=1e-5
    )


def test_a_loss_that_is_no_number_stops_the_training():
    model, x, y = model_and_data(rate=1.0)
    x[15] = np.nan
    with pytest.raises(TrainingError, match=r"became nan by step 2 \(epoch 1\), at a learning rate of 0.25"):
        fit(model, x, y, [StopOnNaN(lambda step: 0.25)])


def test_the_history_has_a_row_an_epoch(tmp_path):
    model, x, y = model_and_data()
    path = tmp_path / "history.csv"
    history = RunHistory(path, lambda step: 0.5 - step / 100, 4, 40)
    fit(model, x, y, [history])
    rows = read(path)
    assert list(rows[0]) == list(COLUMNS)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["learning_rate"]) for row in rows] == [0.47, 0.43, 0.39]
    assert float(rows[2]["val_loss"]) == pytest.approx(model.history.history["val_loss"][2])
    assert all(float(row["images_per_second"]) > 0 for row in rows)


def test_a_history_without_validation_leaves_its_columns_empty(tmp_path):
    model, x, y = model_and_data()
    path = tmp_path / "history.csv"
    model.fit(x, y, batch_size=10, callbacks=[RunHistory(path, lambda step: 0.1, 4, 40)], verbose=0)
    assert read(path)[0]["val_loss"] == ""


def events(path):
    """Return (step, tag, number) of each scalar in the event files of a folder, and the steps to purge from."""
    from tensorboardX.proto import event_pb2

    scalars, purged = [], []
    for file in sorted(path.iterdir()):
        content, at = file.read_bytes(), 0
        while at < len(content):
            size = int.from_bytes(content[at : at + 8], "little")
            event = event_pb2.Event.FromString(content[at + 12 : at + 12 + size])
            scalars += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            purged += [event.step] * event.HasField("session_log")
            at += 16 + size
    return scalars, purged


def test_tensorboard_files_hold_the_numbers(tmp_path):
    model, x, y = model_and_data()
    fit(model, x, y, [TensorBoardScalars(tmp_path, lambda step: 0.1, 4)])
    scalars, purged = events(tmp_path)
    assert [value for _, tag, value in scalars if tag == "loss"] == pytest.approx(model.history.history["loss"])
    assert {"loss", "val_accuracy", "learning_rate"} <= {tag for _, tag, _ in scalars}
    assert purged == []


def test_tensorboard_files_of_a_killed_run_are_written_anew(tmp_path):
    """Its last epochs may not have been on the disk, though they were in the checkpoint."""
    before = TensorBoardScalars(tmp_path / "before", lambda step: 0.1, 4)
    after = TensorBoardScalars(tmp_path / "after", lambda step: 0.1, 4)
    for epoch in range(3):
        before.on_epoch_end(epoch, {"loss": epoch / 4})
    after.set_state(before.get_state())
    after.on_epoch_end(3, {"loss": 0.75})
    for each in (before, after):
        each.on_train_end()
    scalars, purged = events(tmp_path / "after")
    assert [(step, value) for step, tag, value in scalars if tag == "loss"] == [(n + 1, n / 4) for n in range(4)]
    assert purged == [1]


def test_the_best_of_one_quantity_is_not_that_of_another():
    """A forced resume may watch another one."""
    before = EarlyStopping(monitor="val_loss")
    before.on_train_begin()
    before.best, before.wait = 0.6, 3
    for monitor, expected in (("val_loss", (3, 0.6)), ("loss", (0, None))):
        after = EarlyStopping(monitor=monitor)
        after.on_train_begin()
        after.set_state(before.get_state())
        assert (after.wait, after.best) == expected


def test_the_time_before_a_stop_counts(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("kcnn.callbacks.history.time", SimpleNamespace(perf_counter=lambda: now[0]))
    before, after = (RunHistory(tmp_path / name, lambda step: 0.1, 4, 40) for name in ("before.csv", "after.csv"))
    before.on_epoch_begin(0)
    now[0] = 6.0
    after.set_state(before.get_state())
    after.set_model(SimpleNamespace(get_metrics_result=lambda: {"loss": 0.0}))
    after.on_epoch_begin(0)
    now[0] = 8.0
    after.on_epoch_end(0, {"loss": 1.0, "accuracy": 0.5})
    assert (after.rows[0]["seconds"], after.rows[0]["images_per_second"]) == (8.0, 5.0)


def test_a_loss_is_looked_at_within_an_epoch_too():
    watch = StopOnNaN(lambda step: 0.1)
    for step in range(1, 50):
        watch.on_train_batch_end(0, {"loss": 1.0 if step < 3 else np.nan})
    with pytest.raises(TrainingError, match="step 50"):
        watch.on_train_batch_end(0, {"loss": np.nan})
