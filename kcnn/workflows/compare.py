"""Set runs beside one another that were measured on the same images."""

import itertools
from dataclasses import dataclass

from kcnn.errors import UsageError
from kcnn.metrics.comparison import holm, mcnemar
from kcnn.run import distinct_names
from kcnn.workflows.evaluate import evaluate, load_images


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
    named = dict(zip(distinct_names(runs), runs, strict=True))
    _check_images(named, options.get("data_path"), options.get("split", "test"), progress)
    found = []
    for name, run in named.items():
        told = progress and (lambda done, total, what, name=name: progress(done, total, f"{name}: {what}"))
        found.append((name, evaluate(run, progress=told, **options)))
    return found, _pairs(found)


def _check_images(named, data_path, split, progress):
    """Raise `UsageError` where the runs' images differ, before any page of theirs is written anew."""
    first = None
    for name, run in named.items():
        dataset, _ = load_images(run, run.read_json(run.labels), data_path, split, progress)
        count = len(getattr(dataset, split))
        first = first or (name, dataset.fingerprint, count)
        if dataset.fingerprint != first[1]:
            hint = f"Some of those at {data_path} are what one of them was trained on. " if data_path else ""
            raise UsageError(
                "Runs can be compared only on the same images with the same labels. "
                f"Those of {first[0]} and {name} differ ({first[2]:,} and {count:,} images). "
                f"{hint}Name {'others' if data_path else 'one set'} with --data PATH."
            )


def _pairs(found):
    rows = []
    for (first, one), (second, other) in itertools.combinations(found, 2):
        difference = one.metrics["accuracy"] - other.metrics["accuracy"]
        rows.append((first, second, difference, *mcnemar(one.right, other.right)))
    return [Pair(*row, adjusted) for row, adjusted in zip(rows, holm([row[-1] for row in rows]), strict=True)]
