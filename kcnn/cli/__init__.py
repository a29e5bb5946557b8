"""The command line: finds the verb, and turns what goes wrong into one line and an exit code."""

import errno
import gc
import importlib
import sys

import click

from kcnn import __version__
from kcnn.cli._streams import open_both, spell_out, stderr_unheard, to_nobody
from kcnn.errors import Interrupted, KcnnError
from kcnn.registry import did_you_mean

# Verb -> module; each is imported when it is called or when its help is shown, and imports click alone.
VERBS = {
    "fit": "kcnn.cli.fit",
    "evaluate": "kcnn.cli.evaluate",
    "predict": "kcnn.cli.predict",
    "explain": "kcnn.cli.explain",
    "export": "kcnn.cli.export",
    "serve": "kcnn.cli.serve",
    "parity": "kcnn.cli.parity",
    "bench": "kcnn.cli.bench",
    "describe": "kcnn.cli.describe",
    "models": "kcnn.cli.models",
    "recipes": "kcnn.cli.recipes",
    "datasets": "kcnn.cli.datasets",
    "cache": "kcnn.cli.cache",
    "check": "kcnn.cli.check",
}


class Verbs(click.Group):
    """A group whose commands lie in one file each."""

    def list_commands(self, context):
        return list(VERBS)

    def get_command(self, context, name):
        return importlib.import_module(VERBS[name]).command if name in VERBS else None

    def resolve_command(self, context, arguments):
        if arguments and arguments[0] not in VERBS and not arguments[0].startswith("-"):
            hint = did_you_mean(arguments[0], VERBS) or f" Verbs: {', '.join(VERBS)}."
            raise click.UsageError(f"There is no verb {arguments[0]!r}.{hint}", context)
        return super().resolve_command(context, arguments)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kcnn")
def cli():
    """Train, check and ship image classifiers: one recipe, on TensorFlow, PyTorch or JAX.

    Start with `kcnn fit`: it trains a small network on handwritten digits in seconds.
    """


def main(arguments=None):
    """Run the command line and exit: 0 done, 1 the work failed, 2 the call was wrong."""
    open_both()
    spell_out()
    with stderr_unheard():
        code = _exit_code(arguments)
    sys.exit(code)


def _exit_code(arguments):
    debug = "--debug" in (sys.argv if arguments is None else arguments)
    interrupted = False
    try:
        # Not cli.main, which answers a closed pipe with exit code 1 by itself.
        with cli.make_context("kcnn", list(sys.argv[1:] if arguments is None else arguments)) as context:
            code = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Interrupted as error:
        click.echo(str(error), err=True)
        code = error.exit_code
        interrupted = True
    except KcnnError as error:
        code = _tell(error, debug, error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        code = 1
        interrupted = True
    except BrokenPipeError:
        to_nobody(sys.stdout)  # whose reader has seen enough
        code = 0
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error)).lower()
        where = f" ({error.filename})" if error.filename else ""
        code = _tell(f"Cannot go on: {reason}{where}.", debug, 1)
    except MemoryError:
        code = _tell(
            "Out of memory. A training may need a smaller --set batch_size=..., or data.memory_limit.", debug, 1
        )
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).partition("\n")[0]
        code = _tell(f"This should not happen: {type(error).__name__}: {first} (--debug shows where)", debug, 1)
    if interrupted:
        gc.collect()  # else TensorFlow complains on stderr that Python has gone before its dataset
    return code if isinstance(code, int) else 0


def _tell(message, debug, code):
    if debug:
        import traceback

        traceback.print_exc()
    click.echo(f"Error: {message}", err=True)
    return code
