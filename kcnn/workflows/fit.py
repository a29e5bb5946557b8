"""Train a recipe and leave a run folder."""

import time
from pathlib import Path

import keras
import numpy as np

from kcnn import data
from kcnn.assemble import assemble, callbacks, deployable
from kcnn.callbacks.interrupt import StopOnInterrupt
from kcnn.environment import describe
from kcnn.recipe import to_toml
from kcnn.run import DEFAULT_PARENT, Run, atomic, write_text


def fit(
    recipe,
    *,
    out=DEFAULT_PARENT,
    name=None,
    stem=None,
    command=None,
    extra_callbacks=(),
    load_progress=None,
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

    Raises:
        RunError: The name is taken, or the folder cannot be made.
        RecipeError, DataError, ImageError, TrainingError: As their messages say.
    """
    if name:
        Run.check_free(out, name)  # before minutes go into reading images
    dataset = data.load(recipe.data, recipe.seed, progress=load_progress)
    recipe = resolve(recipe, dataset)
    run = Run.create(out, name) if name else Run.create_unique(out, stem or recipe.data.name)
    history = None
    try:
        training = assemble(recipe, dataset)
        write_text(run.recipe, to_toml(recipe))
        run.write_json(run.labels, dataset.class_names)
        run.write_json(run.environment, describe(keras.config.backend(), command))
        if dataset.skipped:
            skipped = [{"image": image, "reason": reason} for image, reason in dataset.skipped]
            run.write_json(run.path / "skipped.json", skipped)
        own, history = callbacks(recipe, training, run)
        begin = time.perf_counter()
        with StopOnInterrupt() as interrupt:
            training.model.fit(
                training.batches.iterate(),
                steps_per_epoch=training.batches.steps_per_epoch,
                epochs=recipe.epochs,
                validation_data=training.validation,
                callbacks=[*own, *extra_callbacks, interrupt],
                shuffle=False,  # the batches come in the order that the seed gave them
                verbose=0,
            )
        seconds = time.perf_counter() - begin
        save(run, recipe, dataset, training, history.rows, seconds)
    except BaseException:
        if history is None or not history.rows:
            run.remove()  # not one epoch was finished: nothing is lost, and the name is free again
        raise
    return run


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


def save(run, recipe, dataset, training, rows, seconds):
    """Write what a finished training leaves; model.keras comes last, since it marks the run as finished."""
    last = rows[-1]
    numbers = {
        "parameters": training.network.count_params(),
        "trainable_parameters": sum(int(np.prod(w.shape)) for w in training.network.trainable_weights),
        "epochs": len(rows),
        "train_count": len(dataset.train),
        "train_loss": last["loss"],
        "train_accuracy": last["accuracy"],
        "seconds": round(seconds, 3),
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


def draw_curves(rows, path):
    """Draw loss, accuracy and learning rate over the epochs."""
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    marker = "o" if len(rows) < 30 else None
    for axes, (title, names) in zip(
        panels,
        {
            "loss": ("loss", "val_loss"),
            "accuracy": ("accuracy", "val_accuracy"),
            "learning rate": ("learning_rate",),
        }.items(),
        strict=True,
    ):
        for name in names:
            if name in rows[-1]:
                label = "validation" if name.startswith("val_") else "training"
                axes.plot(epochs, [row[name] for row in rows], marker=marker, markersize=3, label=label)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend()
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
