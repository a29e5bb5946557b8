"""kcnn evaluate: measure a model on its test images."""

import shlex

import click
from click.core import ParameterSource

from kcnn.cli._options import (
    backend_option,
    data_option,
    debug_option,
    device_option,
    json_option,
    show_json,
    tta_option,
    use_backend,
)
from kcnn.cli._streams import screen
from kcnn.cli._tables import keep_numbers

MOST_ROWS = 20  # classes that the terminal shows
CURVES = "error_curves.png"
COMMANDLINE = ParameterSource.COMMANDLINE


@click.command("evaluate", short_help="Measure a run on test images; compare runs.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@data_option
@click.option(
    "--split", type=click.Choice(["test", "validation"]), default="test", show_default=True, help="Which images."
)
@click.option(
    "--corrupt",
    "corruptions",
    is_flag=True,
    help="Also measure images with noise, blur, brightness, JPEG at five strengths.",
)
@click.option(
    "--predictions",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="The file with every image; Parquet holds the probabilities of all classes.",
)
@tta_option
@click.option(
    "--curves",
    is_flag=True,
    help="Measure nothing; draw the error of each RUN over its epochs, also of runs that are not finished.",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True),
    help=f"Where --curves draws: a .png, .svg or .pdf; default: {CURVES}.",
)
@backend_option
@device_option
@json_option
@debug_option
def command(runs, curves, output, backend, device, as_json, **options):
    """Measure the model in RUN on its test images: accuracy with its interval, each class, calibration, mistakes.

    Everything is in the page RUN/report/index.html, with tables beside it, and in short in RUN/MODEL_CARD.md. Several
    runs are measured on the same images and compared. Data of your own that has no splits is measured whole, and
    reported beside the run's own figures without changing them; but the run's own images, where they lie elsewhere now,
    are divided as for the training. Data with a test split of its own is other data too: for moved images that were
    divided already, correct `path` in RUN/recipe.toml instead.
    """
    from kcnn.run import Run, Seeds

    if curves:
        context = click.get_current_context()
        given = [name for name in (*options, "backend", "device") if context.get_parameter_source(name) == COMMANDLINE]
        if given:
            names = [option.opts[0] for option in context.command.params if option.name in given]
            raise click.UsageError(f"--curves reads histories and measures nothing: leave {', '.join(names)} out.")
        _draw_curves(_distinct([Run.open_begun(run) for run in runs]), output or CURVES, as_json)
        return
    if output:
        raise click.UsageError("--output belongs to --curves; what is measured lies in RUN/report/.")
    options["data_path"] = options.pop("data")
    seeds = Seeds.find(runs[0]) if len(runs) == 1 else None
    runs = [] if seeds else _distinct([Run.open(run) for run in runs])
    use_backend(backend, device)

    from kcnn.cli._progress import counting

    with counting() as progress:
        options["progress"] = progress
        if seeds:
            from kcnn.workflows.seeds import evaluate_seeds

            shown = _show_seeds, seeds, *evaluate_seeds(seeds, **options)
        elif len(runs) > 1:
            from kcnn.workflows.compare import compare

            shown = _show_comparison, runs, *compare(runs, **options)
        else:
            from kcnn.workflows.evaluate import evaluate

            shown = _show, runs[0], evaluate(runs[0], **options)
    show, *results = shown
    show(*results, options["split"], options["tta"], as_json)


def _distinct(runs):
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise click.UsageError("A run is named twice.")
    return runs


def _draw_curves(runs, path, as_json):
    from kcnn.workflows.curves import check_picture, draw_errors, error_curves

    check_picture(path)
    found = error_curves(runs)
    draw_errors(found, path)
    if as_json:
        show_json({"picture": str(path), "runs": [vars(curve) for curve in found]})
        return
    rows = []
    for curve in found:
        validated = ("n/a", "n/a")
        if curve.validated:
            epoch, lowest = min(curve.validated, key=lambda pair: pair[1])
            validated = (f"{curve.validated[-1][1]:.2%}", f"{lowest:.2%} in {epoch}")
        rows.append((curve.name, f"{curve.epochs[-1]}", f"{curve.training[-1]:.2%}", *validated))
    _show_table(("run", "epoch", "training error", "validation error", "lowest"), rows)
    click.echo(f"Picture: {path}")


def _show_seeds(seeds, found, spreads, split, tta, as_json):
    from kcnn.cli._options import spread_line

    if as_json:
        each = [{"seed": seed, "metrics": result.metrics} for seed, result in found]
        metrics = {key: vars(value) for key, value in spreads.items()}
        show_json({"seeds": str(seeds.path), "split": split, "tta": tta, "metrics": metrics, "each": each})
        return
    count = found[0][1].metrics["count"]
    click.echo(f"Accuracy {spread_line(spreads['accuracy'])} on {count:,} {split} images{_views(tta)}.")
    for page in sorted({result.files["report"].name for _, result in found}):
        click.echo(f"Each seed's page: {seeds.path}/seed*/report/{page}")


