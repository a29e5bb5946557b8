"""kcnn models: the architectures that a recipe can name."""

import click

from kcnn.cli._options import debug_option, json_option, show_json


@click.command("models", short_help="List the models that a recipe can name.")
@click.argument("name", required=False)
@json_option
@debug_option
def command(name, as_json):
    """List the models that a recipe can name; or all that is known about the one called NAME, with its options.

    Parameters and multiply-accumulates (MACs) are those at the input and the classes that a model is made for; top-1 is
    what was published for one network and, where there is such a number, one crop. None of it was measured here.
    """
    from kcnn.registry import MODELS

    names = [name] if name else MODELS.names()
    found = [_document(each) for each in names]
    if as_json:
        show_json(found[0] if name else {"models": found})
    elif name:
        _show(found[0])
    else:
        _show_all(found)


def _document(name):
    from kcnn import facts
    from kcnn.registry import MODELS, REQUIRED

    options = {
        option.name: None if option.default is REQUIRED else option.default for option in MODELS.options(name).values()
    }
    known = facts.find(name)
    return {"name": name, "summary": MODELS.summary(name), "options": options, **(known.document() if known else {})}


def _show_all(models):
    family, sources = None, {}
    click.echo(f"  {'model':18} {'parameters':>10} {'MACs':>6} {'input':>12}  top-1  source")
    for model in models:
        if model.get("family") != family:
            family = model.get("family")
            click.echo(_heading(model) if family else "\nOthers")
        best = (model.get("published") or [None])[0]
        top1, where = ("", "") if best is None else (f"{best['top1']:.4g}", _where(best))
        if best:
            sources[best["source"]["name"]] = best["source"]["url"]
        mark = "*" if model.get("pretrained") else " "
        numbers = f"{_count(model, 'parameters'):>10} {_count(model, 'macs'):>6} {_input(model):>12}"
        click.echo(f"{mark} {model['name']:18} {numbers}  {top1:>5}  {where}".rstrip())
    click.echo('\n* can start from published weights: weights = "imagenet" in [model].')
    click.echo("Top-1 in per cent, as published for one network; docs/architectures.md compares.")
    for source, url in sources.items():
        click.echo(f"  {source}: {url}")
    click.echo("All about one, with its options: kcnn models NAME. Its layers: kcnn describe NAME.")


def _heading(model):
    import textwrap

    year = f" ({model['year']})" if model["year"] else ""
    return "\n" + textwrap.fill(f"{model['family']}{year}. {model['paper']}", 80, subsequent_indent="  ")


def _where(published):
    data = "" if published["data"] == "ImageNet" else f", {published['data']}"
    extra = f", +{published['extra']}" if published["extra"] else ""
    return f"{published['source']['name']}{data}{extra}"


def _input(model):
    from kcnn.amount import times

    return times(model["input"]) if "input" in model else "-"


def _count(model, key):
    from kcnn.amount import amount

    return amount(model[key]) if model.get(key) else "-"


def _show(model):
    from kcnn import reference
    from kcnn.cli._reference import in_full

    click.echo(f"{model['name']}: {model['summary']}")
    if "family" in model:
        click.echo(_heading(model).lstrip())
        if model["url"]:
            click.echo(f"  {model['url']}")
        click.echo(
            f"Made for images of {_input(model)} and {model['classes']:,} classes: {_exact(model, 'parameters')} "
            f"parameters, {_exact(model, 'macs')} multiply-accumulates."
        )
        click.echo(f"Pretrained weights: {'yes' if model['pretrained'] else 'none'}.")
    if model.get("published"):
        click.echo("Published top-1, per cent:")
        for one in model["published"]:
            data = "" if one["data"] == "ImageNet" else f"{one['data']}, "
            extra = f"pretrained on {one['extra']}, " if one["extra"] else ""
            click.echo(f"  {one['top1']:6.2f}  {data}{extra}{one['how']}\n          {one['source']['title']}")
    click.echo("In a recipe, each key also as --set model.KEY=VALUE:\n")
    click.echo(in_full(*reference.find(model["name"])))


def _exact(model, key):
    return f"{model[key]:,}" if model.get(key) else "an unknown number of"
