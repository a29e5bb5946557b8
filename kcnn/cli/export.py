"""kcnn export: a run as a file for another runtime, with a certificate."""

import functools

import click

from kcnn.cli._options import FiniteRange, debug_option, json_option, show_json
from kcnn.registry import FORMATS


@click.command("export", short_help="Write a run for another runtime, certified.")
@click.argument("run")
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS.names()),
    multiple=True,
    required=True,
    help="Once for each that you want.",
)
@click.option(
    "--quantize", type=click.Choice(["int8", "float16"]), help="Smaller weights; int8 also computes with them."
)
@click.option(
    "--budget",
    type=FiniteRange(min=0),
    default=1.0,
    show_default=True,
    help="Points of accuracy that a quantised file may lose.",
)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="How many validation images to compare on, at most.",
)
@click.option(
    "--backend",
    metavar="NAME",
    help="On which the trained model answers for the comparison; default: the one it was trained on.",
)
@click.option("--data", metavar="PATH", help="Where the run's images lie now, if not where its recipe says.")
@json_option
@debug_option
def command(run, formats, quantize, budget, images, backend, data, as_json):
    """Write RUN as a file for another runtime, and certify that it answers as the trained model does.

    The file lies in RUN/exports/FORMAT, a quantised one in FORMAT-int8 or FORMAT-float16, with certificate.json and a
    page about it. It is kept only where float32 differs by at most 1e-4 in any probability, and where a quantised one
    keeps its budget; otherwise the exit code is 1, and a folder of that name with -refused behind it says why.
    """
    from kcnn.run import Run

    run = Run.open(run)

    from kcnn.cli._progress import counting
    from kcnn.workflows.export import export

    with counting(one_bar=True) as progress:
        certificates = export(
            run,
            formats,
            quantize=quantize,
            reference=backend,
            data_path=data,
            images=images,
            budget=budget,
            progress=progress,
            each=functools.partial(_show, run, as_json),
        )
    if as_json:
        show_json({"run": str(run.path), "certificates": [one.document() for one in certificates]})
    raise SystemExit(0 if all(one.holds for one in certificates) else 1)


def _show(run, as_json, certificate):
    if not certificate.holds:
        for complaint in certificate.complaints:
            click.echo(f"Error: {certificate.name} is refused. {complaint}", err=True)
        click.echo(f"Its certificate: {run.exports}/{certificate.name}-refused/certificate.html", err=True)
        return
    if as_json:
        return
    numbers, measured = certificate.difference, certificate.images
    lost = f", accuracy {100 * certificate.accuracy['difference'][0]:+.2f} points" if certificate.quantize else ""
    click.echo(
        f"{certificate.name}: certified on {measured['count']:,} {measured['split']} images. Largest difference of a "
        f"probability {numbers['probability']:.1e}, same label {numbers['top1']:.2%}{lost}; "
        f"{certificate.exported['bytes'] / 2**20:.2f} MiB."
    )
    click.echo(f"  {run.exports / certificate.name}")
