"""A training that is stopped at any moment ends with the bits of the one that was not."""

import json
import shutil
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from resumable import At, Killed, assert_same, kill, learned, loaded

from kcnn import checkpoint, recipe
from kcnn.cli.fit import _backend_of
from kcnn.errors import CheckpointError, Interrupted, RunError, UsageError
from kcnn.run import Run
from kcnn.workflows.fit import fit, resume

STEPS = 4  # an epoch


def stopped(tmp_path, at, *settings, error=Killed):
    with pytest.raises(error) as caught:
        fit(loaded(*settings), out=tmp_path, name="run", extra_callbacks=[at])
    return Run.open_unfinished(tmp_path / "run"), caught.value


@pytest.mark.parametrize(
    "at",
    [{"step": 3}, {"step": STEPS}, {"validation": 1}, {"step": 4 * STEPS}],
    ids=["in the first epoch", "at its end", "in a validation", "at the very end"],
)
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path, whole, at):
    run, _ = stopped(tmp_path, At(kill, **at), "run.checkpoint_seconds=0")
    resume(run)
    assert_same(run, whole)


def test_a_run_can_be_killed_between_its_last_checkpoint_and_its_model(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("kcnn.workflows.fit.save", lambda *arguments: kill())
    run, _ = stopped(tmp_path, At(kill))
    monkeypatch.undo()
    assert checkpoint.latest(run.checkpoints).step == 4 * STEPS
    resume(run)
    assert_same(run, whole)


def test_momentum_that_is_made_orthogonal_and_flips_that_alternate_go_on(tmp_path):
    settings = ('optimizer={name="muon", learning_rate=0.05}', 'augment=[{name="horizontal_flip", alternate=true}]')
    expected = fit(loaded(*settings), out=tmp_path, name="expected")
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 2), "run.checkpoint_seconds=0", *settings)
    resume(run)
    assert_same(run, expected)


def test_checkpoints_within_an_epoch_are_so_many_seconds_apart(tmp_path, monkeypatch):
    now, saved, save = [0.0], [], checkpoint.save

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            now[0] += 1

    def noted(folder, step, state):
        saved.append(step)
        return save(folder, step, state)

    monkeypatch.setattr("kcnn.callbacks.checkpoints.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(checkpoint, "save", noted)
    fit(loaded("epochs=2", "run.checkpoint_seconds=2.5"), out=tmp_path, extra_callbacks=[Clock()])
    assert saved == [3, STEPS, STEPS + 3, 2 * STEPS]
    assert loaded().run.checkpoint_seconds == 60


def test_steps_since_the_last_checkpoint_are_made_again(tmp_path, whole):
    run, _ = stopped(tmp_path, At(kill, step=2 * STEPS + 3), "run.checkpoint_seconds=1000")
    assert checkpoint.latest(run.checkpoints).step == 2 * STEPS
    resume(run)
    assert_same(run, whole)


def test_a_run_without_a_checkpoint_starts_from_its_beginning(tmp_path, whole):
    run = Run.create(tmp_path, "run")
    run.recipe.write_text(whole.recipe.read_text())
    said = []
    resume(run, say=said.append)
    assert "starts from its beginning" in said[0]
    assert_same(run, whole)


def test_what_starts_from_its_beginning_is_described_as_it_is_now(half):
    shutil.rmtree(half.checkpoints)
    half.write_json(half.environment, {"backend": "another", "started": "before", "resumed": [{"step": 3}]})
    resume(half)
    found = half.known_environment()
    assert found["backend"] == keras.config.backend()
    assert "resumed" not in found


def test_the_backend_is_that_of_the_checkpoint(half):
    """environment.json may name the one of a forced resumption that came to no checkpoint."""
    half.write_json(half.environment, {"backend": "another", "resumed": [{"backend": "a third"}]})
    assert _backend_of(half) == keras.config.backend()
    shutil.rmtree(half.checkpoints)
    assert _backend_of(half) == "another"
    half.environment.unlink()
    assert _backend_of(half) is None


def test_early_stopping_is_not_forgotten(tmp_path):
    patient = (
        "callbacks.early_stopping.patience=1",
        "callbacks.early_stopping.min_delta=9.0",
        "run.checkpoint_seconds=0",
    )
    expected = fit(loaded(*patient), out=tmp_path, name="expected")
    rows = len(learned(expected)) - 1
    assert rows == 2  # the second epoch is no better by 9
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 2), *patient)
    resume(run)
    assert_same(run, expected)
    late = tmp_path / "late"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kcnn.workflows.fit.save", lambda *arguments: kill())
        run, _ = stopped(late, At(kill), *patient)
    resume(run)
    assert_same(run, expected)


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGINT, {"step": STEPS + 2}), (signal.SIGTERM, {"validation": 0})],
    ids=["Ctrl-C in a step", "SIGTERM in a validation"],
)
def test_an_interruption_saves_and_tells_how_to_go_on(tmp_path, whole, number, at):
    before = signal.getsignal(number)
    interrupt = At(lambda: signal.raise_signal(number), **at)
    interrupt.action = once(interrupt.action)
    run, error = stopped(tmp_path, interrupt, "run.checkpoint_seconds=1000", error=Interrupted)
    assert f"kcnn fit --resume {run.path}" in str(error)
    assert "nothing is lost" in str(error)
    assert checkpoint.latest(run.checkpoints).step == at.get("step", STEPS)
    assert signal.getsignal(number) is before
    resume(run)
    assert_same(run, whole)


