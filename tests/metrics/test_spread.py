"""The mean over seeds, and its interval."""

import numpy as np
import pytest

from kcnn.metrics.spread import spread


def test_the_interval_is_students():
    """By hand: mean 4, s = 2, t(2; 0.975) = 4.302653 from a table."""
    found = spread([2.0, 4.0, 6.0])
    assert (found.mean, found.std) == (4.0, 2.0)
    assert found.high == pytest.approx(4 + 4.302653 * 2 / 3**0.5, rel=1e-6)
    assert found.low == pytest.approx(4 - 4.302653 * 2 / 3**0.5, rel=1e-6)


def test_the_interval_of_a_share_stays_one():
    found = spread([0.9, 1.0], share=True)
    assert (found.low, found.high) == (pytest.approx(0.95 - 12.7062 * 0.05, rel=1e-4), 1.0)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [spread(rng.normal(5, 2, 3)) for _ in range(4000)]
    covered = np.mean([one.low < 5 < one.high for one in found])
    assert abs(covered - 0.95) < 0.01
