"""kcnn bench: the speed of a recipe on each backend of this machine, or of a run's exports."""

import click
from click.core import ParameterSource

from kcnn.cli._options import data_option, debug_option, device_option, json_option, names_in
from kcnn.cli._streams import screen
from kcnn.cli._tables import keep_numbers


@click.command("bench", short_help="Measure how fast a recipe trains here.")
@click.argument("recipe")
@click.option("--backend", "backends", metavar="A,B,...", help="Default: all that are installed.")
@click.option("--precision", "precisions", metavar="A,B,...", help="Default: the recipe's, float32, mixed_bfloat16.")
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Steps of a round, at most.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each backend.")
@data_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as in model.width=64.")
@click.option("--exports", is_flag=True, help="RECIPE is a run: measure how fast what it was exported to answers.")
@device_option
@json_option
@debug_option
def command(recipe, backends, precisions, steps, rounds, data, settings, exports, device, as_json):
    """Measure how fast RECIPE trains on each backend and precision, and how long all of it would take.

    Each backend trains in a process of its own, as `kcnn fit` does; they take turns. `kcnn fit --backend auto` reads
    what was measured on all installed backends. With --exports, RECIPE is a run, and what `kcnn export` made of it is
    measured beside the trained model.
    """
    if exports:
        steps_given = click.get_current_context().get_parameter_source("steps") == ParameterSource.COMMANDLINE
        if precisions or data or settings or device or steps_given:
            raise click.UsageError("--precision, --steps, --data, --set and --device do not go with --exports.")
        _exports(recipe, names_in(backends), rounds, as_json)
        return

    from kcnn import recipe as recipes

    loaded = recipes.load(recipe, settings, data=data)

    from kcnn.cli._progress import counting
    from kcnn.workflows.bench import bench

    with counting(one_bar=True) as progress:
        found = bench(
            loaded,
            backends=names_in(backends),
            precisions=names_in(precisions),
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


def _exports(run, backends, rounds, as_json):
    from kcnn.cli._progress import counting
    from kcnn.run import Run
    from kcnn.workflows.bench_exports import bench_exports

    if backends and len(backends) > 1:
        raise click.UsageError("With --exports, --backend is the one on which the trained model answers.")
    with counting(one_bar=True) as progress:
        found = bench_exports(Run.open(run), reference=backends and backends[0], rounds=rounds, progress=progress)
    if as_json:
        from kcnn.cli._options import show_json

        show_json(found.document())
    else:
        _show_exports(found)


def _show_exports(found):
    from rich import box
    from rich.table import Table

    rows = []
    for row in found.rows:
        accuracy = f"{row.accuracy:.2%}"
        for index, speed in enumerate(row.speeds):
            first = (row.name, f"{row.bytes / 2**20:.2f}", accuracy) if index == 0 else ("", "", "")
            numbers = (f"{speed['p50_ms']:.2f}", f"{speed['p99_ms']:.2f}", f"{speed['images_per_second']:,.0f}")
            rows.append((*first, str(speed["batch"]), *numbers))
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for header in ("", "MiB", "accuracy", "batch", "p50 ms", "p99 ms", "images/s"):
        table.add_column(header, justify="right" if header else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    shown = screen(highlight=False, markup=False)
    shown.print(keep_numbers(table))
    shown.print(
        f"The first is the trained model. Medians and 99th percentiles of {found.rounds} rounds in turns. "
        f"{found.machine['processor']}, {found.machine['cores']} cores."
    )


def _show(found):
    from rich import box
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
    shown = screen(highlight=False, markup=False)
    shown.print(keep_numbers(table, 2))
    shown.print(
        f"Seconds to import and compile; steps of {recipe.batch_size} images, medians of {found.rounds} rounds ± "
        f"half of their range; total: {recipe.epochs} epochs of {found.train:,} images. "
        f"{found.machine['processor']}, {found.machine['cores']} cores."
    )
    for name, reason in found.failures.items():
        shown.print(f"Failed: {name}: {reason}")
    first = found.speeds[0]
    shown.print(f"First: {first.backend} at {first.precision.removeprefix('mixed_')}.")
