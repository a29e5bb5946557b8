"""Memory of a training process at the end of each epoch: `kcnn fit digits` for 50 epochs on each backend."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import _measure

PROGRAM = """
import json, pathlib, re, sys
backend, epochs, folder = sys.argv[1:]
from kcnn.backend import select
select(backend)
import kcnn.callbacks.history as history
from kcnn.cli import main
found = []
ended = history.RunHistory.on_epoch_end
def on_epoch_end(self, epoch, logs=None):
    ended(self, epoch, logs)
    status = pathlib.Path("/proc/self/status").read_text()
    found.append(int(re.search(r"VmRSS:\\s+(\\d+)", status)[1]) // 1024)
history.RunHistory.on_epoch_end = on_epoch_end
sys.argv = ["kcnn", "fit", "digits", "--epochs", epochs, "--name", "run", "--out", folder]
try:
    main()
finally:
    print("RESIDENT", json.dumps(found))
"""


def measure(backend, epochs):
    """Return the resident memory, MiB, after each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PROGRAM, backend, str(epochs), folder]
        variables = {**_measure.ALIKE, **os.environ}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESIDENT")]
    if done.returncode or not lines:
        raise SystemExit(done.stderr)
    return json.loads(lines[0].partition(" ")[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--backends", default="tensorflow,torch,jax")
    options = parser.parse_args()
    found = {}
    for backend in options.backends.split(","):
        found[backend] = measured = measure(backend, options.epochs)
        shown = (f"epoch {n}: {measured[n - 1]} MiB" for n in (2, 5, 10, 25, options.epochs) if n <= len(measured))
        print(f"{backend:12}", *shown, flush=True)
    _measure.write("epochs", {"resident_mib": found})


if __name__ == "__main__":
    main()
