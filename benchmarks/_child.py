"""One contender in a process of its own: python _child.py NETWORK PRECISION MODULE [KEYWORD=VALUE...]."""

import importlib
import json
import os
import resource
import sys
import time

import numpy as np

BATCH_SIZE = 128
IMAGES = 10_000


def main(network, precision, module, *keywords):
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    start = time.perf_counter()
    contender = importlib.import_module(module)
    imported = time.perf_counter()
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (IMAGES, 32, 32, 3), dtype="uint8")
    labels = generator.integers(0, 10, IMAGES)
    options = {keyword: json.loads(value) for keyword, _, value in (each.partition("=") for each in keywords)}
    train = contender.trainer(network, precision, images, labels, BATCH_SIZE, **options)
    train(1)
    first = time.perf_counter()
    loss, _ = train(4)
    assert np.isfinite(loss), loss
    answers.write(json.dumps({"import": imported - start, "first_step": first - imported}) + "\n")
    for line in sys.stdin:
        steps = int(line)
        _, seconds = train(steps)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        answers.write(json.dumps({"images_per_second": steps * BATCH_SIZE / seconds, "peak_mib": peak}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
