"""A training that is stopped at any moment ends with the bits of the one that was not."""

import json
import shutil
import signal
import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from resumable import STEPS, At, assert_same, kill, learned, loaded, stopped

from kcnn import checkpoint
from kcnn.cli.fit import _backend_of
from kcnn.errors import Interrupted, RunError, TrainingError
from kcnn.run import Run
from kcnn.workflows.fit import fit, resume


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


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_goes_on_within_an_epoch(tmp_path, precision):
    settings = (f"precision={precision}", "epochs=2")
    expected = fit(loaded(*settings), out=tmp_path, name="expected")
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 2), "run.checkpoint_seconds=0", *settings)
    resume(run)
    assert_same(run, expected)


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


def test_weights_that_are_no_numbers_take_no_good_ones_place(tmp_path):
    """The rate explodes with the second epoch, whose loss is looked at only at its end."""
    rates = ("schedule.name=step", "schedule.milestones=[1]", "schedule.gamma=1e30", "optimizer.accumulation_steps=1")
    run, error = stopped(tmp_path, At(lambda: None), "run.checkpoint_seconds=0", *rates, error=TrainingError)
    assert "(epoch 2)" in str(error)
    latest = checkpoint.latest(run.checkpoints)
    assert latest.step == STEPS + 1
    assert all(np.isfinite(weight).all() for weight in latest.state["weights"])


def test_an_interruption_does_not_say_that_what_is_no_number_was_saved(tmp_path):
    rates = ("schedule.name=step", "schedule.milestones=[1]", "schedule.gamma=1e30", "optimizer.accumulation_steps=1")
    stop = At(lambda: signal.raise_signal(signal.SIGINT), step=STEPS + 3)
    run, error = stopped(tmp_path, stop, *rates, error=Interrupted)
    assert str(error).startswith("Stopped. The last checkpoint is kept.")
    assert checkpoint.latest(run.checkpoints).step == STEPS


def test_a_damaged_checkpoint_is_passed_over_aloud(tmp_path, whole):
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 3), "run.checkpoint_seconds=0")
    newest = checkpoint.found(run.checkpoints)[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    said = []
    resume(run, say=said.append)
    assert newest.name in said[0]
    assert_same(run, whole)


def test_a_run_that_another_process_has_just_finished_is_left_alone(half):
    half.model.write_bytes(b"finished meanwhile")
    with pytest.raises(RunError, match="finished already"):
        resume(half)
    assert half.model.read_bytes() == b"finished meanwhile"


def test_a_kill_at_the_very_end_leaves_no_checkpoints_for_ever(half):
    half.model.write_bytes(b"finished")
    with pytest.raises(RunError, match="finished already"):
        Run.open_unfinished(half.path)
    assert not half.checkpoints.exists()


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


def test_a_run_is_held_from_its_first_step(tmp_path):
    def another():
        with pytest.raises(RunError, match="Another process is training"), Run(tmp_path / "run").lock():
            pass

    fit(loaded("epochs=1"), out=tmp_path, name="run", extra_callbacks=[At(another, step=1)])
