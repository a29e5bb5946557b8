"""How long a model takes to answer a batch."""

import time

import numpy as np

BATCHES = (1, 7, 64)
FEWEST, MOST = 3, 200  # calls that are timed


def time_answers(answer, images, batch, seconds):
    """Return the seconds that each of some calls took, after two that are not counted.

    Args:
        answer: Called with uint8 (batch, H, W, C).
        images: uint8 (N, H, W, C), of which batches are made; repeated where they are fewer.
        batch: Images of a call.
        seconds: About how long to measure.
    """
    pixels = np.ascontiguousarray(np.resize(images, (batch, *images.shape[1:])))
    for _ in range(2):
        answer(pixels)
    found = []
    while len(found) < FEWEST or (sum(found) < seconds and len(found) < MOST):
        begin = time.perf_counter()
        answer(pixels)
        found.append(time.perf_counter() - begin)
    return found


def speed(seconds, batch):
    """Return latency in ms, its median and 99th percentile, and images a second, of the calls of one size."""
    median, slow = np.percentile(seconds, (50, 99))
    return {
        "batch": batch,
        "p50_ms": float(median * 1000),
        "p99_ms": float(slow * 1000),
        "images_per_second": float(batch / median),
        "calls": len(seconds),
    }
