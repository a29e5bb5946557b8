"""How far two classifiers' answers are apart."""

import math

import numpy as np
import pytest

from kcnn.metrics.agreement import agreement
from kcnn.metrics.comparison import paired_difference


def test_a_swap_of_two_labels_is_a_near_tie_only_where_both_were_as_likely():
    first = np.array([[0.5001, 0.4999, 0], [0.6, 0.4, 0], [0.1, 0.1, 0.8]])
    second = np.array([[0.49995, 0.50005, 0], [0.4, 0.6, 0], [0.1, 0.1, 0.8]])
    found = agreement(first, second, 1e-4)
    assert found["probability"] == pytest.approx(0.2)
    assert found["top1"] == pytest.approx(1 / 3)
    assert (found["disagreements"], found["near_ties"]) == (2, 1)


def test_an_answer_that_is_no_number_is_not_lost():
    assert math.isnan(agreement(np.full((2, 2), 0.5), np.array([[0.5, 0.5], [np.nan, 0.5]]), 1e-4)["probability"])


def test_the_interval_of_a_paired_difference_covers_what_it_says():
    """In 95 % of repetitions, within what 2,000 of them can tell."""
    rng = np.random.default_rng(0)
    lost, gained, count = 0.05, 0.02, 300
    hits = 0
    for _ in range(2000):
        draws = rng.random(count)
        first, second = draws > gained, (draws < 0.6) | (draws > 0.6 + lost)
        _, low, high = paired_difference(first, second)
        hits += low <= gained - lost <= high
    assert 0.93 < hits / 2000 < 0.98


def test_equal_answers_have_an_interval_too():
    right = np.ones(100, bool)
    difference, low, high = paired_difference(right, right)
    assert difference == 0
    assert low < 0 < high
