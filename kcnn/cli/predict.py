"""kcnn predict: labels for images."""

import click

from kcnn.cli._options import backend_option, debug_option, device_option, json_option, show_json, use_backend_to_open


@click.command("predict")
@click.argument("run")
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="How many labels an image.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@click.option("--calibrated", is_flag=True, help="Probabilities at the temperature that `kcnn evaluate RUN` fitted.")
@backend_option
@device_option
@json_option
@debug_option
def command(run, images, top, form, calibrated, backend, device, as_json):
    """Name what IMAGES show: files, folders or globs. RUN is a run folder, a .keras file, or what `kcnn export` wrote.

    Images that cannot be read are named on stderr; the others are answered, and the exit code is 1.
    """
    from kcnn.data.find import find_images

    files = find_images(images)
    use_backend_to_open(run, backend, device)

    from kcnn.cli._progress import counting
    from kcnn.opened import open_model
    from kcnn.workflows.predict import predict

    classifier = open_model(run, calibrated=calibrated)
    with counting() as progress:
        predictions = list(predict(classifier, files, top=top, progress=progress))
    unread = [one for one in predictions if one.error]
    read = [one for one in predictions if not one.error]
    for one in unread:
        click.echo(f"Error: {one.error}", err=True)
    if as_json or form == "json":
        show_json({"predictions": [one.as_json() for one in predictions]})
    elif form == "csv":
        _show_csv(read)
    elif read:
        _show_table(read)
    raise SystemExit(1 if unread else 0)


def _show_csv(predictions):
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "probability"])
    for one in predictions:
        for rank, (label, probability) in enumerate(one.top, 1):
            writer.writerow([one.image, rank, label, f"{probability:.6f}"])


def _show_table(predictions):
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("image", "label", "probability", "then")
    table.columns[0].overflow = "fold"
    table.columns[2].justify = "right"
    for one in predictions:
        (label, probability), *others = one.top
        then = ", ".join(f"{name} {p:.1%}" for name, p in others)
        table.add_row(Text(one.image), Text(label), f"{probability:.1%}", Text(then))  # names may look like markup
    Console().print(table)
