"""kcnn recipes: the recipes that come with kcnn, and what a recipe may say."""

import shlex
from pathlib import Path

import click

from kcnn.cli._options import debug_option, json_option, show_json


@click.group("recipes", short_help="List, show or copy the recipes that come with kcnn.", invoke_without_command=True)
@json_option
@debug_option
@click.pass_context
def command(context, as_json):
    """List the recipes that come with kcnn; show or copy one; or tell what a recipe may say."""
    if context.invoked_subcommand:
        if as_json:
            raise click.UsageError(f"--json goes with the list alone, not with {context.invoked_subcommand}.")
        return
    from kcnn import recipe

    found = [{"name": name, "summary": recipe.summary(recipe.find(name))} for name in recipe.names()]
    if as_json:
        show_json({"recipes": found})
        return
    width = max(len(one["name"]) for one in found)
    for one in found:
        click.echo(f"{one['name']:{width}s} {one['summary']}")


@command.command("show")
@click.argument("name")
@debug_option
def show(name):
    """Print the recipe NAME."""
    from kcnn import recipe

    click.echo(recipe.find(name).read_text(encoding="utf-8"), nl=False)


@command.command("copy")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@debug_option
def copy(name, file):
    """Copy the recipe NAME to FILE, to be changed there. An existing file is never overwritten."""
    from kcnn import recipe
    from kcnn.files import write_text

    source = recipe.find(name)
    target = file / source.name if file.is_dir() else file
    if target.exists():
        raise click.UsageError(f"{target} is already there.")
    write_text(target, source.read_text(encoding="utf-8"))
    click.echo(f"Copied {name} to {target}. Train it with: kcnn fit {shlex.quote(str(target))}")


@command.command("options")
@click.argument("name", required=False)
@json_option
@debug_option
def options(name, as_json):
    """Tell what a recipe may say: all of it in short; or NAME in full, as TOML to be copied.

    NAME is a table such as `data`, or what a table may name, such as `cutmix`, `adamw` or `resnet18`; of `augment`,
    and of a key such as `fill`, it lists what there is. `recipe` are the keys above all tables.
    """
    from kcnn import reference
    from kcnn.cli._reference import in_full, in_short

    found = reference.find(name) if name else reference.entries()
    if as_json:
        show_json({"options": [one.as_json() for one in found]})
    else:
        several = len(found) > 1 and found[0].name  # alternatives, which together would be no TOML
        click.echo("\n\n".join(map(in_full, found)) if name and not several else in_short(found))


@command.command("schema")
@debug_option
def schema():
    """Print the JSON Schema of recipes, with which an editor completes and checks them."""
    from kcnn.schema import json_schema

    show_json(json_schema())
