"""Accuracy in groups of images that share a property."""

import numpy as np
from scipy.stats import chi2_contingency

from kcnn.metrics.intervals import wilson

GROUPS = 4


def by_property(values, right, groups=GROUPS):
    """Return the accuracy in groups of rising values, or None where all images have the same value.

    Args:
        values: Numbers (N,), a property of each image.
        right: Boolean array (N,).
        groups: How many, of about equal size; fewer where many images share one value.

    Returns:
        A dictionary: `groups`, rows of low, high (the least and greatest value), count, accuracy, accuracy_low,
        accuracy_high; `p`, that of the chi-square test that all groups are equally accurate.
    """
    values = np.asarray(values)
    if len(np.unique(values)) < 2:
        return None
    edges = np.unique(np.quantile(values, np.arange(1, groups) / groups, method="inverted_cdf"))
    place = np.searchsorted(edges, values)  # a group holds its upper edge
    rows = []
    for index in np.unique(place):
        here = place == index
        count, correct = int(here.sum()), int(right[here].sum())
        low, high = wilson(correct, count)
        rows.append(
            {
                "low": float(values[here].min()),
                "high": float(values[here].max()),
                "count": count,
                "accuracy": correct / count,
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
    table = [[row["accuracy"] * row["count"], (1 - row["accuracy"]) * row["count"]] for row in rows]
    told = len(rows) > 1 and 0 < right.sum() < len(right)
    return {"groups": rows, "p": float(chi2_contingency(table, correction=False).pvalue) if told else 1.0}
