"""kcnn parity: the same training on each backend, step by step, side by side."""

import click

from kcnn.cli._options import data_option, debug_option, json_option, names_in
from kcnn.cli._streams import screen
from kcnn.cli._tables import keep_numbers

ALL_STEPS = 3
SHOWN = (0, 1, 2, 5, 10, 15)  # steps that the table shows, beside each 20th and the last


@click.command("parity", short_help="Train on each backend in step and compare.")
@click.argument("recipe", required=False)
@click.option("--steps", type=click.IntRange(min=1), help="Training steps; default: 50, or 3 with --recipe-all.")
@click.option("--backends", metavar="A,B,...", help="The first is the reference; default: all that are installed.")
@data_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as in model.width=64.")
@click.option("--recipe-all", is_flag=True, help="Each recipe that comes with kcnn, for a few steps.")
@click.option("--out", default="parity", show_default=True, metavar="FOLDER", help="Results go to FOLDER/RECIPE.")
@json_option
@debug_option
def command(recipe, steps, backends, data, settings, recipe_all, out, as_json):
    """Train RECIPE on each backend in step and compare weights, images, losses, gradients, logits.

    Exit code 1 where a tolerance does not hold: images, labels, masks, rates and initial weights bit for bit, logits
    before training within 1e-5, the loss of each step from the same weights within 1e-4, and the losses of runs on
    their own within 3e-2 over 20 steps (float32). docs/parity.md says why those part. With --recipe-all, --data
    replaces the data of each recipe whose own is not part of a package.
    """
    from kcnn import recipe as recipes

    if bool(recipe) == recipe_all:
        raise click.UsageError("--recipe-all takes no RECIPE." if recipe else "Name a RECIPE, or give --recipe-all.")
    names = recipes.names() if recipe_all else [recipe]
    steps = steps or (ALL_STEPS if recipe_all else 50)
    jobs = {}
    for name in names:
        path = None if recipe_all and _comes_with_its_data(name) else data
        jobs[recipes.stem(name)] = (recipes.load(name, settings, data=path), steps)

    from kcnn.cli._progress import counting
    from kcnn.workflows.parity import parity

    found = []
    with counting() as progress:
        for result in parity(jobs, backends=names_in(backends), out=out, progress=progress):
            found.append(result)
    if as_json:
        from kcnn.cli._options import show_json

        documents = [result.document() for result in found]
        show_json(documents if recipe_all else documents[0])
    elif recipe_all:
        _show_all(found)
    else:
        _show(found[0], out)
    raise SystemExit(0 if all(result.holds for result in found) else 1)


def _comes_with_its_data(name):
    import tomllib

    from kcnn import recipe as recipes
    from kcnn.registry import DATASETS

    own = tomllib.loads(recipes.find(name).read_text(encoding="utf-8")).get("data", {}).get("name", "digits")
    return DATASETS.target(own)[0] == "kcnn.data.embedded"


def _show(found, out):
    from kcnn.amount import percent

    shown = screen(highlight=False, markup=False)
    shown.print(_steps(found))
    shown.print(
        f"loss=, grad=: difference relative to {found.backends[0]} of a step that both take from its weights. The "
        "rest is of runs on their own: own is the relative difference of the loss, then the largest differences of "
        "weights after the step."
    )
    if found.biases:
        shown.print(
            f"biases: the {len(found.biases)} in front of a batch norm, which takes them away again. Training leaves "
            "them out, so their gradient is exactly zero; stats: the norms' statistics, less what such biases add."
        )
    shown.print(_verdicts(found))
    for name, logits in found.logits.items():
        shown.print(
            f"{name}: after {len(found.rows)} steps, logits of held-out images differ by at most "
            f"{logits['difference']:.1e}; the first guess agrees on {percent(logits['agreement'], 1)}."
        )
    click.echo(f"Picture: {out}/{found.recipe}/parity.png")


def _table(*headers, left=1):
    """Return a table that fits into 80 columns, its first `left` columns to the left."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index, header in enumerate(headers):
        table.add_column(header, justify="left" if index < left else "right", no_wrap=True)
    return table


def _steps(found):
    reference, *others = found.backends
    headers = ("step", "backend", "loss", "loss=", "grad=", "own", "weights", "biases", "stats")
    table = _table(*headers, left=2)
    last = found.rows[-1]["step"]
    for row in found.rows:
        if row["step"] not in (*SHOWN, last) and row["step"] % 20:
            continue
        numbers = row["backends"]
        table.add_row(str(row["step"]), reference, f"{numbers[reference]['loss']:.5f}")
        for name in others:
            ours = numbers[name]
            keys = ("same_weights_loss", "same_weights_gradient", "own_run_loss", "weights", "biases", "statistics")
            table.add_row("", name, f"{ours['loss']:.5f}", *[_exponent(ours[key]) for key in keys])
    return keep_numbers(table, 2)


def _verdicts(found):
    others = found.backends[1:]
    table = _table(f"must agree with {found.backends[0]}", "tolerance", *others)
    checks = [[check for check in found.checks if check.backend == name] for name in others]
    for row in zip(*checks, strict=True):
        exact = row[0].tolerance == 0
        words = [
            ("identical" if exact else _exponent(check.value))
            if check.holds
            else ("DIFFERENT" if exact else f"{check.value:.1e} FAILS")
            for check in row
        ]
        table.add_row(row[0].name, "bit for bit" if exact else f"{row[0].tolerance:g}", *words)
    return keep_numbers(table)


def _exponent(value):
    return "-" if value is None else "0" if value == 0 else f"{value:.0e}"


def _show_all(found):
    table = _table("recipe", "backend", "steps", "logits before", "loss=", "own loss", "verdict", left=2)
    for result in found:
        for name in result.backends[1:]:
            checks = [check for check in result.checks if check.backend == name]
            failed = [check.name for check in checks if not check.holds]
            table.add_row(
                result.recipe,
                name,
                str(len(result.rows)),
                *[_exponent(result.check(name, key).value) for key in ("logits", "same_weights_loss", "own_run_loss")],
                "FAILS" if failed else "holds",
            )
    screen().print(keep_numbers(table, 2))
    for result in found:
        for check in result.checks:
            if not check.holds:
                click.echo(f"{result.recipe} on {check.backend}: {check.name}: {check.value:.1e} > {check.tolerance:g}")
