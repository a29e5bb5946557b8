"""The table of classes, and what is confused."""

import json

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from kcnn.metrics.classes import confused_pairs, confusion_entries, mean_of, per_class


def ranked_share(scores, positive):
    """The share of pairs of a positive and a negative image in which the positive has the higher score."""
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    return float(np.mean(pairs))


def average_precision(scores, positive):
    """The mean of the precision at each positive image, in the order of the scores; scores differ."""
    hits = np.cumsum(positive[np.argsort(-scores)])[np.sort(positive[np.argsort(-scores)].nonzero()[0])]
    places = positive[np.argsort(-scores)].nonzero()[0] + 1
    return float((hits / places).mean())


def test_ranks_are_counted_one_class_against_the_rest():
    draw = np.random.default_rng(0)
    probabilities, labels = draw.dirichlet(np.ones(4), 60), draw.integers(0, 4, 60)
    for k, row in enumerate(per_class(probabilities, labels, list("abcd"))):
        assert row["roc_auc"] == pytest.approx(ranked_share(probabilities[:, k], labels == k))
        assert row["average_precision"] == pytest.approx(average_precision(probabilities[:, k], labels == k))
        chosen, of_class = probabilities.argmax(axis=1) == k, labels == k
        precision, recall = (chosen & of_class).sum() / chosen.sum(), (chosen & of_class).sum() / of_class.sum()
        assert (row["precision"], row["recall"]) == pytest.approx((precision, recall))
        assert row["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_what_is_not_defined_is_none_and_stays_out_of_the_mean():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.6, 0.3, 0.1]])
    rows = per_class(probabilities, np.array([0, 1, 0]), ["a", "never predicted", "never seen"])
    assert rows[1]["precision"] is None
    assert (rows[1]["recall"], rows[1]["f1"]) == (0.0, 0.0)
    assert {value for key, value in rows[2].items() if key not in ("class", "support")} == {None}
    assert mean_of(rows, "recall") == 0.5
    json.dumps(rows, allow_nan=False)
    only = per_class(probabilities, np.zeros(3, int), ["a", "b", "c"])
    assert only[0]["roc_auc"] is None
    assert mean_of(only, "roc_auc") is None


def test_pairs_count_both_directions():
    labels = np.repeat([0, 1, 2], 5)
    guesses = np.array([0, 0, 0, 1, 2, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2])
    confusion = confusion_matrix(labels, guesses)
    first, second = confused_pairs(confusion, ["a", "b", "c"])
    assert first == {"first": "a", "second": "b", "first_as_second": 1, "second_as_first": 2, "count": 3}
    assert (second["first"], second["second"], second["count"]) == ("a", "c", 1)
    assert len(confused_pairs(confusion, ["a", "b", "c"], most=1)) == 1
    assert confused_pairs(np.diag([3, 4]), ["a", "b"]) == []
    assert sum(row["count"] for row in confusion_entries(confusion, ["a", "b", "c"])) == 15
    assert confusion_entries(confusion, ["a", "b", "c"])[0] == {"true": "c", "predicted": "c", "count": 5}
