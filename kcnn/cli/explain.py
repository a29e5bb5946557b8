"""kcnn explain: what in an image speaks for a class, and what is inside the network."""

import re

import click

from kcnn.cli._options import backend_option, debug_option, device_option, json_option, show_json, use_backend
from kcnn.cli._streams import screen
from kcnn.registry import METHODS

ALL = "all"


class Channel(click.ParamType):
    """`LAYER:CHANNEL`."""

    name = "LAYER:CHANNEL"

    def convert(self, value, parameter, context):
        match = re.fullmatch(r"(.+):(\d{1,7})", value)
        if not match:
            self.fail(f"expected a layer and a channel, such as features:3. Received: {value!r}", parameter, context)
        return match[1], int(match[2])


@click.command("explain", short_help="Show what in an image speaks for its label.")
@click.argument("run")
@click.argument("images", nargs=-1)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help=f"{', '.join(METHODS.names())}, or all; may be repeated.  [default: grad_cam]",
)
@click.option("--class", "class_name", metavar="NAME", help="What to explain; default: what the model predicts.")
@click.option("--layer", metavar="NAME", help="Whose map to look at; default: the last one.")
@click.option("--score", is_flag=True, help="Measure deletion and insertion, to compare methods.")
@click.option("--kernels", is_flag=True, help="Draw the kernels of the first convolution.")
@click.option("--feature-maps", metavar="IMAGE", help="Draw what each stage makes of IMAGE.")
@click.option("--maximise", type=Channel(), help="Find the input that excites a channel, by gradient ascent.")
@click.option("--out", metavar="FOLDER", help="Where pictures go; default: explanations/RUN.")
@backend_option
@device_option
@json_option
@debug_option
def command(
    run, images, methods, class_name, layer, score, kernels, feature_maps, maximise, out, backend, device, as_json
):
    """Show what in IMAGES speaks for a class: files, folders or globs. RUN is a run folder or a .keras file.

    For each image and method an overlay, the bare heatmap and the array are written; for several, contact sheets.
    Images that cannot be read are named on stderr; the others are explained, and the exit code is 1.
    """
    from kcnn.data.find import find_images

    if not (images or kernels or feature_maps or maximise):
        raise click.UsageError("Nothing to explain: name IMAGES, or --kernels, --feature-maps or --maximise.")
    if not images and (methods or class_name or layer or score):
        raise click.UsageError("--method, --class, --layer and --score go with IMAGES; none are named.")
    names = list(dict.fromkeys(METHODS.names() if ALL in methods else methods or ("grad_cam",)))
    for name in names:
        METHODS.target(name)
    files = find_images(images) if images else []
    use_backend(backend, device)

    from kcnn.classifier import Classifier
    from kcnn.cli._progress import counting
    from kcnn.workflows.explain import Files, default_folder, explain

    classifier = Classifier.open(run)
    folder = out or default_folder(run)
    names_of = Files(folder, [*files, *filter(None, [feature_maps])])
    document = {"run": run}
    with counting(one_bar=True) as progress:
        _look_inside(classifier, names_of, kernels, feature_maps, maximise, document, progress)
        if files:
            found = explain(
                classifier,
                files,
                folder,
                methods=names,
                class_name=class_name,
                layer=layer,
                score=score,
                progress=progress,
            )
    unread = [one for one in found.explanations if one.error] if files else []
    for one in unread:
        click.echo(f"Error: {one.error}", err=True)
    if as_json:
        show_json(document | (_document(found) if files else {}))
        raise SystemExit(1 if unread else 0)
    for part in ("kernels", "feature_maps", "maximised"):
        if part in document:
            click.echo(_line(part, document[part]))
    if files:
        _show(found)
    raise SystemExit(1 if unread else 0)


def _look_inside(classifier, names, kernels, feature_maps, maximise, document, progress):
    """Draw what was asked for, and note it in the document."""
    from kcnn.workflows import inside

    if kernels:
        path = names.path("kernels.png")
        layer, count = inside.draw_kernels(classifier, path)
        document["kernels"] = {"picture": str(path), "layer": layer, "count": count}
    if feature_maps:
        path = names.path("feature_maps.png")
        stages = inside.draw_feature_maps(classifier, feature_maps, path)
        document["feature_maps"] = {
            "picture": str(path),
            "image": feature_maps,
            "stages": [{"layer": layer, "shape": list(shape)} for layer, shape in stages.items()],
        }
    if maximise:
        layer, channel = maximise
        path = names.path("maximised", layer.replace("/", "_"), f"{channel}.png")
        before, after = inside.draw_maximised(classifier, layer, channel, path, progress)
        document["maximised"] = {
            "picture": str(path),
            "layer": layer,
            "channel": channel,
            "before": before,
            "after": after,
        }


def _line(part, found):
    if part == "kernels":
        return f"The {found['count']} kernels of {found['layer']}: {found['picture']}"
    if part == "feature_maps":
        return f"Maps of {', '.join(stage['layer'] for stage in found['stages'])}: {found['picture']}"
    rose = f"rose from {found['before']:.3g} to {found['after']:.3g}"
    return f"{found['layer']}:{found['channel']} {rose}: {found['picture']}"


def _document(found):
    return {
        "layer": found.layer,
        "explanations": [one.as_json() for one in found.explanations],
        "sheets": [str(path) for path in found.sheets],
        "scores": found.scores,
        "curves": found.curves and str(found.curves),
    }


def _show(found):
    from rich.table import Table
    from rich.text import Text

    from kcnn.amount import percent

    read = [one for one in found.explanations if not one.error]
    if not read:
        return
    table = Table("image", "explained", "probability", "predicted")
    table.columns[0].overflow = "fold"
    table.columns[2].justify = "right"
    for one in {one.image: one for one in read}.values():
        # Names may hold what rich takes for markup.
        image, label, predicted = map(Text, (one.image, one.label, one.predicted))
        table.add_row(image, label, percent(one.probability, 1), predicted)
    screen().print(table)
    if found.scores:
        scores = Table("method", "deletion", "insertion")
        for name, row in found.scores.items():
            scores.add_row(name, f"{row['deletion']:.3f}", f"{row['insertion']:.3f}")
        screen().print(scores)
        count = next(iter(found.scores.values()))["count"]
        click.echo(f"Mean areas, {count:,} images: deletion should be low, insertion high. Curves: {found.curves}")
    methods = list(dict.fromkeys(one.method for one in read))
    by = ", ".join(methods) if len(methods) < 4 else f"{len(methods)} methods"
    click.echo(f"Overlay, heatmap and array of each image by {by}, such as {read[0].overlay}")
    for path in found.sheets:
        click.echo(f"Contact sheet: {path}")
