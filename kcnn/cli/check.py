"""kcnn check: whether this machine is ready."""

import click

from kcnn.cli._options import debug_option, json_option, show_json


@click.command("check", short_help="Show what is installed, and the devices.")
@json_option
@debug_option
def command(as_json):
    """Show Python, Keras, the frameworks, the devices that each sees, and whether runs can be written here."""
    from kcnn.workflows.check import check

    result = check()
    if as_json:
        show_json(result)
    else:
        _show(result)
    raise SystemExit(1 if result["problems"] else 0)


def _show(result):
    click.echo(f"Python {result['python']} on {result['platform']}, {result['cores']} cores")
    for package, version in result["versions"].items():
        click.echo(f"  {package:14s} {version}")
    click.echo("Frameworks")
    for name, found in result["backends"].items():
        click.echo(f"  {name:14s} {', '.join(found['devices']) if found['installed'] else found['reason']}")
    click.echo("Folders")
    for folder, writable in result["folders"].items():
        click.echo(f"  {folder}  {'writable' if writable else 'NOT writable'}")
    for problem in result["problems"]:
        click.echo(f"Problem: {problem}", err=True)
    if not result["problems"]:
        click.echo("Ready.")
