"""Accuracy by a property of images."""

import numpy as np
import pytest

from kcnn.metrics.groups import by_property


def test_quarters_hold_all_images_once_and_a_real_difference_is_found():
    values = np.random.default_rng(0).permutation(400)
    right = values >= 100
    found = by_property(values, right)
    assert [row["count"] for row in found["groups"]] == [100] * 4
    assert [row["accuracy"] for row in found["groups"]] == [0.0, 1.0, 1.0, 1.0]
    assert [(row["low"], row["high"]) for row in found["groups"]][:2] == [(0, 99), (100, 199)]
    assert found["p"] < 1e-6


def test_chance_is_no_difference():
    draw = np.random.default_rng(1)
    p_values = [by_property(draw.random(300), draw.random(300) < 0.8)["p"] for _ in range(300)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize("right", [np.ones(6, bool), np.zeros(6, bool)])
def test_all_right_or_all_wrong_differ_in_nothing(right):
    assert by_property(np.arange(6), right)["p"] == 1.0


def test_images_that_are_alike_form_no_groups():
    assert by_property(np.full(10, 32.0), np.ones(10, bool)) is None


def test_few_values_make_few_groups():
    values = np.array([32.0] * 90 + [64.0] * 10)
    found = by_property(values, np.arange(100) % 2 == 0)
    assert [(row["low"], row["high"], row["count"]) for row in found["groups"]] == [(32, 32, 90), (64, 64, 10)]
