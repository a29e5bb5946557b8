"""What may differ when a training goes on: nothing, unless it is forced."""

import numpy as np
import pytest
from labelled import by_label
from resumable import STEPS, At, Killed, kill, learned, stopped

from kcnn import checkpoint, recipe
from kcnn.errors import CheckpointError, UsageError
from kcnn.run import Run
from kcnn.workflows.fit import fit, resume


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


def test_what_was_forced_and_killed_at_once_goes_on_unforced(half):
    """The recipe of the folder is that of the checkpoint, also before the next one is saved."""
    changed = recipe.load(half.recipe, ("epochs=5",))
    with pytest.raises(Killed):
        resume(half, recipe=changed, force=True, extra_callbacks=[At(kill, step=1)])
    assert resume(Run.open_unfinished(half.path)).read_history()[-1]["epoch"] == 5


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


@pytest.mark.parametrize("epochs", [1, 2])
def test_fewer_steps_than_are_done_end_the_run(tmp_path, epochs):
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 3), "run.checkpoint_seconds=0")
    resume(run, recipe=recipe.load(run.recipe, (f"epochs={epochs}",)), force=True)
    assert len(learned(run)) == epochs + 1


def test_weights_from_within_an_epoch_have_no_numbers(tmp_path):
    run, _ = stopped(tmp_path, At(kill, step=STEPS + 3), "callbacks.best=false", "run.checkpoint_seconds=0")
    with pytest.raises(UsageError, match="more epochs"):
        resume(run, recipe=recipe.load(run.recipe, ("epochs=1",)), force=True)
    resume(run, recipe=recipe.load(run.recipe, ("epochs=2",)), force=True)
    assert len(learned(run)) == 3


def test_an_option_that_came_later_is_no_difference(half):
    latest = checkpoint.latest(half.checkpoints)
    identity = latest.state["identity"]
    older = identity["recipe"].replace("decay_norm_and_bias = true\n", "")
    assert older != identity["recipe"]
    checkpoint.save(half.checkpoints, latest.step, latest.state | {"identity": identity | {"recipe": older}})
    resume(half)


def test_a_training_that_has_no_epoch_and_no_step_left_is_told(tmp_path):
    settings = ("run.checkpoint_seconds=0", "optimizer.accumulation_steps=1")
    run, _ = stopped(tmp_path, At(kill, step=3), *settings)
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


def test_fewer_epochs_than_are_done_end_the_run(half):
    resume(half, recipe=recipe.load(half.recipe, ("epochs=1",)), force=True)
    assert len(learned(half)) == 2


def killed(images, tmp_path, step, *settings):
    """Return the run that is left of a training on a folder of images."""
    loaded = recipe.load("smoke", settings, data=str(images))
    with pytest.raises(Killed):
        fit(loaded, out=tmp_path, name="run", extra_callbacks=[At(kill, step=step)])
    return Run.open_unfinished(tmp_path / "run")


def test_other_data_is_refused(tmp_path):
    images = tmp_path / "images"
    rng = np.random.default_rng(0)
    from PIL import Image

    for name in ("a", "b"):
        (images / name).mkdir(parents=True)
        for index in range(20):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype="uint8")).save(images / name / f"{index}.png")
    settings = ("epochs=4", "batch_size=8", "data.validation=0.2")
    run = killed(images, tmp_path, 6, *settings)
    moved = images.rename(tmp_path / "moved")
    assert checkpoint.found(run.checkpoints)
    first = moved / "a" / "0.png"
    content = first.read_bytes()
    Image.fromarray(np.zeros((8, 8), "uint8")).save(first)
    with pytest.raises(UsageError, match="fingerprint of the data: "):
        resume(run, recipe=recipe.load(run.recipe, data=str(moved)))
    first.write_bytes(content)
    resume(run, recipe=recipe.load(run.recipe, data=str(moved)))  # elsewhere, but the same images


def test_other_data_that_is_forced_is_the_runs_own_from_then_on(digit_files, tmp_path):
    """Measured whole it would seem unseen."""
    from kcnn.workflows.evaluate import evaluate

    files = sorted(digit_files.iterdir())
    first = by_label([file for file in files if file.name[0] in "01"], tmp_path / "first")
    more = by_label([file for file in files if file.name[0] in "0123"], tmp_path / "more")
    for odd in "23":  # the same two classes
        for file in (more / odd).iterdir():
            file.rename(more / str(int(odd) % 2) / file.name)
        (more / odd).rmdir()
    settings = ("epochs=3", "batch_size=4", "data.validation=0.2", "data.test=0.2", "run.checkpoint_seconds=0")
    run = killed(first, tmp_path, 2, *settings)
    run = resume(run, recipe=recipe.load(run.recipe, data=str(more)), force=True)
    found = evaluate(run, data_path=str(more.rename(tmp_path / "moved")))
    assert (found.what, found.data) == ("test", None)


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
