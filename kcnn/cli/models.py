"""kcnn models: the architectures that a recipe can name."""

import click

from kcnn.cli._options import debug_option, json_option, show_json


@click.command("models")
@json_option
@debug_option
def command(as_json):
    """List the models that a recipe can name, with their options."""
    from kcnn.registry import MODELS, REQUIRED

    found = [
        {
            "name": name,
            "summary": MODELS.summary(name),
            "options": {
                option.name: None if option.default is REQUIRED else option.default
                for option in MODELS.options(name).values()
            },
        }
        for name in MODELS.names()
    ]
    if as_json:
        show_json({"models": found})
        return
    for model in found:
        click.echo(f"{model['name']:18s} {model['summary']}")
        if model["options"]:
            options = ", ".join(f"{name} = {value!r}" for name, value in model["options"].items())
            click.echo(click.wrap_text(options, 100, initial_indent=" " * 19, subsequent_indent=" " * 19))