def once(action):
    calls = []

    def act():
        calls.append(action)
        if len(calls) == 1:
            action()

    return act


def test_a_second_interruption_does_not_wait(tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    run, error = stopped(tmp_path, At(twice, step=STEPS + 2), "run.checkpoint_seconds=1000", error=Interrupted)
    assert "The last checkpoint is kept" in str(error)
    assert checkpoint.latest(run.checkpoints).step == STEPS


def test_a_damaged_checkpoint_is_passed_over_aloud(tmp_path, whole):
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 3), "run.checkpoint_seconds=0")
    newest = checkpoint.found(run.checkpoints)[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    said = []
    resume(run, say=said.append)
    assert newest.name in said[0]
    assert_same(run, whole)


@pytest.fixture(scope="module")
def half_once(tmp_path_factory):
    return stopped(tmp_path_factory.mktemp("half"), At(kill, step=STEPS + 1))[0]


@pytest.fixture
def half(half_once, tmp_path):
    return Run(Path(shutil.copytree(half_once.path, tmp_path / "run")))


def test_a_changed_recipe_is_refused_with_the_difference(half):
    changed = recipe.load(half.recipe, ("epochs=9", "optimizer.learning_rate=0.1", "callbacks.best=false"))
    with pytest.raises(UsageError) as caught:
        resume(half, recipe=changed)
    for line in ("epochs: 4 -> 9", "optimizer.learning_rate: 0.005 -> 0.1", "callbacks.best: true -> false"):
        assert line in str(caught.value)
    assert recipe.load(half.recipe).epochs == 4


def test_force_goes_on_with_a_changed_recipe(half):
    said = []
    resume(
        half,
        recipe=recipe.load(half.recipe, ("epochs=6", "optimizer.learning_rate=0.001")),
        force=True,
        say=said.append,
    )
    assert "epochs: 4 -> 6" in said[0]
    assert len(learned(half)) == 7
    assert recipe.load(half.recipe).epochs == 6


def test_force_goes_on_without_validation_images(half):
    """History, curves and report then know them of the first epochs alone."""
    settings = ("data.validation=0.0", "callbacks.best=false", "callbacks.early_stopping.monitor=loss")
    resume(half, recipe=recipe.load(half.recipe, settings), force=True)
    rows = half.read_history()
    assert ["val_loss" in row for row in rows] == [True, False, False, False]
    assert half.curves.is_file()
    assert (half.report / "index.html").is_file()


def test_force_cannot_give_the_weights_to_another_network(half):
    with pytest.raises(CheckpointError, match="model"):
        resume(half, recipe=recipe.load(half.recipe, ("model.width=16",)), force=True)
    resume(half)  # nothing was changed


def test_a_run_that_another_process_has_just_finished_is_left_alone(half):
    half.model.write_bytes(b"finished meanwhile")
    with pytest.raises(RunError, match="finished already"):
        resume(half)
    assert half.model.read_bytes() == b"finished meanwhile"


@pytest.mark.parametrize("epochs", [1, 2])
def test_fewer_steps_than_are_done_end_the_run(tmp_path, epochs):
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 3), "run.checkpoint_seconds=0")
    resume(run, recipe=recipe.load(run.recipe, (f"epochs={epochs}",)), force=True)
    assert len(learned(run)) == epochs + 1


