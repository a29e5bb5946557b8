"""Train a recipe and leave a run folder; go on with a training that was stopped."""

import contextlib
from pathlib import Path

import keras
import numpy as np

from kcnn import backend, checkpoint, data
from kcnn import recipe as recipes
from kcnn.assemble import assemble, callbacks, deployable
from kcnn.callbacks.checkpoints import SaveCheckpoints
from kcnn.callbacks.interrupt import noted_interrupts
from kcnn.callbacks.one_training import OneTraining
from kcnn.environment import describe
from kcnn.errors import Interrupted, RunError, UsageError
from kcnn.run import DEFAULT_PARENT, Run, atomic, write_text
from kcnn.workflows._curves import draw_curves
from kcnn.workflows.report import write_report


def _silent(message):
    pass


def fit(
    recipe,
    *,
    out=DEFAULT_PARENT,
    name=None,
    stem=None,
    command=None,
    extra_callbacks=(),
    load_progress=None,
    say=_silent,
):
    """Train `recipe` on the backend that Keras runs on and return the finished `Run`.

    Args:
        recipe: What `kcnn.recipe.load` returned.
        out: The folder that will hold the run folder.
        name: Name of the run folder; an error if it is taken.
        stem: Name to use where `name` is None, with a number behind it if it is taken.
        command: The command line, for `environment.json`.
        extra_callbacks: Keras callbacks beside the recipe's, for instance one that shows progress.
        load_progress: Called as `(done, total, what)` while images are read.
        say: Called with a sentence about what the user should know.

    Raises:
        RunError: The name is taken, or the folder cannot be made.
        Interrupted: Ctrl-C or SIGTERM came; `resume` goes on from there.
        RecipeError, DataError, ImageError, TrainingError: As their messages say.
    """
    if name:
        Run.check_free(out, name)  # before minutes go into reading images
    dataset = data.load(recipe.data, recipe.seed, progress=load_progress)
    recipe = resolve(recipe, dataset)
    run = Run.create(out, name) if name else Run.create_unique(out, stem or recipe.data.name)
    try:
        with run.lock(), _resumable(run):
            write_text(run.recipe, recipes.to_toml(recipe))
            run.write_json(run.environment, describe(keras.config.backend(), command, _data_facts(dataset)))
            _train(run, recipe, dataset, None, extra_callbacks, say)
    except BaseException:
        if not checkpoint.found(run.checkpoints):
            run.remove()  # nothing was done that could be lost, and the name is free again
        raise
    return run


def resume(run, *, recipe=None, force=False, command=None, extra_callbacks=(), load_progress=None, say=_silent):
    """Go on with an unfinished training, as if it had never stopped, and return the finished `Run`.

    Args:
        run: What `Run.open_unfinished` returned.
        recipe: A changed recipe, or None for the run's own.
        force: Go on although the recipe, the data or the backend differ.
        command, extra_callbacks, load_progress, say: As for `fit`.

    Raises:
        UsageError: Something differs from what the training began with, and `force` is not given.
        CheckpointError: No checkpoint is undamaged.
    """
    with run.lock(), _resumable(run):
        if run.model.is_file():  # another process finished it while this one was starting
            raise RunError(f"{run.path} is finished already; there is nothing to resume.")
        run.remove_half_done()
        latest = checkpoint.latest(run.checkpoints, say)
        recipe = recipe or recipes.load(run.recipe)
        before = latest.state["identity"] if latest else None
        if before:
            _check_identity(before, before | {"backend": keras.config.backend()}, force, say)
        dataset = data.load(recipe.data, recipe.seed, progress=load_progress)
        recipe = resolve(recipe, dataset)
        if before:
            _check_identity(before, _identity(recipe, dataset), force, say)
        else:
            say("The run has no checkpoint yet; it starts from its beginning.")
        environment = run.known_environment()
        now = describe(keras.config.backend(), command, _data_facts(dataset))
        _tell_versions(environment.get("versions", {}), now["versions"], say)
        resumed = [*environment.get("resumed", []), {"step": latest.step if latest else 0, **now}]

        def restored():
            write_text(run.recipe, recipes.to_toml(recipe))
            run.write_json(run.environment, {**(environment or now), "resumed": resumed})

        _train(run, recipe, dataset, latest, extra_callbacks, say, restored)
    return run


