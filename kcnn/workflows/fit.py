"""Train a recipe and leave a run folder; go on with a training that was stopped."""

import contextlib

import keras
import numpy as np

from kcnn import backend, checkpoint
from kcnn import recipe as recipes
from kcnn.assemble import assemble, callbacks, deployable
from kcnn.callbacks.best import KeepBest
from kcnn.callbacks.checkpoints import SaveCheckpoints
from kcnn.callbacks.interrupt import noted_interrupts
from kcnn.callbacks.one_training import OneTraining
from kcnn.environment import describe
from kcnn.errors import Interrupted, RunError, UsageError
from kcnn.files import atomic, check_writable, write_text
from kcnn.pretrained import located
from kcnn.run import DEFAULT_PARENT, Run
from kcnn.workflows._curves import draw_curves
from kcnn.workflows._prepare import check_validation, prepare
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
        Run.check_free(out, name)
    check_writable(out)  # before minutes go into reading images
    recipe, dataset, weights = prepare(recipe, progress=load_progress, say=say)
    check_validation(recipe.callbacks, dataset)
    recipe = resolve(recipe, dataset)
    run = Run.create(out, name) if name else Run.create_unique(out, stem or recipe.data.name)
    try:
        with run.lock(), _resumable(run):
            write_text(run.recipe, recipes.to_toml(recipe))
            run.write_json(run.environment, _environment(command, dataset, weights))
            _train(run, recipe, dataset, weights, _identity(recipe, dataset, weights), None, extra_callbacks, say)
    except BaseException:
        if not (run.model.is_file() or checkpoint.found(run.checkpoints)):
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
        recipe, dataset, weights = prepare(recipe, progress=load_progress, say=say, missing_weights=latest is not None)
        check_validation(recipe.callbacks, dataset)
        recipe = resolve(recipe, dataset)
        identity = _identity(recipe, dataset, weights)
        if before:
            if weights is None and recipe.model.weights:  # a checkpoint has all that was loaded from them
                identity["weights"] = before.get("weights")
            _check_identity(before, identity, force, say)
        else:
            say("The run has no checkpoint yet; it starts from its beginning.")
        environment = run.known_environment()
        now = _environment(command, dataset, weights)
        if latest:
            _tell_versions(environment.get("versions", {}), now["versions"], say)
            resumed = [*environment.get("resumed", []), {"step": latest.step, **now}]
            environment = {**(environment or now), "resumed": resumed}
        else:
            environment = now

        def restored():
            if latest and identity != before:  # or else a kill before the next one would leave two recipes
                checkpoint.save(run.checkpoints, latest.step, latest.state | {"identity": identity})
            write_text(run.recipe, recipes.to_toml(recipe))
            run.write_json(run.environment, environment)

        _train(run, recipe, dataset, weights, identity, latest, extra_callbacks, say, restored)
    return run


