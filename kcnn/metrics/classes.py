"""What a classifier gets right and wrong in each class."""

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score


def per_class(probabilities, labels, class_names):
    """Return one row a class: class, support, precision, recall, f1, roc_auc, average_precision.

    The last two are one class against the rest. A number that is not defined is None: the recall of a class without
    images, the precision of one that was never predicted, what ranks images where all or none are of the class.

    Args:
        probabilities: float array (N, K).
        labels: int array (N,).
        class_names: K names.
    """
    known = np.arange(len(class_names))
    guesses = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, guesses, labels=known, zero_division=np.nan
    )
    rows = []
    for k, name in enumerate(class_names):
        of_class = labels == k
        ranked = 0 < support[k] < len(labels)
        rows.append(
            {
                "class": name,
                "support": int(support[k]),
                "precision": _number(precision[k]),
                "recall": _number(recall[k]),
                "f1": _number(f1[k]),
                "roc_auc": float(roc_auc_score(of_class, probabilities[:, k])) if ranked else None,
                "average_precision": float(average_precision_score(of_class, probabilities[:, k])) if ranked else None,
            }
        )
    return rows


def mean_of(rows, key):
    """Return the mean of a number over the classes for which it is defined, or None."""
    values = [row[key] for row in rows if row[key] is not None]
    return float(np.mean(values)) if values else None


def confused_pairs(confusion, class_names, most=10):
    """Return the pairs of classes most often taken for one another, at most `most` of them, most often first.

    Args:
        confusion: int array (K, K), rows are the true classes.

    Returns:
        Rows of first, second, first_as_second, second_as_first, count.
    """
    both = np.triu(confusion + confusion.T, 1)
    firsts, seconds = np.nonzero(both)
    order = np.argsort(-both[firsts, seconds], kind="stable")[:most]
    return [
        {
            "first": class_names[i],
            "second": class_names[j],
            "first_as_second": int(confusion[i, j]),
            "second_as_first": int(confusion[j, i]),
            "count": int(both[i, j]),
        }
        for i, j in zip(firsts[order], seconds[order], strict=True)
    ]


def confusion_entries(confusion, class_names):
    """Return rows of true, predicted, count for the pairs that occur, most often first."""
    trues, guesses = np.nonzero(confusion)
    order = np.argsort(-confusion[trues, guesses], kind="stable")
    return [
        {"true": class_names[i], "predicted": class_names[j], "count": int(confusion[i, j])}
        for i, j in zip(trues[order], guesses[order], strict=True)
    ]


def _number(value):
    return None if np.isnan(value) else float(value)
