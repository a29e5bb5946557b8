"""A number over several seeds: its mean, and how far other seeds may fall."""

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Spread:
    """One number over several seeds.

    Attributes:
        mean: Of the seeds.
        std: Sample standard deviation, between seeds.
        low, high: 95 % confidence interval of the mean, Student's t with one degree of freedom less than seeds. It
            covers the luck of the seed, not that of the test images.
        values: The number of each seed, in their order.
    """

    mean: float
    std: float
    low: float
    high: float
    values: list


def spread(values, *, share=False):
    """Return the `Spread` of two numbers or more; the interval of a `share` stays within 0 and 1."""
    values = [float(value) for value in values]
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * std / len(values) ** 0.5
    low, high = mean - reach, mean + reach
    return Spread(mean, std, *((max(low, 0.0), min(high, 1.0)) if share else (low, high)), values)
