"""Set runs beside one another that were measured on the same images."""

import itertools
from dataclasses import dataclass

from kcnn.errors import UsageError
from kcnn.metrics.comparison import holm, mcnemar
from kcnn.workflows.evaluate import evaluate


@dataclass(frozen=True)
class Pair:
    """Two runs.

    Attributes:
        first, second: Their names.
        difference: Accuracy of the first minus that of the second.
        only_first, only_second: How many images only one of them gets right.
        p: McNemar's exact test; the chance of such a difference or a larger one between runs that are equally good.
        p_holm: The same, adjusted for the number of pairs.
    """

    first: str
    second: str
    difference: float
    only_first: int
    only_second: int
    p: float
    p_holm: float


def compare(runs, *, progress=None, **options):
    """Evaluate each of two runs or more; return [(name, `Evaluation`)] and a `Pair` for each two of them.

    Args:
        runs: A list of `Run`.
        progress: Called as `(done, total, what)`.
        **options: Those of `evaluate`.

    Raises:
        UsageError: They were not measured on the same images with the same labels.
    """
    found = []
    for name, run in zip(_names(runs), runs, strict=True):
        told = progress and (lambda done, total, what, name=name: progress(done, total, f"{name}: {what}"))
        result = evaluate(run, progress=told, **options)
        found.append((name, result))
        if result.fingerprint != found[0][1].fingerprint:
            counts = f"{found[0][1].metrics['count']:,} and {result.metrics['count']:,} images"
            raise UsageError(
                "Runs can be compared only on the same images with the same labels. "
                f"Those of {found[0][0]} and {name} differ ({counts}). Name one set with --data PATH."
            )
    return found, _pairs(found)


def _pairs(found):
    rows = []
    for (first, one), (second, other) in itertools.combinations(found, 2):
        difference = one.metrics["accuracy"] - other.metrics["accuracy"]
        rows.append((first, second, difference, *mcnemar(one.right, other.right)))
    return [Pair(*row, adjusted) for row, adjusted in zip(rows, holm([row[-1] for row in rows]), strict=True)]


def _names(runs):
    """Return the names of the folders, or where two are alike their paths."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]