def _train(run, recipe, dataset, weights, identity, resumed, extra_callbacks, say, restored=lambda: None):
    """Train from `resumed`, a `Checkpoint` or None, to the end, and leave the finished run.

    `restored` is called once the checkpoint has been taken, so that one that does not fit changes nothing.
    """
    if recipe.run.deterministic:  # for callers of the library; the command line did so before Keras was imported
        backend.make_deterministic(keras.config.backend())
    training = assemble(recipe, dataset, None if resumed else weights)
    if training.loaded:
        say(str(training.loaded))
    own, history = callbacks(recipe, training, run)
    steps = training.batches.steps_per_epoch
    step = resumed.step if resumed else 0
    stopped = resumed is not None and resumed.state["stopped"]
    training.enter(training.stage_of((step - 1 if stopped else step) // steps))
    frozen = training.stage.frozen
    if frozen:
        say(f"{len(frozen)} layers with weights are frozen, the last of them {frozen[-1].name}.")
    with noted_interrupts(say) as interrupted:
        saving = SaveCheckpoints(
            run.checkpoints,
            own,
            identity,
            epochs=recipe.epochs,
            steps_per_epoch=steps,
            seconds=recipe.run.checkpoint_seconds,
            interrupted=interrupted,
            command=run.resume_command,
            resumed=resumed,
            new_optimizer=step == training.stage.first * steps,
        )
        watching = OneTraining(
            [*own, *extra_callbacks, saving],
            add_history=True,  # which `fit` returns
            model=training.model,
            epochs=recipe.epochs,
            steps=steps,
            start=step,
        )
        if step % steps:
            # Makes the metrics' variables, to be restored.
            training.model.test_on_batch(*training.batches[step % steps])
        watching.begin()
        kept = any(isinstance(each, KeepBest) and each.weights is not None for each in own)
        # With --force there may be fewer steps than are done. Weights from within an epoch have no numbers.
        if step >= len(training.batches) and (not history.rows or (step % steps and not kept)):
            raise UsageError(
                f"{step:,} steps are done, which end no epoch, and the whole training has {len(training.batches):,} "
                "now: give it more epochs."
            )
        restored()
        _tell_data(run, dataset)
        if not stopped:
            _fit(training, watching, step, recipe.epochs, say)
        watching.end()
    best = next((each.epoch for each in own if isinstance(each, KeepBest)), None)
    save(run, recipe, dataset, training, history.rows, best)
    run.remove_checkpoints()
    try:
        write_report(run)  # last, since a run is whole without it
    except OSError as error:
        say(f"The run is finished, but not its report: {error.strerror}. It is written by: {run.evaluate_command}")


def _tell_data(run, dataset):
    """Write the classes, and which images were skipped, if any were."""
    run.write_json(run.labels, dataset.class_names)
    if dataset.skipped:
        skipped = [{"image": image, "reason": reason} for image, reason in dataset.skipped]
        run.write_json(run.skipped, skipped)
    else:
        run.skipped.unlink(missing_ok=True)  # of the data before a forced resume


def _fit(training, watching, step, epochs, say):
    """Call `model.fit` for what is left after `step`: the rest of an epoch, then whole epochs, stage by stage."""
    steps = training.batches.steps_per_epoch
    epoch, done = divmod(step, steps)
    while epoch < epochs:  # with --force there may be fewer than are done
        stage = training.stage_of(epoch)
        if training.enter(stage):
            say(f"From epoch {epoch + 1} on all layers are trained.")
        last = epoch + 1 if done else stage.last
        training.model.fit(
            training.feed(epoch * steps + done),
            steps_per_epoch=steps - done,
            initial_epoch=epoch,
            epochs=last,
            validation_data=training.validation,
            callbacks=watching,
            shuffle=False,  # the batches come in the order that the seed gave them
            verbose=0,
        )
        if training.model.stop_training:
            break
        epoch, done = last, 0


@contextlib.contextmanager
def _resumable(run):
    """Turn an interruption that did not wait into one that tells how to go on, where there is something to keep."""
    try:
        yield
    except KeyboardInterrupt:
        if run.model.is_file():
            run.remove_checkpoints()
            raise Interrupted("Stopped. The run is finished, but not its report.", run.evaluate_command) from None
        if not checkpoint.found(run.checkpoints):
            raise
        raise Interrupted("Stopped. The last checkpoint is kept.", run.resume_command) from None


def _identity(recipe, dataset, weights):
    return {
        "backend": keras.config.backend(),
        "data": dataset.fingerprint,
        "weights": weights.digest if weights else None,
        "recipe": recipes.to_toml(recipe),
    }


def _check_identity(before, now, force, say):
    """Raise `UsageError`, or say with `force`, what differs between the identities of two trainings."""
    changes = [
        f"{name}: {before.get(key)} -> {now.get(key)}"
        for key, name in (
            ("backend", "backend"),
            ("data", "fingerprint of the data"),
            ("weights", "SHA-256 of the weights to start from"),
        )
        if before.get(key) != now.get(key)
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


def _environment(command, dataset, weights):
    facts = {
        "fingerprint": dataset.fingerprint,
        "train": len(dataset.train),
        "validation": len(dataset.validation) if dataset.validation is not None else 0,
    }
    found = describe(keras.config.backend(), command, facts)
    return found | {"weights": weights.facts} if weights else found


def resolve(recipe, dataset):
    """Return the recipe with everything spelled out that the data decided, so that it repeats elsewhere."""
    decided = {
        "path": recipe.data.absolute_path,
        "image_size": dataset.image_shape[:2],
        "channels": dataset.image_shape[2],
        "mean": dataset.mean,
        "std": dataset.std,
    }
    return located(recipe.model_copy(update={"data": recipe.data.model_copy(update=decided)}))


def save(run, recipe, dataset, training, rows, best_epoch=None):
    """Write what a finished training leaves; model.keras comes last, since it marks the run as finished.

    `best_epoch` counts from 0: that whose weights are kept; None where they are the last.
    """
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
    validated = [row for row in rows if "val_loss" in row]
    if dataset.validation is not None and validated:
        kept = validated[-1]
        if best_epoch is not None:
            kept = next(row for row in validated if row["epoch"] == best_epoch + 1)
        numbers |= {
            "val_count": len(dataset.validation),
            "val_loss": kept["val_loss"],
            "val_accuracy": kept["val_accuracy"],
        }
    run.update_metrics(numbers)
    draw_curves(rows, run.curves)
    with atomic(run.model) as path:
        deployable(recipe, dataset, training.network).save(path)
