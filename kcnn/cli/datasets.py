"""kcnn datasets: the data that a recipe can name."""

import click

from kcnn.cli._options import debug_option, json_option, show_json


@click.command("datasets")
@json_option
@debug_option
def command(as_json):
    """List the datasets that a recipe can name."""
    from kcnn.registry import DATASETS

    found = [{"name": name, "summary": DATASETS.summary(name)} for name in DATASETS.names()]
    if as_json:
        show_json({"datasets": found})
        return
    for dataset in found:
        click.echo(f"{dataset['name']:14s} {dataset['summary']}")
