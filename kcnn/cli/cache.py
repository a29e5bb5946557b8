"""kcnn cache: what is kept to save time, and how to be rid of it."""

import click

from kcnn.cli._options import debug_option, json_option, show_json


@click.group("cache", short_help="Show what is kept to save time, or remove it.", invoke_without_command=True)
@json_option
@debug_option
@click.pass_context
def command(context, as_json):
    """Show what lies in the cache, or remove it. All of it is made again when it is needed."""
    context.obj = as_json
    if not context.invoked_subcommand:
        _list(as_json)


@command.command("list")
@json_option
@debug_option
@click.pass_obj
def list_(as_json_before, as_json):
    """Show what lies in the cache, kind by kind, and where."""
    _list(as_json or as_json_before)


@command.command("clear")
@click.argument("kind", required=False)
@json_option
@debug_option
@click.pass_obj
def clear(as_json_before, kind, as_json):
    """Remove all of the cache, or one KIND of it."""
    from kcnn import cache

    cleared = cache.clear(kind)
    if as_json or as_json_before:
        show_json({"folder": str(cache.root()), "removed": _plain(cleared)})
        return
    click.echo(f"Removed {_megabytes(sum(found.size for found in cleared))} from {cache.root()}.")


def _list(as_json):
    from kcnn import cache

    found = cache.contents()
    if as_json:
        show_json({"folder": str(cache.root()), "kinds": _plain(found)})
        return
    click.echo(cache.root())
    for kind in found:
        what = cache.KINDS[kind.name]
        click.echo(f"  {kind.name:10s} {_megabytes(kind.size):>14s} in {kind.entries:,} entries: {what}")
    if not found:
        click.echo("  empty")


def _plain(kinds):
    return [{"kind": kind.name, "entries": kind.entries, "bytes": kind.size} for kind in kinds]


def _megabytes(size):
    return f"{size / 1e6:,.1f} MB"
