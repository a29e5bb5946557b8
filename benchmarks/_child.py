"""One contender in a process of its own: python _child.py NETWORK PRECISION MODULE [KEYWORD=VALUE...].

Values are JSON. `batch_size` and `side` (pixels) say what it trains on, the other keywords go to its `trainer`.
"""

import importlib
import json
import os
import resource
import sys
import time

import numpy as np

MEMORY = 128 * 2**20  # bytes of images, 32 batches at most


def main(network, precision, module, *keywords):
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    start = time.perf_counter()
    contender = importlib.import_module(module)
    imported = time.perf_counter()
    options = {keyword: json.loads(value) for keyword, _, value in (each.partition("=") for each in keywords)}
    batch_size, side = options.pop("batch_size", 128), options.pop("side", 32)
    count = max(2, min(32, MEMORY // (batch_size * side * side * 3))) * batch_size
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, side, side, 3), dtype="uint8")
    labels = generator.integers(0, 10, count)
    train = contender.trainer(network, precision, images, labels, batch_size, **options)
    train(1)
    first = time.perf_counter()
    loss, _ = train(4)
    assert np.isfinite(loss), loss
    started = {"import": imported - start, "first_step": first - imported, "macs": getattr(train, "macs", None)}
    answers.write(json.dumps(started) + "\n")
    for line in sys.stdin:
        steps = int(line)
        _, seconds = train(steps)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        answers.write(json.dumps({"images_per_second": steps * batch_size / seconds, "peak_mib": peak}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
