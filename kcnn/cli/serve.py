"""kcnn serve: a model behind HTTP, with a page."""

import functools
import os

import click

from kcnn.cli._options import (
    FiniteRange,
    backend_option,
    debug_option,
    device_option,
    json_option,
    refuse_backend,
    show_json,
    use_backend,
)
from kcnn.errors import UsageError

PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
KEY = "KCNN_API_KEY"
MIB = 2**20
DECODED = 89.478485  # millions of pixels, kcnn.data.decode.MAX_PIXELS


@click.command("serve", short_help="Answer over HTTP, with a page to try the model.")
@click.argument("run")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every one.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks a free one.")
@click.option("--calibrated", is_flag=True, help="Probabilities at the temperature that `kcnn evaluate RUN` fitted.")
@click.option("--export/--no-export", default=True, show_default=True, help="Let a run's ONNX export answer, if any.")
@click.option(
    "--batch", type=click.IntRange(1, 1024), default=32, show_default=True, help="Images in a batch; 1 is off."
)
@click.option(
    "--window",
    type=FiniteRange(0, 1000),
    default=2.0,
    show_default=True,
    metavar="MS",
    help="How long the first of a batch waits for others.",
)
@click.option(
    "--queue", type=click.IntRange(1), default=256, show_default=True, help="Images that may wait; more get 503."
)
@click.option("--max-images", type=click.IntRange(1), default=32, show_default=True, help="In a request.")
@click.option(
    "--max-body", type=FiniteRange(0.01), default=16.0, show_default=True, metavar="MIB", help="Of a request."
)
@click.option(
    "--max-pixels",
    type=FiniteRange(0.01, DECODED),
    default=50.0,
    show_default=True,
    metavar="MILLIONS",
    help="Of an image.",
)
@click.option(
    "--timeout",
    type=FiniteRange(0.1, 3600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For a request to arrive, and again to be answered.",
)
@click.option("--access-log", is_flag=True, help="A line on stderr for each request.")
@backend_option
@device_option
@json_option
@debug_option
def command(run, host, port, calibrated, export, batch, window, queue, access_log, backend, device, as_json, **bounds):
    """Answer HTTP requests with the model in RUN: a run folder, a .keras file, or an export.

    Try it at http://127.0.0.1:8000/; programs POST images to /v1/predict, and /docs describes the rest. With the
    environment variable KCNN_API_KEY set, requests have to bring that key. Where a run's ONNX export answers, --backend
    and --device are those of its heatmaps alone. Ctrl-C and SIGTERM stop it, after what was accepted is answered.
    """
    _check_packages()

    from kcnn.serving.limits import Limits
    from kcnn.workflows.serve import find_sources, serve

    if (backend or device) and find_sources(run, export=export).explains is None:
        refuse_backend(run, backend, device)

    if access_log:
        _log_access()
    key = os.environ.get(KEY) or None
    serve(
        run,
        host=host,
        port=port,
        limits=Limits(
            body=round(bounds["max_body"] * MIB),
            images=min(bounds["max_images"], queue),
            pixels=round(bounds["max_pixels"] * 1e6),
            waiting=queue,
            seconds=bounds["timeout"],
        ),
        most=batch,
        window=window / 1000,
        calibrated=calibrated,
        export=export,
        key=key,
        access_log=access_log,
        use_keras=functools.partial(use_backend, backend, device),
        listening=functools.partial(_show_address, as_json),
        ready=lambda: click.echo("Ready. Ctrl-C stops.", err=True),
    )


def _check_packages():
    from importlib.util import find_spec

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"`kcnn serve` needs {', '.join(missing)}: pip install 'kcnn[serve]'")


def _log_access():
    import logging

    log = logging.getLogger("uvicorn.access")
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.INFO)


def _show_address(as_json, address, document):
    if not document["key"] and not address.startswith(("http://127.", "http://[::1]")):
        click.echo(f"Warning: anyone who can reach this machine can ask. Set {KEY} to ask for a key.", err=True)
    if as_json:
        show_json(document)
    else:
        click.echo(f"{document['name']} ({document['runtime']}) listens on {address}")
