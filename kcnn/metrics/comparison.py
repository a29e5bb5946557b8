"""Whether one classifier is better than another on the same images."""

import numpy as np
from scipy.stats import binomtest

from kcnn.metrics.intervals import Z_95


def mcnemar(first, second):
    """Return how often only the first is right, how often only the second, and the exact two-sided p-value.

    Under the hypothesis that both are equally good each of these images is a toss of a fair coin (McNemar 1947).

    Args:
        first, second: Boolean arrays (N,), whether each classifier is right on each image.
    """
    only_first = int((first & ~second).sum())
    only_second = int((second & ~first).sum())
    differ = only_first + only_second
    return only_first, only_second, float(binomtest(only_first, differ, 0.5).pvalue) if differ else 1.0


def paired_difference(first, second):
    """Return the share of images right by which the second differs from the first, and its 95 % interval.

    Wald's interval with half an image added to each cell of the table (Agresti & Min 2005), since a plain one has no
    width where no image tells both apart.

    Args:
        first, second: Boolean arrays (N,), whether each is right on each image.

    Returns:
        (difference, low, high), each from -1 to 1.
    """
    count = len(first) + 2
    lost, gained = int((first & ~second).sum()) + 0.5, int((second & ~first).sum()) + 0.5
    centre = (gained - lost) / count
    half = Z_95 * np.sqrt(gained + lost - (gained - lost) ** 2 / count) / count
    difference = float(second.mean() - first.mean())
    return difference, max(float(centre - half), -1.0), min(float(centre + half), 1.0)


def holm(p_values):
    """Return the p-values adjusted for their number, in their order (Holm 1979): the chance of any false alarm."""
    p_values = np.asarray(p_values, "float64")
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted.tolist()
