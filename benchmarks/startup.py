"""The start of `kcnn fit` beyond Keras's own import: from the start of the process to the first training step.

    python benchmarks/startup.py

Each round starts two processes a backend: one imports Keras and ends; one is `kcnn fit smoke`, which ends where
`model.fit` would be called, with data loaded, model built and compiled, and before the step itself is compiled.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

import _measure

from kcnn import backend

ROUNDS = 5
KERAS = "import keras, os; os._exit(0)"
KCNN = """
import os, sys
from kcnn import backend
backend.select()
import kcnn.workflows.fit
kcnn.workflows.fit._fit = lambda *arguments: os._exit(0)
from kcnn.cli import main
main(["fit", "smoke", "--out", sys.argv[1]])
"""


def seconds(code, name, *arguments):
    """Return how long a process of its own takes with `code` on the backend `name`."""
    environment = {**os.environ, "KERAS_BACKEND": name}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], env=environment, check=True, capture_output=True)
    return time.perf_counter() - begin


def main():
    found = {name: {"keras": [], "kcnn": []} for name in backend.installed()}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS + 1):
            for name, times in found.items():
                times["keras"].append(seconds(KERAS, name))
                times["kcnn"].append(seconds(KCNN, name, folder))
    print(f"{'seconds':12s} {'keras':>7s} {'kcnn':>7s} {'beyond':>7s}  in each round")
    for name, times in found.items():
        for kind in times:
            times[kind] = times[kind][1:]  # the first round reads files from the disk
        beyond = [two - one for one, two in zip(*times.values(), strict=True)]
        medians = [statistics.median(values) for values in (*times.values(), beyond)]
        print(f"{name:12s} " + " ".join(f"{value:7.2f}" for value in medians), "", *(f"{each:.2f}" for each in beyond))
        times["beyond"] = beyond
    _measure.write("startup", {"backends": found})


if __name__ == "__main__":
    main()
