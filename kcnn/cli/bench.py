"""kcnn bench: the speed of a recipe on each backend of this machine."""

import click

from kcnn.cli._options import data_option, debug_option, device_option, json_option


@click.command("bench")
@click.argument("recipe")
@click.option("--backend", "backends", metavar="A,B,...", help="Default: all that are installed.")
@click.option("--precision", "precisions", metavar="A,B,...", help="Default: the recipe's, float32, mixed_bfloat16.")
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Steps of a round, at most.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each backend.")
@data_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as in model.width=64.")
@device_option
@json_option
@debug_option
def command(recipe, backends, precisions, steps, rounds, data, settings, device, as_json):
    """Measure how fast RECIPE trains on each backend and precision, and how long all of it would take.

    Each backend trains in a process of its own, as `kcnn fit` does; they take turns. `kcnn fit --backend auto` reads
    what was measured on all installed backends.
    """
    from kcnn import recipe as recipes

    loaded = recipes.load(recipe, settings, data=data)

    from kcnn.cli._progress import counting
    from kcnn.workflows.bench import bench

    with counting(one_bar=True) as progress:
        found = bench(
            loaded,
            backends=_names(backends),
            precisions=_names(precisions),
            steps=steps,
            rounds=rounds,
            device=device,
            progress=progress,
        )
    if as_json:
        from kcnn.cli._options import show_json

        show_json(found.document())
    else:
        _show(found)


def _names(text):
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()] or None


def _show(found):
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from kcnn.workflows.auto import duration

    recipe = found.recipe
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for header in ("backend", "precision", "import", "compile", "step ms", "images/s", "eval/s", "MiB", "total"):
        table.add_column(header, justify="left" if header in ("backend", "precision") else "right", no_wrap=True)
    for speed in found.speeds:
        spread = (speed.slowest_step_seconds - speed.fastest_step_seconds) / 2 / speed.step_seconds
        table.add_row(
            speed.backend,
            speed.precision.removeprefix("mixed_"),
            f"{speed.import_seconds:.1f}",
            f"{speed.compile_seconds:.1f}",
            f"{speed.step_seconds * 1000:,.{0 if speed.step_seconds > 0.1 else 1}f} ±{spread:.0%}",
            f"{speed.images_per_second:,.0f}",
            f"{speed.evaluated_per_second:,.0f}" if speed.evaluated_per_second else "-",
            f"{speed.memory:,.0f}" if speed.memory else "-",
            duration(speed.whole(recipe, found.train, found.validation)),
        )
    screen = Console(highlight=False, markup=False)
    with screen.capture() as shown:  # rich itself would end with exit code 1 where the reader has gone
        screen.print(table)
        screen.print(
            f"Seconds to import and compile; steps of {recipe.batch_size} images, medians of {found.rounds} rounds ± "
            f"half of their range; total: {recipe.epochs} epochs of {found.train:,} images. "
            f"{found.machine['processor']}, {found.machine['cores']} cores."
        )
        for name, reason in found.failures.items():
            screen.print(f"Failed: {name}: {reason}")
        first = found.speeds[0]
        screen.print(f"First: {first.backend} at {first.precision.removeprefix('mixed_')}.")
    click.echo(shown.get(), nl=False)
