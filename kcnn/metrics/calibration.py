"""Whether probabilities mean what they say, and the temperature that makes them."""

import numpy as np

BINS = 15  # of Guo et al. (2017)
SHARPEST, SOFTEST = 1 / 20, 20  # the temperatures looked at
TINY = np.finfo("float32").tiny  # a softmax in float32 may give 0, whose logarithm is looked at


def log_loss(probabilities, labels):
    """Return the mean cross-entropy in nats of probabilities (N, K) against labels (N,)."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype("float64")
    return float(-np.log(np.maximum(of_truth, TINY)).mean())


def brier_score(probabilities, labels):
    """Return the mean over images of the squared errors summed over classes: 0 to 2, 0 is best (Brier 1950)."""
    errors = probabilities.astype("float64")
    errors[np.arange(len(labels)), labels] -= 1
    return float((errors**2).sum(axis=1).mean())


def reliability(probabilities, labels, bins=BINS):
    """Return one row a bin of confidence, which is the probability of the predicted class.

    Each has low, high, count, confidence, accuracy. Bins have equal widths and hold their upper end; the last two are
    means, None where a bin is empty.
    """
    confidence = probabilities.max(axis=1).astype("float64")
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    rows = []
    for index in range(bins):
        here = place == index
        count = int(here.sum())
        rows.append(
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "count": count,
                "confidence": float(confidence[here].mean()) if count else None,
                "accuracy": float(right[here].mean()) if count else None,
            }
        )
    return rows


def expected_calibration_error(rows):
    """Return the mean distance, 0 to 1, of confidence and accuracy over images, from the rows of `reliability`.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), equation 3.
    """
    filled = [row for row in rows if row["count"]]
    total = sum(row["count"] for row in filled)
    return sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in filled) / total


def logits(probabilities):
    """Return float64 (N, K), the logits but for a constant an image, which cancels in `softmax`."""
    return np.log(np.maximum(probabilities.astype("float64"), TINY))


def softmax(logits, temperature=1.0):
    """Return float32 (N, K), the probabilities of logits (N, K) divided by `temperature`, computed in float64."""
    logits = logits.astype("float64") / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype("float32")


def with_temperature(probabilities, temperature):
    """Return float32 (N, K), the softmax of the logits divided by `temperature`: above 1 softer, below 1 sharper."""
    return softmax(logits(probabilities), temperature)


def fit_temperature(probabilities, labels):
    """Return the temperature with the least log loss (Guo et al. 2017), or None where the images do not tell one.

    They tell none where all are right, since sharper is then always better, and none where chance would do as well.

    Args:
        probabilities: float array (N, K), of images that training did not see.
        labels: int array (N,).
    """
    from scipy.optimize import minimize_scalar  # which `predict` does not need

    logs = logits(probabilities)
    logs -= logs[np.arange(len(labels)), labels][:, None]  # of the truth 0, so the loss is a log-sum-exp

    def loss(sharpness):  # convex in 1 / temperature
        scaled = logs * sharpness
        top = scaled.max(axis=1, keepdims=True)
        return float((top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))).mean())

    found = minimize_scalar(loss, bounds=(1 / SOFTEST, 1 / SHARPEST), method="bounded", options={"xatol": 1e-6})
    temperature = 1 / float(found.x)
    return temperature if SHARPEST * 1.01 < temperature < SOFTEST * 0.99 else None
