"""Whether one classifier is better than another on the same images."""

import numpy as np
from scipy.stats import binomtest


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


def holm(p_values):
    """Return the p-values adjusted for their number, in their order (Holm 1979): the chance of any false alarm."""
    p_values = np.asarray(p_values, "float64")
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted.tolist()
