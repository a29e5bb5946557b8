"""Options that several verbs share, and the one way to choose the backend before a worker is imported."""

import json as json_module
import math
import sys

import click

from kcnn import backend as backend_module
from kcnn.registry import VIEWS


class FiniteRange(click.FloatRange):
    """A number in a range; NaN, which is neither below nor above any, is in none."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number


backend_option = click.option(
    "--backend",
    metavar="NAME",
    help="tensorflow, torch or jax; default: KERAS_BACKEND, else one that is installed.",
)
device_option = click.option(
    "--device", metavar="DEVICE", help="cpu, gpu or gpu:N; default: the framework's own choice."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document on stdout, everything else on stderr."
)
debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
data_option = click.option(
    "--data",
    metavar="PATH",
    help="Images of your own: a folder with one folder a class, a CSV of path,label[,split], or an archive.",
)
tta_option = click.option(
    "--tta",
    type=click.Choice(VIEWS.names()),
    help="Test-time augmentation, the mean over views: flip, the image and its mirror image; flip_shift, also shifted.",
)


def names_in(text):
    """Return the names in a text such as "A,B"; None where there is no text."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def use_backend(name, device=None, *, deterministic=False):
    """Select the backend and device, saying on stderr which and why; return the backend's name."""
    return _selected(backend_module.select(name, device), device, deterministic, told=not name)


def use_backend_again(known, name, device=None, *, deterministic=False):
    """Select the backend of a training so far, `known` or None, where `name` asks for no other, as `use_backend`."""
    asked = None if name == backend_module.AUTO else name
    if asked or not known:
        return use_backend(asked, device, deterministic=deterministic)
    choice = backend_module.select(known, device, "on which the training began")
    return _selected(choice, device, deterministic, told=False)


def use_backend_to_open(path, name, device=None):
    """Select the backend as `use_backend` where what is at `path` needs one: an exported file has its own runtime."""
    from kcnn.opened import is_exported

    if is_exported(path):
        refuse_backend(path, name, device)
    else:
        use_backend(name, device)


def refuse_backend(path, name, device):
    """Raise `UsageError` where a backend or device is given for an exported file."""
    if name or device:
        raise click.UsageError(
            f"{path} is an exported file with a runtime of its own: leave out --backend and --device."
        )


def use_backend_for(recipe, name, device=None):
    """Select the backend to train a recipe on, as `use_backend`; "auto" is the one that finishes it first."""
    deterministic = recipe.run.deterministic
    if name != backend_module.AUTO:
        return use_backend(name, device, deterministic=deterministic)

    from kcnn.cli._progress import counting
    from kcnn.workflows.auto import auto

    with counting(one_bar=True) as progress:
        name, reason = auto(recipe, device=device, progress=progress)
    return _selected(backend_module.select(name, device, reason), device, deterministic, told=True)


def _selected(choice, device, deterministic, told):
    if deterministic:
        backend_module.make_deterministic(choice.name)
    if told:
        click.echo(f"Backend: {choice.name} ({choice.reason})", err=True)
    backend_module.check_device(choice.name, device)
    return choice.name


def show_json(document):
    """Print the one JSON document of a call with --json."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json_module.dumps(document, indent=2, ensure_ascii=not utf8)
    click.echo(text.encode("utf-8", "backslashreplace").decode())  # what is no UTF-8 in a name becomes JSON's \uXXXX


def spread_line(spread):
    """Return a share over several seeds in words: mean, standard deviation, interval, and each value."""
    values = ", ".join(f"{value:.2%}" for value in spread.values)
    return (
        f"{spread.mean:.2%} ± {spread.std:.2%} (mean and standard deviation of {len(spread.values)} seeds; "
        f"95 % interval of the mean {spread.low:.2%} to {spread.high:.2%}; {values})"
    )
