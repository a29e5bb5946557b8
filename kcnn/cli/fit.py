"""kcnn fit: train a recipe."""

import click

from kcnn.cli._options import backend_option, data_option, debug_option, device_option, json_option, use_backend


@click.command("fit")
@click.argument("recipe", required=False)
@data_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as in model.width=64.")
@click.option("--epochs", type=int, help="Short for --set epochs=N.")
@click.option("--seed", type=int, help="Short for --set seed=N.")
@click.option("--out", default="saved_models", show_default=True, metavar="FOLDER", help="Where runs lie.")
@click.option("--name", help="Name of the run; default: that of the recipe, numbered.")
@backend_option
@device_option
@json_option
@debug_option
def command(recipe, data, settings, epochs, seed, out, name, backend, device, as_json):
    """Train RECIPE: the path of a recipe, or the name of one that comes with kcnn.

    Without a recipe it trains `digits`, or with --data `folder`. What it makes lies in saved_models/<run>/.
    """
    from kcnn import recipe as recipes

    recipe = recipe or ("folder" if data else "digits")
    for key, value in (("epochs", epochs), ("seed", seed)):
        if value is not None:
            settings += (f"{key}={value}",)
    loaded = recipes.load(recipe, settings, data=data)
    _check_name(name)
    use_backend(backend, device)

    from kcnn.cli._progress import counting, training_callback
    from kcnn.environment import command_line
    from kcnn.workflows.fit import fit

    shown = training_callback(loaded.epochs)
    try:
        with counting() as progress:
            run = fit(
                loaded,
                out=out,
                name=name,
                stem=recipes.stem(recipe),
                command=command_line(),
                extra_callbacks=[shown],
                load_progress=progress,
            )
    finally:
        shown.stop()
    _show(run, as_json)


def _check_name(name):
    if name is not None and (not name or name.startswith(".") or "/" in name or "\\" in name):
        raise click.UsageError(f"--name takes the name of a folder, not a path (--out takes that). Received: {name!r}")


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
    skipped = run.path / "skipped.json"
    if skipped.exists():
        click.echo(f"Left out {len(run.read_json(skipped))} files or folders; {skipped} says which and why.")
    click.echo(f"Run: {run.path}")
    click.echo(f"Next: kcnn evaluate {run.path}")
