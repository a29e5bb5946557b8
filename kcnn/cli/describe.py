"""kcnn describe: what a network is made of, layer by layer."""

import re
from pathlib import PurePath

import click

from kcnn.amount import amount, size, times
from kcnn.cli._options import backend_option, debug_option, json_option, use_backend

FORMATS = ("table", "markdown", "svg")
ENDINGS = {"": "table", ".txt": "table", ".md": "markdown", ".markdown": "markdown", ".svg": "svg"}


class ImageShape(click.ParamType):
    """`224`, `224x224` or `224x224x3`."""

    name = "HxWxC"

    def convert(self, value, parameter, context):
        match = re.fullmatch(r"(\d{1,5})(?:[x,](\d{1,5})(?:[x,](\d{1,3}))?)?", value.strip().lower())
        sizes = [int(size or 0) for size in match.groups()] if match else [0]
        height, width, channels = (*sizes, 0, 0)[:3]
        width, channels = width or height, channels or (3 if match and match[3] is None else 0)
        if not height or not channels:
            self.fail(f"expected a size such as 224, 224x224 or 224x224x3. Received: {value!r}", parameter, context)
        return height, width, channels


@click.command("describe", short_help="Show or draw the layers of a model or run.")
@click.argument("subject", metavar="MODEL|RUN")
@click.option("--input", "input_shape", type=ImageShape(), help="Of a model; default: what it is made for.")
@click.option("--classes", type=click.IntRange(min=2), help="Of a model; default: those of its published form.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of a model, as in width=64.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Images to count memory for.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Default: table, or by the ending of --output.")
@click.option("--output", type=click.Path(dir_okay=False, writable=True), help="A file, such as net.svg or net.md.")
@backend_option
@json_option
@debug_option
def command(subject, input_shape, classes, settings, batch, form, output, backend, as_json):
    """Show each layer of MODEL or RUN: output, parameters, multiply-accumulates, receptive field, stride.

    MODEL is a name that `kcnn models` lists; RUN a run, or a .keras file. Multiply-accumulates are those of an image in
    convolutions and dense layers. A receptive field is how many pixels a value can depend on, beyond the border too.
    """
    from kcnn.workflows.subject import find_subject

    if as_json and (form or output):
        raise click.UsageError("--json is a format of its own; leave --format and --output out.")
    form = form or _format_of(output)
    found = find_subject(subject, input_shape=input_shape, classes=classes, settings=settings)
    use_backend(backend)

    from kcnn.workflows.describe import describe

    description = describe(found, batch=batch)
    if as_json:
        from kcnn.cli._options import show_json

        show_json(description.document())
        return
    text = _text(description, form, output)
    if output:
        from kcnn.files import write_text

        write_text(output, text)
        click.echo(f"Written: {output}")
    else:
        click.echo(text, nl=False)


def _format_of(output):
    ending = PurePath(output or "").suffix.lower()
    if ending not in ENDINGS:
        raise click.UsageError(f"{output} must end in {', '.join(filter(None, ENDINGS))}; or name its --format.")
    return ENDINGS[ending]


def _text(description, form, output):
    if form == "svg":
        from kcnn.workflows.diagram import diagram

        return diagram(description)
    if form == "markdown":
        return _markdown(description)
    return _table(description, None if output else _width())


# --- Table ---


def _width():
    """Return how wide the terminal is; None where there is none, since a pipe cuts nothing off."""
    import shutil
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


HEADERS = ("layer", "type", "output", "parameters", "MACs", "field", "stride")
LEFT = 2  # columns that stand to the left


def _rows(description):
    return [
        (
            layer.name,
            " ".join(filter(None, (_short(layer.kind), layer.detail))),
            times(layer.output_shape),
            f"{layer.parameters:,}" if layer.parameters else "",
            amount(layer.macs) if layer.macs else "",
            _field(layer.field),
            _axes(layer.field.stride),
        )
        for layer in description.layers
    ]


def _table(description, width):
    rows = [HEADERS, *_rows(description)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    # Where a terminal is too narrow, names give way: their ends say more than their beginnings.
    room = width and max(12, width - sum(widths[1:]) - len(HEADERS) + 1)
    if room:
        rows = [(_cut(name, room), *others) for name, *others in rows]
        widths[0] = min(widths[0], room)
    lines = [_title(description), ""]
    for row in rows:
        cells = [
            cell.ljust(size) if column < LEFT else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(" ".join(cells).rstrip())
    lines.insert(3, "-" * min(max(map(len, lines[2:])), width or 1000))
    lines += ["", *_totals(description)]
    return "\n".join(lines) + "\n"


def _markdown(description):
    lines = [f"## {_title(description)}", "", "| " + " | ".join(HEADERS) + " |"]
    lines.append("|" + "|".join(["---"] * LEFT + ["---:"] * (len(HEADERS) - LEFT)) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in _rows(description)]
    return "\n".join([*lines, "", *(f"- {line}" for line in _paragraphs(description))]) + "\n"


def _title(description):
    options = ", ".join(f"{key} = {value}" for key, value in description.changed.items())
    return (
        f"{description.name}{f' ({options})' if options else ''}: images of {times(description.input_shape)}, "
        f"{description.classes:,} classes"
    )


def _paragraphs(description):
    whole, dense = description.last_field, description.fully_connected
    beside = f", and {description.statistics:,} statistics of norms" if description.statistics else ""
    yield f"Parameters: {description.parameters:,}{beside}."
    yield f"Multiply-accumulates: {description.macs:,} for an image, in convolutions and dense layers."
    gates = " *: gates let it depend on the whole image as well." if whole.whole else ""
    yield (
        f"The last feature map sees {_axes(whole.size)} pixels a value, one every {_axes(whole.stride)}; "
        f"all: the whole image.{gates}"
    )
    images = "1 image" if description.batch == 1 else f"{description.batch:,} images"
    yield (
        f"Memory in float32: weights {size(description.weight_bytes)}; for {images}, the outputs of all layers, which "
        f"training keeps, {size(description.activations)}; at one time in use {size(description.peak)}."
    )
    yield from _compared(dense)


def _compared(dense):
    opening = (
        f"A fully connected first layer of {dense.units:,} units would take {dense.inputs:,} x {dense.units:,} = "
        f"{dense.weights:,} weights"
    )
    if not dense.first_weights:
        yield f"{opening}."
        return
    ratio = dense.weights / dense.first_weights
    yield (
        f"{opening}; {dense.first} has {dense.first_weights:,}, "
        f"{f'{ratio:,.0f} times fewer' if ratio > 1.5 else 'about as many'}. Shared at each place, they cost "
        f"{amount(dense.first_macs)} multiply-accumulates, against {amount(dense.weights)}."
    )


def _totals(description):
    import textwrap

    for paragraph in _paragraphs(description):
        yield from textwrap.wrap(paragraph, 80, subsequent_indent="  ")


# --- Words ---


def _short(kind):
    """Return the name of a class without what goes without saying in a network for images."""
    kind = kind.removesuffix("2D").replace("Normalization", "Norm").replace("Pooling", "Pool")
    return {"Activation": "", "InputLayer": "Input"}.get(kind, kind.replace("Average", "Avg"))


def _field(field):
    if field.size is None:
        return "all"
    return _axes(field.size) + ("*" if field.whole else "")


def _axes(pair):
    if pair is None:
        return ""
    words = [str(n) if isinstance(n, int) else f"{float(n):g}" for n in pair]
    return words[0] if words[0] == words[1] else "x".join(words)


def _cut(name, room):
    return name if len(name) <= room else f"…{name[len(name) - room + 1 :]}"