def _train(run, recipe, dataset, resumed, extra_callbacks, say, restored=lambda: None):
    """Train from `resumed`, a `Checkpoint` or None, to the end, and leave the finished run.

    `restored` is called once the checkpoint has been taken, so that one that does not fit changes nothing.
    """
    if recipe.run.deterministic:  # for callers of the library; the command line did so before Keras was imported
        backend.make_deterministic(keras.config.backend())
    training = assemble(recipe, dataset)
    run.write_json(run.labels, dataset.class_names)
    if dataset.skipped:
        skipped = [{"image": image, "reason": reason} for image, reason in dataset.skipped]
        run.write_json(run.path / "skipped.json", skipped)
    own, history = callbacks(recipe, training, run)
    steps = training.batches.steps_per_epoch
    with noted_interrupts(say) as interrupted:
        saving = SaveCheckpoints(
            run.checkpoints,
            own,
            _identity(recipe, dataset),
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            seconds=recipe.run.checkpoint_seconds,
            interrupted=interrupted,
            command=run.resume_command,
            resumed=resumed,
        )
        step = resumed.step if resumed else 0
        watching = OneTraining(
            [*own, *extra_callbacks, saving],
            add_history=True,  # which `fit` returns
            model=training.model,
            epochs=recipe.epochs,
            steps=steps,
            start=step,
        )
        if step % steps:
            training.model.test_on_batch(*training.batches[step])  # makes the metrics' variables, to be restored
        watching.begin()
        restored()
        if not (resumed and resumed.state["stopped"]):
            _fit(training, watching, step, recipe.epochs)
        watching.end()
    save(run, recipe, dataset, training, history.rows)
    run.remove_checkpoints()
    write_report(run)  # last, since a run is whole without it


def _fit(training, watching, step, epochs):
    """Call `model.fit` for what is left after `step`: the rest of an epoch, then whole epochs."""
    steps = training.batches.steps_per_epoch
    epoch, done = divmod(step, steps)
    parts = [(epoch, epochs, steps)]
    if done:
        parts = [(epoch, epoch + 1, steps - done), (epoch + 1, epochs, steps)]
    for first, last, count in parts:
        if first >= last:  # nothing is left, or with --force fewer epochs than are done
            continue
        training.model.fit(
            training.feed((first + 1) * steps - count),
            steps_per_epoch=count,
            initial_epoch=first,
            epochs=last,
            validation_data=training.validation,
            callbacks=watching,
            shuffle=False,  # the batches come in the order that the seed gave them
            verbose=0,
        )
        if training.model.stop_training:
            break


@contextlib.contextmanager
def _resumable(run):
    """Turn an interruption that did not wait into one that tells how to go on, where there is a checkpoint."""
    try:
        yield
    except KeyboardInterrupt:
        if not checkpoint.found(run.checkpoints):
            raise
        raise Interrupted("Stopped. The last checkpoint is kept.", run.resume_command) from None


def _identity(recipe, dataset):
    return {
        "backend": keras.config.backend(),
        "data": dataset.fingerprint,
        "recipe": recipes.to_toml(recipe),
    }


def _check_identity(before, now, force, say):
    """Raise `UsageError`, or say with `force`, what differs between the identities of two trainings."""
    changes = [
        f"{name}: {before[key]} -> {now[key]}"
        for key, name in (("backend", "backend"), ("data", "fingerprint of the data"))
        if before[key] != now[key]
    ]
    changes += recipes.differences(before["recipe"], now["recipe"])
    if not changes:
        return
    lines = "".join(f"\n  - {change}" for change in changes)
    if not force:
        raise UsageError(
            f"The run cannot go on as the training that it was:{lines}\n"
            "Give back what it began with, or let --force go on with another training."
        )
    say(f"Going on with another training than the one that began:{lines}")


def _tell_versions(before, now, say):
    changed = [f"{name} {before[name]} -> {now.get(name)}" for name in before if before[name] != now.get(name)]
    if changed:
        say(f"Versions have changed, so the last bits may differ from a run without a stop: {', '.join(changed)}.")


def _data_facts(dataset):
    return {
        "fingerprint": dataset.fingerprint,
        "train": len(dataset.train),
        "validation": len(dataset.validation) if dataset.validation is not None else 0,
    }


def resolve(recipe, dataset):
    """Return the recipe with everything spelled out that the data decided, so that it repeats elsewhere."""
    path = recipe.data.path
    decided = {
        "path": str(Path(path).expanduser().resolve()) if path else None,
        "image_size": dataset.image_shape[:2],
        "channels": dataset.image_shape[2],
        "mean": dataset.mean,
        "std": dataset.std,
    }
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=decided)})


def save(run, recipe, dataset, training, rows):
    """Write what a finished training leaves; model.keras comes last, since it marks the run as finished."""
    last = rows[-1]
    numbers = {
        "parameters": training.network.count_params(),
        "trainable_parameters": sum(int(np.prod(w.shape)) for w in training.network.trainable_weights),
        "epochs": len(rows),
        "train_count": len(dataset.train),
        "train_loss": last["loss"],
        "train_accuracy": last["accuracy"],
        "seconds": round(sum(row["seconds"] for row in rows), 3),
        "images_per_second": float(np.median([row["images_per_second"] for row in rows])),
    }
    if dataset.validation is not None:
        kept = rows[-1]
        if recipe.callbacks.best:
            kept = max(rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
        numbers |= {
            "val_count": len(dataset.validation),
            "val_loss": kept["val_loss"],
            "val_accuracy": kept["val_accuracy"],
        }
    run.update_metrics(numbers)
    draw_curves(rows, run.curves)
    with atomic(run.model) as path:
        deployable(recipe, dataset, training.network).save(path)
