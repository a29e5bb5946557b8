"""How far two classifiers' answers to the same images are apart."""

import numpy as np


def agreement(first, second, tolerance):
    """Return how far `second` is from `first`, as plain numbers.

    Args:
        first, second: Probabilities (N, K).
        tolerance: How far two probabilities may be apart. Where the first has two labels within twice that, either may
            be named: a near-tie.

    Returns:
        probability: The largest difference, not a number (NaN) where an answer is not.
        top1: Share of images that have the same label.
        disagreements: How many have not.
        near_ties: How many of those are near-ties.
    """
    rows = np.arange(len(first))
    labels, others = first.argmax(axis=1), second.argmax(axis=1)
    differ = labels != others
    margins = first[rows, labels] - first[rows, others]
    return {
        "probability": largest_difference(first, second),
        "top1": float(1 - differ.mean()),
        "disagreements": int(differ.sum()),
        "near_ties": int((differ & (margins <= 2 * tolerance)).sum()),
    }


def largest_difference(first, second):
    """Return the largest absolute difference of two arrays; NaN where one holds NaN."""
    return float(np.abs(first.astype("float64") - second).max())
