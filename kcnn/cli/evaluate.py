"""kcnn evaluate: measure a model on its test images."""

import click

from kcnn.cli._options import (
    backend_option,
    data_option,
    debug_option,
    device_option,
    json_option,
    show_json,
    use_backend,
)


@click.command("evaluate")
@click.argument("run")
@data_option
@click.option(
    "--split", type=click.Choice(["test", "validation"]), default="test", show_default=True, help="Which images."
)
@backend_option
@device_option
@json_option
@debug_option
def command(run, data, split, backend, device, as_json):
    """Measure the model in RUN on its test images: accuracy with its interval, loss, each class.

    The confusion matrix and the table are written to RUN/report/. Data of your own that has no splits is measured
    whole, and reported beside the run's own figures without changing them.
    """
    from kcnn.run import Run, Seeds

    seeds = Seeds.find(run)
    run = None if seeds else Run.open(run)
    use_backend(backend, device)

    from kcnn.cli._progress import counting

    if seeds:
        from kcnn.workflows.seeds import evaluate_seeds

        with counting() as progress:
            found = evaluate_seeds(seeds, data_path=data, split=split, progress=progress)
        _show_seeds(seeds, split, *found, as_json)
        return
    from kcnn.workflows.evaluate import evaluate

    with counting() as progress:
        result = evaluate(run, data_path=data, split=split, progress=progress)
    if as_json:
        show_json({"run": str(run.path), "split": split, "metrics": result.metrics, "classes": result.classes})
        return
    _show(run, split, result)


def _show_seeds(seeds, split, found, spreads, as_json):
    from kcnn.cli._options import spread_line

    if as_json:
        each = [{"seed": seed, "metrics": result.metrics} for seed, result in found]
        metrics = {key: vars(value) for key, value in spreads.items()}
        show_json({"seeds": str(seeds.path), "split": split, "metrics": metrics, "each": each})
        return
    count = found[0][1].metrics["count"]
    click.echo(f"Accuracy {spread_line(spreads['accuracy'])} on {count:,} {split} images.")
    click.echo(f"Each seed's table and confusion matrix: {seeds.path}/seed*/report/")


def _show(run, split, result):
    from rich.console import Console
    from rich.table import Table

    metrics = result.metrics
    top = f", top-5 {metrics['top5']:.2%}" if "top5" in metrics else ""
    click.echo(
        f"Accuracy {metrics['accuracy']:.2%} (95 % interval {metrics['accuracy_low']:.2%} to "
        f"{metrics['accuracy_high']:.2%}) on {metrics['count']:,} {split} images, loss {metrics['loss']:.4f}{top}."
    )
    table = Table("class", "images", "precision", "recall", "F1")
    for row in result.classes:
        numbers = [f"{row[name]:.1%}" for name in ("precision", "recall", "f1")]
        table.add_row(row["class"], f"{row['support']:,}", *numbers)
    for column in table.columns[1:]:
        column.justify = "right"
    Console().print(table)
    click.echo(f"Confusion matrix: {result.confusion_picture}")
    click.echo(f"Next: kcnn predict {run.path} IMAGE...")
