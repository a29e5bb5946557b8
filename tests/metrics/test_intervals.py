"""Intervals against SciPy's, and against a bootstrap."""

import numpy as np
import pytest
from scipy.stats import binomtest

from kcnn.metrics.intervals import balanced, wilson


@pytest.mark.parametrize(("correct", "count"), [(50, 100), (0, 10), (10, 10), (4200, 5000), (1, 1), (345, 349)])
def test_wilson_is_scipys(correct, count):
    expected = binomtest(correct, count).proportion_ci(method="wilson")
    assert wilson(correct, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_balanced_accuracy_agrees_with_a_bootstrap_within_classes(seed):
    draw = np.random.default_rng(seed)
    support = draw.integers(20, 400, 12)
    recalls = draw.uniform(0.5, 0.98, 12)
    correct = draw.binomial(support, recalls)
    mean, low, high = balanced(correct, support)
    resampled = draw.binomial(support, correct / support, (20_000, 12)) / support
    expected = np.quantile(resampled.mean(axis=1), [0.025, 0.975])
    assert mean == pytest.approx((correct / support).mean())
    assert (low, high) == pytest.approx(expected, abs=0.1 * (high - low))


def test_the_interval_covers_what_it_should_with_a_thousand_small_classes():
    draw = np.random.default_rng(0)
    recalls, support = draw.uniform(0.6, 1.0, 1000), np.full(1000, 10)
    hits = 0
    for _ in range(400):
        _, low, high = balanced(draw.binomial(support, recalls), support)
        hits += low <= recalls.mean() <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_one_class_or_alike_classes_give_wilsons_interval():
    assert balanced([37], [50])[1:] == pytest.approx(wilson(37, 50), abs=0.003)
    # All are right: no bootstrap would know a variance.
    assert balanced([50, 50], [50, 50]) == (1.0, *wilson(100, 100))
    assert balanced([0, 0], [50, 50]) == (0.0, *wilson(0, 100))


@pytest.mark.parametrize("few", [1, 2, 3])
def test_a_class_of_few_images_that_are_all_right_is_not_known_exactly(few):
    """Half of the mean rests on them."""
    _, low, high = balanced([500, few], [1000, few])
    assert high - low > (0.4 if few < 3 else 0.3)
    assert high - low < balanced([500, 1], [1000, 1])[2] - balanced([500, 1], [1000, 1])[1] + 1e-12


def test_classes_without_images_and_single_images_do_no_harm():
    assert balanced([8, 0, 9], [10, 0, 10]) == balanced([8, 9], [10, 10])
    mean, low, high = balanced([1, 0, 1], [1, 1, 1])
    assert mean == pytest.approx(2 / 3)
    assert (low, high) == pytest.approx(wilson(2, 3))
    assert balanced([5, 0], [5, 5])[0] == 0.5  # no variance within the classes, and yet an interval
    assert balanced([5, 0], [5, 5])[1] < 0.4
