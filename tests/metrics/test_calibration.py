"""Calibration against loops and grids written for these tests alone."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from kcnn.metrics.calibration import (
    brier_score,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
    with_temperature,
)


def drawn(count=4000, classes=5, sharpness=2.0, seed=0):
    """Return probabilities and labels whose true temperature is `sharpness`."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(count, classes)) * 2
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([draw.choice(classes, p=p) for p in truth])
    powers = np.exp(logits * sharpness)
    return (powers / powers.sum(axis=1, keepdims=True)).astype("float32"), labels


def looped_error(probabilities, labels, bins):
    total = 0.0
    for index in range(bins):
        confidences, rights = [], []
        for row, label in zip(probabilities, labels, strict=True):
            confidence = float(max(row))
            if index / bins < confidence <= (index + 1) / bins:
                confidences.append(confidence)
                rights.append(int(list(row).index(max(row)) == label))
        if confidences:
            gap = abs(sum(confidences) / len(confidences) - sum(rights) / len(rights))
            total += len(confidences) / len(labels) * gap
    return total


@pytest.mark.parametrize("bins", [5, 15])
def test_the_calibration_error_is_that_of_a_loop(bins):
    probabilities, labels = drawn(500)
    rows = reliability(probabilities, labels, bins)
    assert sum(row["count"] for row in rows) == 500
    assert expected_calibration_error(rows) == pytest.approx(looped_error(probabilities, labels, bins), abs=1e-12)


def test_certainty_lies_in_the_last_bin_and_empty_bins_are_none():
    rows = reliability(np.array([[1, 0], [0, 1]], "float32"), np.array([0, 0]), 4)
    assert [row["count"] for row in rows] == [0, 0, 0, 2]
    assert rows[0]["accuracy"] is None
    assert expected_calibration_error(rows) == 0.5


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_best_of_a_grid_and_the_true_one(sharpness):
    probabilities, labels = drawn(sharpness=sharpness)
    temperature = fit_temperature(probabilities, labels)
    grid = np.geomspace(0.1, 10, 2001)
    losses = [log_loss(with_temperature(probabilities, one), labels) for one in grid]
    assert temperature == pytest.approx(grid[np.argmin(losses)], rel=0.003)
    assert temperature == pytest.approx(sharpness, rel=0.1)
    calibrated = with_temperature(probabilities, temperature)
    assert log_loss(calibrated, labels) <= min(losses) + 1e-6
    np.testing.assert_array_equal(calibrated.argmax(axis=1), probabilities.argmax(axis=1))


def test_images_that_tell_no_temperature_give_none():
    probabilities, _ = drawn(50)
    assert fit_temperature(probabilities, probabilities.argmax(axis=1)) is None  # sharper is always better
    assert fit_temperature(probabilities, probabilities.argmin(axis=1)) is None  # chance would be better
    certain = np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    assert fit_temperature(certain, np.array([0, 1, 2, 0])) is None


def test_a_temperature_acts_on_logits():
    logits = np.random.default_rng(0).normal(size=(20, 7)) * 4
    before = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = np.exp(logits / 2.5) / np.exp(logits / 2.5).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(with_temperature(before.astype("float32"), 2.5), expected, atol=1e-6)
    np.testing.assert_allclose(with_temperature(before.astype("float32"), 1.0), before, atol=1e-6)
    certain = with_temperature(np.array([[1, 0, 0]], "float32"), 2.0)
    assert np.isfinite(certain).all()


def test_the_brier_score_is_scikit_learns():
    probabilities, labels = drawn(300)
    probabilities = probabilities.astype("float64") / probabilities.sum(axis=1, keepdims=True, dtype="float64")
    expected = brier_score_loss(labels, probabilities, labels=range(5), scale_by_half=False)
    assert brier_score(probabilities, labels) == pytest.approx(expected, abs=1e-6)
    assert brier_score(np.array([[0, 1]], "float32"), np.array([0])) == 2


def test_a_probability_of_zero_for_the_truth_is_a_finite_loss():
    assert np.isfinite(log_loss(np.array([[0, 1]], "float32"), np.array([0])))
