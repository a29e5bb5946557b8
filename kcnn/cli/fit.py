"""kcnn fit: train a recipe, or go on with a training that was stopped."""

import contextlib
import shlex

import click

from kcnn.cli._options import (
    data_option,
    debug_option,
    device_option,
    json_option,
    use_backend_again,
    use_backend_for,
)


@click.command("fit", short_help="Train a recipe, or go on with a run.")
@click.argument("recipe", required=False)
@data_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as in model.width=64.")
@click.option("--epochs", type=int, help="Short for --set epochs=N.")
@click.option("--seed", type=int, help="Short for --set seed=N.")
@click.option("--seeds", type=click.IntRange(min=2), help="Train with so many seeds; report mean and interval.")
@click.option("--out", metavar="FOLDER", help="Where runs lie; default: saved_models.")
@click.option("--name", help="Name of the run; default: the recipe's, or RECIPE-seeds, with a number where taken.")
@click.option("--resume", metavar="RUN", help="Go on with the unfinished RUN, exactly where it stood.")
@click.option("--force", is_flag=True, help="Resume although the recipe, the data or the backend differ.")
@click.option(
    "--backend",
    metavar="NAME",
    help="tensorflow, torch, jax, or auto: what finishes first; default: KERAS_BACKEND, else one that is installed.",
)
@device_option
@json_option
@debug_option
def command(recipe, data, settings, epochs, seed, seeds, out, name, resume, force, backend, device, as_json):
    """Train RECIPE: the path of a recipe, or the name of one that comes with kcnn.

    Without a recipe it trains `digits`, or with --data `folder`. What it makes lies in saved_models/<run>/. A run that
    was stopped, even by kill -9, goes on with --resume and ends as if nothing had happened.
    """
    from kcnn import recipe as recipes
    from kcnn.run import DEFAULT_PARENT

    for key, value in (("epochs", epochs), ("seed", seed)):
        if value is not None:
            settings += (f"{key}={value}",)
    _check(recipe, name, out, resume, force, seeds)
    if resume is not None:
        _resume(resume, settings, data, force, backend, device, as_json)
        return
    recipe = recipe or ("folder" if data else "digits")
    loaded = recipes.load(recipe, settings, data=data)
    use_backend_for(loaded, backend, device)
    where = {"out": out or DEFAULT_PARENT, "name": name, "stem": recipes.stem(recipe)}
    with _showing(loaded) as options:
        if seeds:
            from kcnn.workflows.seeds import fit_seeds

            made = fit_seeds(loaded, seeds, **where, **options)
        else:
            from kcnn.workflows.fit import fit

            made = fit(loaded, **where, **options)
    if seeds:
        _show_seeds(*made, as_json)
    else:
        _show(made, as_json)


def _check(recipe, name, out, resume, force, seeds):
    if name is not None and (not name or name.startswith(".") or "/" in name or "\\" in name):
        raise click.UsageError(f"--name takes the name of a folder, not a path (--out takes that). Received: {name!r}")
    if resume == "":
        raise click.UsageError("--resume names no run. Is a variable of your shell empty?")
    if resume and recipe:
        raise click.UsageError("--resume takes the recipe from the run; change it with --set and --force.")
    if resume and (name or out):
        raise click.UsageError("--resume goes on in the run's own folder; leave --name and --out out.")
    if resume and seeds:
        raise click.UsageError("--resume trains the seeds that were planned; leave --seeds out.")
    if force and not resume:
        raise click.UsageError("--force belongs to --resume.")


def _resume(path, settings, data, force, backend, device, as_json):
    from kcnn import recipe as recipes
    from kcnn.run import Run, Seeds

    seeds = Seeds.find(path)
    if seeds:
        _resume_seeds(seeds, settings, data, force, backend, device, as_json)
        return
    run = Run.open_unfinished(path)
    recipe = recipes.load(run.recipe, settings, data=data)
    use_backend_again(_backend_of(run), backend, device, deterministic=recipe.run.deterministic)
    with _showing(recipe) as options:
        from kcnn.workflows.fit import resume

        resume(run, recipe=recipe, force=force, **options)
    _show(run, as_json)


def _backend_of(run):
    """Return the backend that a run goes on from, or None where that is not known."""
    from kcnn import checkpoint

    latest = checkpoint.latest(run.checkpoints)
    return latest.state["identity"]["backend"] if latest else run.known_environment().get("backend")


def _resume_seeds(seeds, settings, data, force, backend, device, as_json):
    from kcnn.workflows._plan import read_plan

    if settings or data:
        raise click.UsageError("All seeds of a folder share one recipe and its data: leave --set and --data out.")
    recipe, planned, began = read_plan(seeds)
    unfinished = (seeds.run(seed) for seed in planned if not seeds.run(seed).model.is_file())
    known = next(filter(None, map(_backend_of, unfinished)), began)
    use_backend_again(known, backend, device, deterministic=recipe.run.deterministic)
    with _showing(recipe) as options:
        from kcnn.workflows.seeds import resume_seeds

        spreads = resume_seeds(seeds, force=force, **options)
    _show_seeds(seeds, spreads, as_json)


@contextlib.contextmanager
def _showing(recipe):
    """Yield the options of `fit` that show a training, and give the terminal back."""
    from kcnn.cli._progress import counting, training_callback
    from kcnn.environment import command_line

    shown = training_callback(recipe.epochs)
    try:
        with counting() as progress:
            yield {
                "command": command_line(),
                "extra_callbacks": [shown],
                "load_progress": progress,
                "say": lambda message: click.echo(message, err=True),
            }
    finally:
        shown.stop()


def _show(run, as_json):
    from kcnn.cli._options import show_json

    metrics = run.read_json(run.metrics)
    if as_json:
        show_json({"run": str(run.path), "metrics": metrics})
        return
    if "val_accuracy" in metrics:
        click.echo(
            f"Validation accuracy {metrics['val_accuracy']:.2%} on {metrics['val_count']:,} images, "
            f"{metrics['parameters']:,} parameters, {metrics['seconds']:.0f} s of training."
        )
    skipped = run.skipped
    if skipped.exists():
        click.echo(f"Left out {len(run.read_json(skipped))} files or folders; {skipped} says which and why.")
    click.echo(f"Run: {run.path}")
    if (run.report / "index.html").is_file():
        click.echo(f"Report: {run.report}/index.html")
    click.echo(f"Next: {run.evaluate_command}")


def _show_seeds(seeds, spreads, as_json):
    from kcnn.cli._options import show_json, spread_line

    if as_json:
        show_json({"seeds": str(seeds.path), "metrics": {key: vars(value) for key, value in spreads.items()}})
        return
    if "val_accuracy" in spreads:
        click.echo(f"Validation accuracy {spread_line(spreads['val_accuracy'])}.")
    click.echo(f"Runs: {seeds.path}/seed...")
    click.echo(f"Next: kcnn evaluate {shlex.quote(str(seeds.path))}")
