"""kcnn predict: labels for images."""

import contextlib
import shlex
import sys

import click

from kcnn.cli._options import (
    FiniteRange,
    backend_option,
    debug_option,
    device_option,
    json_option,
    show_json,
    tta_option,
    use_backend_to_open,
)
from kcnn.cli._streams import screen

FORMS = ("table", "csv", "jsonl", "json", "parquet")
EMBEDDED = ("jsonl", "json", "parquet")  # forms that have a place for embeddings
TABLE_ROWS = 1000  # that are put in columns together


@click.command("predict", short_help="Name what images show.")
@click.argument("run")
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="How many labels an image.")
@click.option("--threshold", type=FiniteRange(0, 1), help='Below this probability the label is "unknown".')
@click.option("--embeddings", is_flag=True, help="Also the pooled features: in JSON, JSON lines and Parquet.")
@tta_option
@click.option("--calibrated", is_flag=True, help="Probabilities at the temperature that `kcnn evaluate RUN` fitted.")
@click.option(
    "--format", "form", type=click.Choice(FORMS), help="Default: what FILE ends in, else table; jsonl is JSON lines."
)
@click.option("--output", metavar="FILE", help="Write to FILE, which appears when it is whole.")
@click.option("--resume", is_flag=True, help="Go on with a FILE of CSV or JSON lines where an earlier call stopped.")
@click.option("-0", "--null", is_flag=True, help="The list on stdin is separated by zero bytes, as of `find -print0`.")
@backend_option
@device_option
@json_option
@debug_option
def command(run, images, calibrated, form, output, resume, null, backend, device, as_json, **options):
    """Name what IMAGES show: files, folders, globs, archives, or - for a list of files on stdin. RUN is a run folder, a
    .keras file, or what `kcnn export` wrote.

    Images that cannot be read are named on stderr; the others are answered, and the exit code is 1.
    """
    from kcnn.data.find import LISTED

    form = _form(form, output, as_json)
    _check(form, output, resume, options["embeddings"])
    if null and LISTED not in images:
        raise click.UsageError("-0 is about the list on stdin, and `-` is not among IMAGES.")

    from kcnn.cli._progress import counting
    from kcnn.data.named import named_images

    with counting() as progress:
        listed = None
        if LISTED in images:
            if sys.stdin is None:
                raise click.UsageError("`-` is a list on stdin, which is closed.")
            listed = sys.stdin.buffer
        images, options["total"] = named_images(images, listed, null=null, progress=progress)
    use_backend_to_open(run, backend, device)

    from kcnn.opened import open_model

    model = open_model(run, calibrated=calibrated)
    told = _Told()
    # On a terminal the rows themselves say how far the work is.
    silent = not output and form != "table" and sys.stdout.isatty()
    with contextlib.nullcontext() if silent else counting() as progress:
        options["progress"] = progress
        if output:
            from kcnn.workflows.predict_to_file import predict_to_file

            again = sys.argv[1:]
            if not resume:
                again.insert(again.index("--") if "--" in again else len(again), "--resume")
            about = {"form": form, "source": run, "resume": resume, "watch": told.add}
            about["command"] = shlex.join(["kcnn", *again])
            count, unread = predict_to_file(model, images, output, **about, **options)
        else:
            _show(model, images, form, told, listed is not None, options)
            unread = told.unread
    if output and as_json:
        show_json({"output": output, "format": form, "count": count, "unread": unread})
    elif output:
        click.echo(f"{count - unread:,} of {count:,} images are answered in {output}.")
    raise SystemExit(1 if unread else 0)


def _form(form, output, as_json):
    """Return the form that is asked for, by name, by a file's ending, or by --json, which is a document on stdout."""
    if as_json and not output:
        if form not in (None, "json"):
            raise click.UsageError(f"--json and --format {form} both say what goes to stdout. Give one of them.")
        return "json"
    if form or not output:
        return form or "table"
    ending = output.rpartition(".")[2].lower()
    if ending not in FORMS[1:]:
        raise click.UsageError(f"{output} ends in none of .{', .'.join(FORMS[1:])}. Say what it holds with --format.")
    return ending


def _check(form, output, resume, embeddings):
    from kcnn.files import replaceable
    from kcnn.workflows._rows import check_parquet
    from kcnn.workflows.predict_to_file import APPENDED

    if form == "table" and output:
        raise click.UsageError(f"A table is for the terminal. Files are {', '.join(FORMS[1:])}.")
    if form == "parquet" and not output:
        raise click.UsageError("Parquet is a file: name it with --output FILE.")
    if output:
        replaceable(output)
    if resume and (not output or form not in APPENDED):
        raise click.UsageError("--resume goes on with a file of CSV or JSON lines: name it with --output FILE.")
    if embeddings and form not in EMBEDDED:
        raise click.UsageError(f"A {form} has no place for embeddings. Use --format {' or '.join(EMBEDDED)}.")
    if form == "parquet":
        check_parquet("write JSON lines")


def _show(model, images, form, told, live, options):
    """Print the predictions as they come: a list on stdin may have no end."""
    from kcnn.workflows._rows import text_rows
    from kcnn.workflows.predict import predict_batches

    with contextlib.closing(predict_batches(model, images, **options)) as batches:
        if form == "table":
            _show_tables(batches, told, live)
            return
        rows = text_rows(form, known=options["threshold"] is not None)
        begin = rows.begin()  # waits for the first rows, in front of which something may go wrong
        for predictions in batches:
            told.add(predictions)
            click.echo(begin + rows.rows(predictions), nl=False)
            begin = b""
        click.echo(begin + rows.end(), nl=False)


class _Told:
    """Names on stderr what could not be read, and counts it."""

    def __init__(self):
        self.unread = 0

    def add(self, predictions):
        for one in predictions:
            if one.error:
                self.unread += 1
                click.echo(f"Error: {one.error}", err=True)


def _show_tables(batches, told, live):
    """Print tables of up to TABLE_ROWS images, or with `live` one for each batch."""
    waiting = []
    for predictions in batches:
        told.add(predictions)
        waiting += [one for one in predictions if not one.error]
        if live or len(waiting) >= TABLE_ROWS:
            _show_table(waiting)
            waiting = []
    _show_table(waiting)


def _show_table(predictions):
    from rich.table import Table
    from rich.text import Text

    from kcnn.amount import percent

    if not predictions:
        return
    table = Table("image", "label", "probability", "then")
    table.columns[0].overflow = "fold"
    table.columns[2].justify = "right"
    for one in predictions:
        others = one.top if one.known is False else one.top[1:]
        then = ", ".join(f"{name} {percent(p, 1)}" for name, p in others)
        # Names may look like markup.
        table.add_row(Text(one.image), Text(one.label), percent(one.probability, 1), Text(then))
    screen().print(table)