def test_a_training_that_has_no_epoch_and_no_step_left_is_told(tmp_path):
    run, _ = stopped(tmp_path, At(kill, step=3), "run.checkpoint_seconds=0")
    with pytest.raises(UsageError, match="more epochs"):
        resume(run, recipe=recipe.load(run.recipe, ("epochs=1", "batch_size=200")), force=True)


def test_the_best_that_is_kept_is_what_the_numbers_are_of(tmp_path):
    """It may be watched for by a forced resumption alone, after better epochs."""
    run, _ = stopped(tmp_path, At(kill, step=2 * STEPS + 1), "callbacks.best=false", "run.checkpoint_seconds=0")
    latest = checkpoint.latest(run.checkpoints)
    for row in latest.state["callbacks"]["RunHistory"]["rows"]:
        row["val_accuracy"] = 1.0
    checkpoint.save(run.checkpoints, latest.step, latest.state)
    resume(run, recipe=recipe.load(run.recipe, ("callbacks.best=true",)), force=True)
    rows = run.read_history()
    assert [row["val_accuracy"] for row in rows[:2]] == [1.0, 1.0]
    assert run.read_json(run.metrics)["val_accuracy"] == max(row["val_accuracy"] for row in rows[2:])


def test_a_kill_at_the_very_end_leaves_no_checkpoints_for_ever(half):
    half.model.write_bytes(b"finished")
    with pytest.raises(RunError, match="finished already"):
        Run.open_unfinished(half.path)
    assert not half.checkpoints.exists()


def test_fewer_epochs_than_are_done_end_the_run(half):
    resume(half, recipe=recipe.load(half.recipe, ("epochs=1",)), force=True)
    assert len(learned(half)) == 2


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_damaged_environment_stops_no_run(half, kcnn, content):
    half.environment.unlink()
    if content:
        half.environment.write_text(content)
    assert kcnn("fit", "--resume", half.path)[0] == 0


def test_an_interruption_while_the_model_is_saved_tells_how_to_go_on(tmp_path, whole, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("kcnn.workflows.fit.save", interrupt)
    run, error = stopped(tmp_path, At(kill), error=Interrupted)
    assert run.resume_command in str(error)
    monkeypatch.undo()
    resume(run)
    assert_same(run, whole)


def test_other_data_is_refused(tmp_path):
    images = tmp_path / "images"
    rng = np.random.default_rng(0)
    from PIL import Image

    for name in ("a", "b"):
        (images / name).mkdir(parents=True)
        for index in range(20):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype="uint8")).save(images / name / f"{index}.png")
    settings = ("epochs=4", "batch_size=8", "data.validation=0.2")
    with pytest.raises(Killed):
        fit(
            recipe.load("smoke", settings, data=str(images)),
            out=tmp_path,
            name="run",
            extra_callbacks=[At(kill, step=6)],
        )
    run = Run.open_unfinished(tmp_path / "run")
    moved = images.rename(tmp_path / "moved")
    assert checkpoint.found(run.checkpoints)
    first = moved / "a" / "0.png"
    content = first.read_bytes()
    Image.fromarray(np.zeros((8, 8), "uint8")).save(first)
    with pytest.raises(UsageError, match="fingerprint of the data: "):
        resume(run, recipe=recipe.load(run.recipe, data=str(moved)))
    first.write_bytes(content)
    resume(run, recipe=recipe.load(run.recipe, data=str(moved)))  # elsewhere, but the same images


