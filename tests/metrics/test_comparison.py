"""McNemar's test against a count by hand, Holm's steps against a worked example."""

from math import comb

import numpy as np
import pytest

from kcnn.metrics.comparison import holm, mcnemar


def test_mcnemar_is_a_count_of_coin_tosses():
    first = np.array([1] * 50 + [1] * 9 + [0] * 2 + [0] * 10, bool)
    second = np.array([1] * 50 + [0] * 9 + [1] * 2 + [0] * 10, bool)
    by_hand = 2 * sum(comb(11, k) for k in range(3)) / 2**11
    assert mcnemar(first, second) == (9, 2, pytest.approx(by_hand))
    assert mcnemar(second, first) == (2, 9, pytest.approx(by_hand))


def test_the_same_answers_differ_in_nothing():
    right = np.array([True, False, True])
    assert mcnemar(right, right) == (0, 0, 1.0)


def test_p_values_are_true_to_their_name():
    draw = np.random.default_rng(0)
    found = [mcnemar(*(draw.random((2, 400)) < 0.8))[2] for _ in range(1000)]
    assert np.mean(np.array(found) < 0.05) < 0.06


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