def _show_comparison(runs, found, pairs, split, tta, as_json):
    if as_json:
        each = [
            {"run": str(run.path), "name": name, **result.as_json()}
            for run, (name, result) in zip(runs, found, strict=True)
        ]
        show_json({"split": split, "tta": tta, "runs": each, "pairs": [vars(pair) for pair in pairs]})
        return
    click.echo(f"{found[0][1].metrics['count']:,} {split} images{_views(tta)}.")
    rows = []
    for name, result in found:
        numbers = result.metrics
        interval = f"{numbers['accuracy_low']:.2%} to {numbers['accuracy_high']:.2%}"
        others = (f"{numbers['loss']:.4f}", f"{numbers['calibration_error']:.2%}")
        rows.append((name, f"{numbers['accuracy']:.2%}", interval, *others))
    _show_table(("run", "accuracy", "95 % interval", "loss", "calibration error"), rows)
    rows = []
    for pair in pairs:
        counts = (f"{pair.only_first:,}", f"{pair.only_second:,}")
        rows.append((f"{pair.first}, {pair.second}", f"{pair.difference:+.2%}", *counts, f"{pair.p:.2g}"))
        if len(pairs) > 1:
            rows[-1] += (f"{pair.p_holm:.2g}",)
    columns = ("pair", "difference", "only first right", "only second", "McNemar p", "Holm p")
    _show_table(columns[: len(rows[0])], rows)


def _views(tta):
    return f" with test-time augmentation {tta}" if tta else ""


def _show(run, result, split, tta, as_json):
    if as_json:
        show_json({"run": str(run.path), "split": split, **result.as_json()})
        return
    metrics = result.metrics
    top = f", top-5 {metrics['top5']:.2%}" if "top5" in metrics else ""
    click.echo(
        f"Accuracy {metrics['accuracy']:.2%} (95 % interval {metrics['accuracy_low']:.2%} to "
        f"{metrics['accuracy_high']:.2%}) on {metrics['count']:,} {split} images{_views(tta)}, "
        f"loss {metrics['loss']:.4f}{top}."
    )
    click.echo(
        f"Balanced accuracy {metrics['balanced_accuracy']:.2%} ({metrics['balanced_accuracy_low']:.2%} to "
        f"{metrics['balanced_accuracy_high']:.2%}), calibration error {metrics['calibration_error']:.2%}; "
        + _temperature(result.calibrated)
    )
    _show_classes(result)
    if result.pairs:
        pairs = ", ".join(f"{pair['first']} and {pair['second']} ({pair['count']:,})" for pair in result.pairs[:3])
        click.echo(f"Most often confused: {pairs}")
    if result.corruptions:
        _show_corruptions(result)
    click.echo(f"Report: {result.files['report']}")
    click.echo(f"Every image: {result.files['predictions']}")
    if "card" in result.files:
        click.echo(f"Model card: {result.files['card']}")
    elif tta and not run.evaluation.is_file():
        click.echo("No model card: it is made of what `kcnn evaluate` finds without --tta.")
    click.echo(f"Next: kcnn predict {shlex.quote(str(run.path))} IMAGE...")


def _temperature(calibrated):
    if "reason" in calibrated:
        return f"not calibrated: {calibrated['reason']}"
    return f"with temperature {calibrated['temperature']:.2f} {calibrated['calibration_error']:.2%}."


def _show_classes(result):
    from kcnn.amount import percent

    chosen = result.classes
    if len(chosen) > MOST_ROWS:
        chosen = sorted((row for row in chosen if row["f1"] is not None), key=lambda row: row["f1"])[:MOST_ROWS]
        click.echo(f"The {len(chosen)} hardest of {len(result.classes):,} classes; all: {result.files['classes']}")
    rows = []
    for row in chosen:
        shares = [
            "n/a" if row[key] is None else percent(row[key], 1) for key in ("precision", "recall", "f1", "roc_auc")
        ]
        rows.append((row["class"], f"{row['support']:,}", *shares))
    _show_table(("class", "images", "precision", "recall", "F1", "ROC-AUC"), rows)


def _show_corruptions(result):
    clean, rows = result.metrics["accuracy"], []
    for name, accuracies in result.corruptions.items():
        lost = [clean - accuracy for accuracy in accuracies]
        rows.append((name, *(f"{value:.1%}" for value in [*lost, sum(lost) / len(lost)])))
    strengths = map(str, range(1, len(rows[0]) - 1))
    _show_table(("accuracy lost at strength", *strengths, "mean"), rows)


def _show_table(columns, rows):
    """Print a table whose first column is names and whose others are numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.columns[0].overflow = "fold"  # names may differ in their ends alone
    for column in table.columns[1:]:
        column.justify = "right"
    for name, *numbers in rows:
        table.add_row(Text(name), *numbers)  # a name may hold what rich takes for markup
    screen().print(keep_numbers(table))