@pytest.mark.parametrize("folder", ["numbers", "numbers/seed1"])
def test_numbers_alone_are_not_trained_over(smoke_run, tmp_path, kcnn, folder):
    """As in docs/runs: what was measured would be written over by another training."""
    run = Run(tmp_path / folder)
    run.path.mkdir(parents=True)
    if run.name == "seed1":
        plan = {"seeds": [0, 1], "recipe": smoke_run.recipe.read_text()}
        (tmp_path / "numbers" / "seeds.json").write_text(json.dumps(plan))
    for file in (smoke_run.recipe, smoke_run.history, smoke_run.metrics, smoke_run.environment):
        shutil.copy(file, run.path)
    for arguments in (("fit", "--resume"), ("evaluate",)):
        code, _, err = kcnn(*arguments, tmp_path / "numbers")
        assert code == 2
        assert "neither its model nor a checkpoint" in err.splitlines()[-1]
    assert not (tmp_path / "numbers" / "seed0").exists()
    assert run.history.read_bytes() == smoke_run.history.read_bytes()


def test_another_backend_is_refused_and_can_be_forced(half, child, other_backends, backend_name):
    if not other_backends:
        pytest.skip("one backend alone is installed")
    other = other_backends[0]
    result = child("fit", "--resume", half.path, "--backend", other)
    assert result.returncode == 2
    assert f"backend: {backend_name} -> {other}" in result.stderr
    result = child("fit", "--resume", half.path, "--backend", other, "--force")
    assert result.returncode == 0, result.stderr
    assert len(learned(half)) == 5


def test_a_run_is_trained_by_one_process_at_a_time(half):
    with half.lock(), pytest.raises(RunError, match="Another process"):
        resume(half)
    assert checkpoint.found(half.checkpoints)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "nowhere"], "is not a run"),
        (["--resume", ""], "names no run"),
        (["--resume", "x", "--name", "y"], "leave --name and --out out"),
        (["--resume", "x", "--out", "y"], "leave --name and --out out"),
        (["smoke", "--resume", "x"], "takes the recipe from the run"),
        (["smoke", "--force"], "belongs to --resume"),
    ],
)
def test_mistakes_in_the_call(kcnn, arguments, message):
    code, _, err = kcnn("fit", *arguments)
    assert code == 2
    assert message in err


def test_a_finished_run_is_left_alone(kcnn, smoke_run):
    code, _, err = kcnn("fit", "--resume", smoke_run.path)
    assert code == 2
    assert "finished already" in err


def test_an_unfinished_run_tells_how_to_finish_it(kcnn, half):
    code, _, err = kcnn("evaluate", half.path)
    assert code == 2
    assert f"kcnn fit --resume {half.path}" in err


def test_the_environment_remembers_the_resumption(half):
    resume(half, command="kcnn fit --resume run")
    found = json.loads(half.environment.read_text())
    assert found["resumed"][0]["step"] == STEPS
    assert found["resumed"][0]["command"] == "kcnn fit --resume run"
    assert found["data"]["fingerprint"] == found["resumed"][0]["data"]["fingerprint"]


def test_interrupts_are_left_to_their_owner_outside_of_the_main_thread(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(loaded("epochs=1"), out=tmp_path)))
    thread.start()
    thread.join()
    assert found[0].model.is_file()


@pytest.mark.slow
def test_auxiliary_heads_go_on_where_they_stood(tmp_path):
    settings = ("model.name=googlenet", "model.auxiliary=true", "data.image_size=32", "data.limit=40", "epochs=2")
    settings = (*settings, "batch_size=8", "optimizer.learning_rate=1e-4", "run.checkpoint_seconds=0")
    expected = fit(loaded(*settings), out=tmp_path, name="expected")
    run, _ = stopped(tmp_path, At(kill, step=3), *settings)
    resume(run)
    assert_same(run, expected)
